import { MnistTrainError } from '../errors.js';
import { clearBackground, type Ink, placeCentered, scaleBox } from './digit.js';
import { decodePng, type Picture } from './png.js';

/** The size of image that a model takes. */
export interface ImageSize {
  width: number;
  height: number;
}

export interface ImportedImage {
  /** Row-major, `height` x `width` of the size asked for: 0 background, 255 ink, as in MNIST. */
  pixels: Uint8Array;
  /** What was done, in words: "inverted", "scaled into 20 x 20", ... */
  notes: string[];
  /** The size of the image in the file. */
  width: number;
  height: number;
}

export const MNIST_SIZE: ImageSize = { width: 28, height: 28 };
/** MNIST's digits have a box of 20 in images of 28. */
const BOX_SHARE = 20 / 28;
/** The least difference between light and dark, of 255, that counts as a drawing. */
const LEAST_CONTRAST = 16;

/**
 * Makes a PNG into pixels as MNIST has them, light on dark.
 *
 * An image of exactly the size asked for is taken pixel by pixel, apart from colours and polarity. Any other is taken for
 * a drawing of a digit and converted as MNIST was made (see digit.ts).
 *
 * @param source Names the file in error messages.
 * @throws ERR_FORMAT for a file that is not an undamaged PNG, ERR_DATA when nothing is drawn.
 */
export function importImage(bytes: Uint8Array, source: string, size: ImageSize = MNIST_SIZE): ImportedImage {
  return importPicture(decodePng(bytes, source), source, size);
}

/** The same from what `decodePng` gives, or from grey values alone. Writes into the picture. */
export function importPicture(picture: Picture, source: string, size: ImageSize = MNIST_SIZE): ImportedImage {
  const { width, height } = picture;
  const notes: string[] = [];
  const grey = flatten(picture, notes);
  let darkest = 255;
  let lightest = 0;
  for (const value of grey) {
    darkest = Math.min(darkest, value);
    lightest = Math.max(lightest, value);
  }
  if (lightest - darkest < LEAST_CONTRAST) throw nothingDrawn(source, `values from ${darkest} to ${lightest}`);

  const background = median(borderOf(grey, width, height));
  const inverted = background - darkest > lightest - background;
  if (width === size.width && height === size.height) {
    if (inverted) invert(grey);
    notes.push(inverted ? 'inverted to light on dark' : 'kept as it is');
    return { pixels: grey, notes, width, height };
  }

  if (inverted) notes.push('inverted to light on dark');
  const ink: Ink = { width, height, values: grey };
  for (let i = 0; i < grey.length; i++) {
    grey[i] = Math.max(0, inverted ? background - grey[i] : grey[i] - background);
  }
  const box = clearBackground(ink, borderOf(grey, width, height).sort());
  if (!box) throw nothingDrawn(source, 'background only');
  const side = Math.round(Math.min(size.width, size.height) * BOX_SHARE);
  const pixels = placeCentered(scaleBox(ink, box, side), size.width, size.height);
  notes.push(`drawing of ${box.width} x ${box.height} scaled into ${side} x ${side}`, 'centred by mass');
  return { pixels, notes, width, height };
}

function nothingDrawn(source: string, found: string): MnistTrainError {
  return new MnistTrainError(
    'ERR_DATA',
    `Expected a drawing for ${source}, received ${found}. Draw a digit that stands out from its background.`,
  );
}

/**
 * Lays transparent parts on a background. Where the border is transparent, that is black behind a light drawing and white
 * behind a dark one, so that the drawing shows; otherwise it is what the visible part of the border has.
 */
function flatten({ width, height, luminance, alpha }: Picture, notes: string[]): Uint8Array {
  if (!alpha) return luminance;
  const borderAlpha = borderOf(alpha, width, height);
  let background: number;
  if (median(borderAlpha.slice()) < 128) {
    let weight = 0;
    let sum = 0;
    for (let i = 0; i < alpha.length; i++) {
      weight += alpha[i];
      sum += alpha[i] * luminance[i];
    }
    background = sum < 128 * weight ? 255 : 0;
  } else {
    background = median(borderOf(luminance, width, height).filter((_, i) => borderAlpha[i] >= 128));
  }
  if (alpha.some((value) => value < 255)) notes.push(`transparency laid on ${background < 128 ? 'dark' : 'light'}`);
  return luminance.map((value, i) => Math.round((value * alpha[i] + background * (255 - alpha[i])) / 255));
}

function invert(values: Uint8Array): void {
  for (let i = 0; i < values.length; i++) values[i] = 255 - values[i];
}

/** The outermost pixels, in any order. */
function borderOf(values: Uint8Array, width: number, height: number): Uint8Array {
  const border: number[] = [];
  for (let x = 0; x < width; x++) border.push(values[x], values[(height - 1) * width + x]);
  for (let y = 1; y < height - 1; y++) border.push(values[y * width], values[y * width + width - 1]);
  return Uint8Array.from(border);
}

/** The middle value, the upper of two. Sorts its argument. */
function median(values: Uint8Array): number {
  return values.sort()[values.length >> 1];
}
