import { pngDataUri } from '../pictures/encode-png.js';
import { greyPicture } from '../pictures/picture.js';
import { picture } from './elements.js';
import { html, type Markup } from './html.js';
import { type ClassNames, className, type Measures, type Mistake } from './measures.js';
import { formatNumber } from './numbers.js';

/** Probabilities of so many classes stand beside an image, and that of its own. */
const MOST_CLASSES = 3;
const SCALE = 4;

/** The mistakes that the model is surest of, with what it thought. */
export function mistakesOf({ mistakes, confusion }: Measures, names: ClassNames): Markup {
  const wrong = confusion.flatMap((row, label) => row.filter((_, answer) => answer !== label));
  const all = wrong.reduce((sum, count) => sum + count, 0);
  if (all === 0) return html`<p>There are none: every answer is right.</p>`;
  const shown = mistakes.length < all ? `the ${mistakes.length} that the model was surest of` : 'all of them';
  return html`<p>${formatNumber(all, 'count')} images got a wrong answer; here are ${shown}, with the probabilities of the
likeliest classes and of the true one.</p>
<ol class="mistakes">${mistakes.map((mistake) => mistakeItem(mistake, names))}</ol>`;
}

function mistakeItem(mistake: Mistake, names: ClassNames): Markup {
  const { index, label, answer, image } = mistake;
  const title = (each: number) => className(each, names);
  const shown = image && {
    uri: pngDataUri(greyPicture(image.pixels, image.width, image.height)),
    alt: `Image ${index} of the test set`,
    width: image.width,
    height: image.height,
    scale: SCALE,
  };
  return html`<li>
${shown && picture(shown)}
<div>
<p><strong>${title(label)}</strong>, taken for <strong>${title(answer)}</strong></p>
<ul class="probabilities">${likeliest(mistake).map(
    (each) =>
      html`<li class="${each === label ? 'true-class' : ''}"><span>${title(each)}</span> ${bar(
        mistake.probabilities[each],
      )} <span class="number">${formatNumber(mistake.probabilities[each], 'percent')}</span></li>`,
  )}</ul>
<p class="quiet">Image ${index}</p>
</div>
</li>\n`;
}

/** The likeliest classes, the likeliest first, and the true one in any case. */
function likeliest({ probabilities, label }: Mistake): number[] {
  const order = probabilities.map((_, index) => index).sort((a, b) => probabilities[b] - probabilities[a]);
  return order.filter((each, place) => place < MOST_CLASSES || each === label);
}

/** Its length says no more than the number beside it. */
const bar = (share: number): Markup =>
  html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="${(100 * share).toFixed(1)}" height="8"/></svg>`;
