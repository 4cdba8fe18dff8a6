import { expected } from '../errors.js';

/** Numbers as pictures for people: grey for brightness, orange and blue for what has a sign. */

export interface RgbPicture {
  width: number;
  height: number;
  /** Row-major, three bytes a pixel. */
  pixels: Uint8Array;
}

export type Rgb = readonly [red: number, green: number, blue: number];

/** As on the page of `serve` (page/pixels.js): people who see no red or no green tell them apart. */
const POSITIVE: Rgb = [255, 159, 64];
const NEGATIVE: Rgb = [74, 163, 255];
/** Zero. */
const NEUTRAL: Rgb = [22, 23, 28];
/** Between the pictures of a sheet. */
const GAP: Rgb = [128, 128, 128];

/**
 * Brightness as grey.
 *
 * @param values Row-major, `height` x `width`, 0 black to 255 white. Others are cut off there.
 */
export function greyPicture(values: ArrayLike<number>, width: number, height: number): RgbPicture {
  return paint(values, width, height, (value) => [value, value, value]);
}

/**
 * Signed numbers: above zero orange, below blue, the brighter the greater.
 *
 * @param values Row-major, `height` x `width`.
 * @param most What gets the full colour; default the greatest absolute value.
 */
export function signedPicture(
  values: ArrayLike<number>,
  width: number,
  height: number,
  most: number = greatest(values),
): RgbPicture {
  return paint(values, width, height, (value) => signedColor(value, most));
}

/** The colour of a number between -most and most; those beyond have the colour of the nearest. */
export function signedColor(value: number, most: number): Rgb {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
  const full = value < 0 ? NEGATIVE : POSITIVE;
  return [0, 1, 2].map((i) => NEUTRAL[i] + (full[i] - NEUTRAL[i]) * share) as unknown as Rgb;
}

/** The greatest absolute value; 0 for none. */
export function greatest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
  return most;
}

/** Each pixel as a square of `factor` pixels. */
export function enlarge({ width, height, pixels }: RgbPicture, factor: number): RgbPicture {
  const wide = width * factor;
  const result = new Uint8Array(3 * wide * height * factor);
  for (let y = 0; y < height; y++) {
    const row = 3 * y * factor * wide;
    for (let x = 0, to = row; x < wide; x++) {
      const from = 3 * (y * width + Math.floor(x / factor));
      for (let channel = 0; channel < 3; channel++) result[to++] = pixels[from + channel];
    }
    for (let copy = 1; copy < factor; copy++) result.copyWithin(row + 3 * copy * wide, row, row + 3 * wide);
  }
  return { width: wide, height: height * factor, pixels: result };
}

/**
 * Pictures of one size in rows, with lines between them. Throws ERR_ARGUMENT without any, or where sizes differ.
 *
 * @param columns Pictures in a row; default about as many as rows.
 */
export function sheetOf(pictures: readonly RgbPicture[], columns = Math.ceil(Math.sqrt(pictures.length))): RgbPicture {
  if (pictures.length === 0) throw expected('at least one', 'pictures of a sheet', 0);
  const [{ width, height }] = pictures;
  const different = pictures.find((each) => each.width !== width || each.height !== height);
  if (different) throw expected(`${width}x${height}`, 'a picture', `${different.width}x${different.height}`);
  const across = Math.min(columns, pictures.length);
  const down = Math.ceil(pictures.length / across);
  const sheet = { width: across * (width + 1) + 1, height: down * (height + 1) + 1 };
  const pixels = new Uint8Array(3 * sheet.width * sheet.height);
  for (let i = 0; i < pixels.length; i += 3) pixels.set(GAP, i);
  pictures.forEach((picture, index) => {
    const left = 1 + (index % across) * (width + 1);
    const top = 1 + Math.floor(index / across) * (height + 1);
    for (let y = 0; y < height; y++) {
      const row = picture.pixels.subarray(3 * y * width, 3 * (y + 1) * width);
      pixels.set(row, 3 * ((top + y) * sheet.width + left));
    }
  });
  return { ...sheet, pixels };
}

function paint(values: ArrayLike<number>, width: number, height: number, colorOf: (value: number) => Rgb): RgbPicture {
  if (values.length !== width * height) {
    throw expected(`${width * height} numbers`, `a picture of ${width}x${height}`, values.length);
  }
  // Clamped, since a rounding may lead past the ends.
  const pixels = new Uint8ClampedArray(3 * values.length);
  for (let i = 0; i < values.length; i++) pixels.set(colorOf(values[i]), 3 * i);
  return { width, height, pixels: new Uint8Array(pixels.buffer) };
}
