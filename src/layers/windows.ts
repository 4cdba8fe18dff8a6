/** Windows over images: the options that say how they lie, and the geometry that follows. */

import { checkInteger, checkOneOf, expected } from '../errors.js';
import type { Windows } from '../program/ops.js';

/** Down and across; a number stands for both. */
export type PairOption = number | readonly [number, number];
type Pair = readonly [number, number];

const PADDINGS = ['valid', 'same'] as const;
/**
 * `valid`: windows lie inside the image. `same`: as many windows as the image's size divided by the stride, rounded up;
 * what is missing is shared between both sides, the odd row at the bottom and the odd column at the right, as TensorFlow
 * does it.
 */
export type Padding = (typeof PADDINGS)[number];

/** The greatest side of a window and the greatest stride. */
const MAX_SIDE = 65_535;

/** Two whole numbers of at least 1. Throws ERR_ARGUMENT. */
export function checkPair(value: PairOption, name: string): Pair {
  if (!Array.isArray(value)) {
    if (typeof value !== 'number') throw expected('a whole number, or two in an array,', name, value);
    const both = checkInteger(value, name, 1, MAX_SIDE);
    return Object.freeze([both, both] as const);
  }
  if (value.length !== 2) throw expected('a whole number, or two in an array,', name, value);
  const [down, across] = value.map((each, axis) => checkInteger(each, `${name}[${axis}]`, 1, MAX_SIDE));
  return Object.freeze([down, across] as const);
}

/** Throws ERR_ARGUMENT. */
export function checkPadding(value: Padding | undefined): Padding {
  return checkOneOf(value ?? 'valid', 'padding', PADDINGS);
}

export interface WindowOptions {
  kernel: Pair;
  strides: Pair;
  padding: Padding;
}

/** The windows of a layer over images of [height, width, channels]. Throws ERR_SHAPE. */
export function windowsOf(layer: string, inputShape: readonly number[], options: WindowOptions): Windows {
  checkImage(layer, inputShape);
  const [inputHeight, inputWidth, channels] = inputShape;
  const { kernel, strides, padding } = options;
  if (padding === 'valid' && (kernel[0] > inputHeight || kernel[1] > inputWidth)) {
    throw expected(
      `images of at least [${kernel.join(', ')}], the size of its windows,`,
      `the input of ${layer}`,
      inputShape,
      'Take smaller windows or padding "same".',
      'ERR_SHAPE',
    );
  }
  const vertical = alongAxis(inputHeight, kernel[0], strides[0], padding);
  const horizontal = alongAxis(inputWidth, kernel[1], strides[1], padding);
  return {
    inputHeight,
    inputWidth,
    channels,
    kernelHeight: kernel[0],
    kernelWidth: kernel[1],
    strideY: strides[0],
    strideX: strides[1],
    padTop: vertical.before,
    padLeft: horizontal.before,
    outputHeight: vertical.count,
    outputWidth: horizontal.count,
  };
}

/** Throws ERR_SHAPE for samples that are no images. */
export function checkImage(layer: string, inputShape: readonly number[]): void {
  if (inputShape.length === 3) return;
  const hint = 'A grey image has one channel: [28, 28, 1].';
  throw expected('images of [height, width, channels]', `the input of ${layer}`, inputShape, hint, 'ERR_SHAPE');
}

/** How many windows there are along an axis, and how far the first one begins before the image. */
function alongAxis(size: number, kernel: number, stride: number, padding: Padding): { count: number; before: number } {
  if (padding === 'valid') return { count: Math.floor((size - kernel) / stride) + 1, before: 0 };
  const count = Math.ceil(size / stride);
  const missing = Math.max((count - 1) * stride + kernel - size, 0);
  return { count, before: Math.floor(missing / 2) };
}
