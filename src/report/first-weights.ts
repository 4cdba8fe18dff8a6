import { pngDataUri } from '../pictures/encode-png.js';
import { signedPicture } from '../pictures/picture.js';
import { figure, picture } from './elements.js';
import { html, type Markup } from './html.js';

/** What the neurons or filters of the first layer with weights look at. */
export interface FirstWeights {
  kind: 'neuron' | 'filter';
  /** How many there are; `pictures` may be fewer. */
  count: number;
  height: number;
  width: number;
  /** Row-major [height, width] each. */
  pictures: readonly ArrayLike<number>[];
}

/** Pixels across, about, of each picture on the page. */
const SIDE = 56;

export function firstWeights({ kind, count, height, width, pictures }: FirstWeights): Markup {
  const scale = Math.max(1, Math.round(SIDE / width));
  const all = `${count} ${kind}${count === 1 ? '' : 's'}`;
  const shown = pictures.length < count ? `The first ${pictures.length} of ${all}` : `The ${all}`;
  const images = pictures.map((values) =>
    picture({ uri: pngDataUri(signedPicture(values, width, height)), alt: '', width, height, scale }),
  );
  return figure(
    html`<div class="thumbs" role="img" aria-label="${`${shown} of the first layer as pictures of ${height} by ${width} weights.`}">${images}</div>`,
    `${shown} of the first layer, a picture each: what lies under orange speaks for the ${kind}, what lies under blue against it, the brighter the more. Each has a scale of its own.`,
  );
}
