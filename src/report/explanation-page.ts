import { pngDataUri } from '../pictures/encode-png.js';
import { greyPicture, signedPicture } from '../pictures/picture.js';
import { dataTable, figure, headline, notice, picture } from './elements.js';
import { layerSections } from './explanation/layers.js';
import { pixelSums, plainNumber, signedNumber, strongestPixels, titleOfRest } from './explanation/numbers.js';
import { stepSection } from './explanation/step.js';
import { capitalized, type ExplanationSubject, nameOf } from './explanation/subject.js';
import { reasonText } from './explanation/words.js';
import { html, type Markup } from './html.js';
import { formatNumber } from './numbers.js';
import { footerOf, type Origin, reproductionSection } from './origin.js';
import { renderPage } from './page.js';

export interface ExplanationPage extends ExplanationSubject {
  origin: Omit<Origin, 'settings'>;
}

/** Pixels across, about, of each picture on the page. */
const SIDE = 224;
const NAMED_PIXELS = 5;

/** The page of `explain --html`. */
export function explanationPage(page: ExplanationPage): string {
  const { explanation, image, network, origin } = page;
  const { answer, rival, label, classes, step } = explanation;
  const name = nameOf(explanation, answer);
  return renderPage({
    title: `Why ${image} is ${name} to ${network}`,
    lead: 'One image on its way through the network, layer by layer, with the numbers that it computed. Rows, columns, neurons and layers count from 0.',
    summary: html`${remark(page)}${headline([
      ['Answer', name],
      ['Probability', formatNumber(classes[answer].probability, 'percent')],
      [`Lead over ${nameOf(explanation, rival)}`, plainNumber(explanation.contributions.lead.logit)],
      [`Loss for ${nameOf(explanation, label)}`, formatNumber(step.lossBefore, 'plain')],
    ])}`,
    sections: [
      { id: 'input', title: 'What the network sees', content: pictures(page) },
      ...layerSections(page),
      { id: 'why', title: `Why ${name}, and not ${nameOf(explanation, rival)}`, content: reasons(page) },
      stepSection(explanation),
      reproductionSection(
        { ...origin, settings: [] },
        'The same model file and image give the same numbers, to the last bit, on any processor and number of threads.',
      ),
    ],
    footer: footerOf({ ...origin, settings: [] }),
  });
}

function remark({ explanation, expected }: ExplanationSubject): Markup | null {
  if (expected === undefined || expected === explanation.answer) return null;
  return notice(`The answer is wrong: the image's label is ${nameOf(explanation, expected)}.`);
}

function pictures({ explanation, size, notes }: ExplanationSubject): Markup {
  const { input, contributions, answer, rival } = explanation;
  const { width, height } = size;
  const scale = Math.max(1, Math.round(SIDE / width));
  const [name, other] = [nameOf(explanation, answer), nameOf(explanation, rival)];
  const brightness = input.values.map((value) => 255 * value);
  const signed = (pixels: readonly number[], alt: string) =>
    picture({ uri: pngDataUri(signedPicture(pixels, width, height)), alt, width, height, scale });
  return html`<div class="pictures">
${figure(
  picture({
    uri: pngDataUri(greyPicture(brightness, width, height)),
    alt: `The image, ${height} by ${width} pixels`,
    width,
    height,
    scale,
  }),
  `Its ${height} x ${width} pixels, each a number from 0 (black) to 1 (white). How it was made: ${notes.join(', ')}.`,
)}
${figure(
  signed(contributions.answer.pixels, `What each pixel did for the logit of ${name}`),
  `What each pixel did for ${name}: orange speaks for it, blue against it, the brighter the more.`,
)}
${figure(
  signed(contributions.lead.pixels, `What each pixel did for the lead of ${name} over ${other}`),
  `For ${name} rather than ${other}: orange speaks for ${name}, blue for ${other}.`,
)}
</div>`;
}

function reasons({ explanation }: ExplanationSubject): Markup {
  const { contributions, answer, rival } = explanation;
  const both = [contributions.answer, contributions.lead];
  const sums = both.map(({ pixels }) => pixelSums(pixels));
  const { rest, rounding, roundingBound } = contributions.answer;
  const bound = roundingBound === null ? '' : `, and by no more than ${plainNumber(roundingBound)} in any case`;
  return html`<p>${reasonText(explanation)}</p>
${dataTable({
  caption: 'What the logits are made of. The lead is the logit of the answer minus that of the other class.',
  columns: [
    { title: 'Part' },
    { title: `Logit of ${nameOf(explanation, answer)}`, align: 'number' },
    { title: `Lead over ${nameOf(explanation, rival)}`, align: 'number' },
  ],
  rows: [
    ['Pixels that speak for it', ...sums.map(({ plus }) => signedNumber(plus))],
    ['Pixels that speak against it', ...sums.map(({ minus }) => signedNumber(minus))],
    ...rest.map((part, place) => [
      capitalized(titleOfRest(part)),
      ...both.map((each) => signedNumber(each.rest[place].contribution)),
    ]),
  ],
  totals: [['Together', ...both.map(({ logit }) => signedNumber(logit))]],
})}
<p class="quiet">The parts are added up in double precision; the network computes in single precision. Its logit differs by
${plainNumber(rounding)} from their sum${bound}.</p>
${pixelTable(explanation)}`;
}

function pixelTable(explanation: ExplanationSubject['explanation']): Markup {
  const { contributions, input, answer, rival } = explanation;
  const { plus, minus } = strongestPixels(contributions.lead.pixels, input, NAMED_PIXELS);
  return dataTable({
    caption: `The pixels that did most for ${nameOf(explanation, answer)}, then those that did most for ${nameOf(explanation, rival)}.`,
    columns: [
      { title: 'Pixel' },
      { title: 'Brightness', align: 'number' },
      { title: 'Part of the lead', align: 'number' },
    ],
    rows: [...plus, ...minus.reverse()].map(({ place, brightness, contribution }) => [
      capitalized(place),
      brightness.toFixed(3),
      signedNumber(contribution),
    ]),
  });
}
