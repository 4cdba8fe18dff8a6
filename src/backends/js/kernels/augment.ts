/**
 * Augmentation of images: docs/numerics.md. What becomes of an image depends on (seed, epoch, the sample's index in the
 * data, the options) alone, so that no cut into batches changes one. Images are [height, width, channels].
 */

import { checkInteger, checkNumber, expected } from '../../../errors.js';
import { AUGMENT_LIMITS, type AugmentOp } from '../../../program/ops.js';
import { Draws, WORDS } from './augment-draws.js';
import { ElasticField } from './augment-field.js';
import { type FloatMatrix, type Kernel, type PrepareKernel, requireSameShape } from './kernel.js';
import { cosine, sine } from './math.js';
import { requireImage } from './windows.js';

const fround = Math.fround;
const MOST_UINT32 = 2 ** 32 - 1;
/** The native kernel counts pixels with a border in float32. */
const MOST_PIXELS = 2 ** 24;

/** output = input, augmented. */
export const prepareAugment: PrepareKernel<'augment'> = (op, { float }) => {
  const input = float(op.input);
  const output = float(op.output);
  checkAugment(op);
  checkBuffers(op, input, output);
  const field = op.elasticAlpha > 0 ? new ElasticField(op) : null;
  const draws = new Draws(op, field?.size ?? 0);
  const threshold = Math.round(op.eraseProbability * 2 ** 24);
  const warped = [op.rotation, op.scale, op.aspect, op.shear, op.elasticAlpha].some((value) => value > 0);
  const warp = warped ? new Warp(op, draws, field) : null;
  const run: Kernel = (step) => {
    const epoch = step.scalars[step.scalarOffset + op.epoch];
    for (let i = 0; i < step.rows; i++) {
      const from = i * input.columns;
      draws.draw((step.firstIndex + step.order[step.start + i]) >>> 0, epoch);
      if (warp) warp.image(input.values, output.values, from);
      else shiftImage(op, draws, input.values, output.values, from);
      if (draws.numbers[WORDS.erase] < threshold) eraseRectangle(op, draws, output.values, from);
    }
  };
  return run;
};

/** Throws ERR_ARGUMENT for options out of range, ERR_SHAPE for images that are too large. */
function checkAugment(op: AugmentOp): void {
  const whole = (name: keyof AugmentOp, least: number, most?: number) =>
    checkInteger(op[name], `${name} of augment`, least, most);
  const upTo = (name: keyof AugmentOp, most: number) => checkNumber(op[name], `${name} of augment`, 0, most);
  for (const name of ['inputHeight', 'inputWidth', 'channels'] as const) whole(name, 1);
  const pixels = (op.inputHeight + 2) * (op.inputWidth + 3);
  if (pixels > MOST_PIXELS)
    throw expected(`at most ${MOST_PIXELS} pixels`, 'images of augment', pixels, '', 'ERR_SHAPE');
  whole('shift', 0, AUGMENT_LIMITS.shift);
  for (const name of ['rotation', 'scale', 'aspect', 'shear', 'elasticAlpha'] as const)
    upTo(name, AUGMENT_LIMITS[name]);
  whole('elasticSpacing', AUGMENT_LIMITS.leastSpacing, AUGMENT_LIMITS.elasticSpacing);
  upTo('eraseProbability', 1);
  whole('eraseSize', 1, Math.min(op.inputHeight, op.inputWidth));
  whole('seedLow', 0, MOST_UINT32);
  whole('seedHigh', 0, MOST_UINT32);
}

function checkBuffers(op: AugmentOp, input: FloatMatrix, output: FloatMatrix): void {
  requireImage('augment', input, op.inputHeight, op.inputWidth, op.channels);
  requireSameShape('augment', output, input);
  if (!input.batched) {
    throw expected('one row per sample', `buffer ${input.name} of augment`, `${input.rows} rows`, '', 'ERR_SHAPE');
  }
  if (op.input === op.output) throw expected('another buffer than the input', 'output of augment', op.output);
}

const drawShift = (op: AugmentOp, draws: Draws, word: number) => draws.below(word, 2 * op.shift + 1) - op.shift;

/** A copy, so many pixels further down and to the right; 0 where nothing comes from. */
function shiftImage(op: AugmentOp, draws: Draws, input: Float32Array, output: Float32Array, from: number): void {
  const { inputHeight, inputWidth, channels } = op;
  const down = drawShift(op, draws, WORDS.shiftY);
  const right = drawShift(op, draws, WORDS.shiftX);
  const row = inputWidth * channels;
  const begin = Math.min(inputWidth, Math.max(0, right)) * channels;
  const end = Math.max(0, inputWidth + Math.min(0, right)) * channels;
  for (let y = 0; y < inputHeight; y++) {
    const to = from + y * row;
    const source = y - down;
    const inside = source >= 0 && source < inputHeight;
    const offset = from + source * row - right * channels;
    for (let e = 0; e < row; e++) output[to + e] = inside && e >= begin && e < end ? input[offset + e] : 0;
  }
}

/** Sets a rectangle of 1 to eraseSize pixels each way, inside the image, to 0. */
function eraseRectangle(op: AugmentOp, draws: Draws, output: Float32Array, from: number): void {
  const { inputHeight, inputWidth, channels } = op;
  const height = 1 + draws.below(WORDS.eraseHeight, op.eraseSize);
  const width = 1 + draws.below(WORDS.eraseWidth, op.eraseSize);
  const top = draws.below(WORDS.eraseTop, inputHeight - height + 1);
  const left = draws.below(WORDS.eraseLeft, inputWidth - width + 1);
  for (let y = top; y < top + height; y++) {
    const begin = from + (y * inputWidth + left) * channels;
    output.fill(0, begin, begin + width * channels);
  }
}

/** Images by bilinear interpolation at the places that a matrix and a field of displacements say. */
class Warp {
  readonly #op: AugmentOp;
  readonly #draws: Draws;
  readonly #field: ElasticField | null;
  readonly #radians: number;
  readonly #scale: number;
  readonly #aspect: number;
  readonly #shear: number;

  constructor(op: AugmentOp, draws: Draws, field: ElasticField | null) {
    this.#op = op;
    this.#draws = draws;
    this.#field = field;
    this.#radians = fround(op.rotation * (Math.PI / 180));
    this.#scale = fround(op.scale);
    this.#aspect = fround(op.aspect);
    this.#shear = fround(op.shear);
  }

  image(input: Float32Array, output: Float32Array, from: number): void {
    const op = this.#op;
    const draws = this.#draws;
    const field = this.#field;
    field?.draw(draws);
    // The way back from what is seen to what is looked at: turned back, unslanted, then unscaled.
    const angle = fround(draws.signed(WORDS.rotation) * this.#radians);
    const sin = sine(angle);
    const cos = cosine(angle);
    const shear = fround(draws.signed(WORDS.shear) * this.#shear);
    const height = fround(1 + fround(draws.signed(WORDS.scale) * this.#scale));
    const width = fround(height * fround(1 + fround(draws.signed(WORDS.aspect) * this.#aspect)));
    const yy = fround(cos / height);
    const yx = fround(sin / height);
    const xy = fround(fround(-sin - fround(shear * cos)) / width);
    const xx = fround(fround(cos - fround(shear * sin)) / width);
    const centreY = (op.inputHeight - 1) / 2;
    const centreX = (op.inputWidth - 1) / 2;
    const originY = centreY - drawShift(op, draws, WORDS.shiftY);
    const originX = centreX - drawShift(op, draws, WORDS.shiftX);
    let to = from;
    for (let y = 0; y < op.inputHeight; y++) {
      const rowY = fround(yy * (y - centreY));
      const rowX = fround(xy * (y - centreY));
      for (let x = 0; x < op.inputWidth; x++, to += op.channels) {
        let sourceY = fround(fround(fround(yx * (x - centreX)) + rowY) + originY);
        let sourceX = fround(fround(fround(xx * (x - centreX)) + rowX) + originX);
        if (field) {
          sourceY = fround(sourceY + field.at(0, y, x));
          sourceX = fround(sourceX + field.at(1, y, x));
        }
        sample(op, input, from, sourceY, sourceX, output, to);
      }
    }
  }
}

/** output[to ...] = the image's channels at a place between pixels. */
function sample(
  { inputHeight, inputWidth, channels }: AugmentOp,
  input: Float32Array,
  from: number,
  sourceY: number,
  sourceX: number,
  output: Float32Array,
  to: number,
): void {
  const placeY = clamp(sourceY, inputHeight);
  const placeX = clamp(sourceX, inputWidth);
  const y = Math.floor(placeY);
  const x = Math.floor(placeX);
  const downwards = fround(placeY - y);
  const rightwards = fround(placeX - x);
  const above = y >= 0 && y < inputHeight;
  const below = y + 1 < inputHeight;
  const left = x >= 0 && x < inputWidth;
  const right = x + 1 < inputWidth;
  const place = from + (y * inputWidth + x) * channels;
  const next = place + inputWidth * channels;
  for (let c = 0; c < channels; c++) {
    const topLeft = above && left ? input[place + c] : 0;
    const topRight = above && right ? input[place + channels + c] : 0;
    const bottomLeft = below && left ? input[next + c] : 0;
    const bottomRight = below && right ? input[next + channels + c] : 0;
    const top = fround(topLeft + fround(rightwards * fround(topRight - topLeft)));
    const bottom = fround(bottomLeft + fround(rightwards * fround(bottomRight - bottomLeft)));
    output[to + c] = fround(top + fround(downwards * fround(bottom - top)));
  }
}

/** Beyond a pixel outside, everything is 0. */
const clamp = (place: number, size: number) => (place > -1 ? (place < size ? place : size) : -1);
