/** The windows that convolutions and pools look at: their geometry, checked once, and which taps lie inside the image. */

import { checkInteger, expected } from '../../../errors.js';
import type { OpName, Windows } from '../../../program/ops.js';
import { type FloatMatrix, type IntegerMatrix, requireColumns } from './kernel.js';

/**
 * The windows of an op as an object of its own, so that all kernels read the same kind of object. Throws ERR_ARGUMENT for
 * numbers out of range and ERR_SHAPE where a window would lie outside the image altogether.
 */
export function checkWindows(op: OpName, windows: Windows): Windows {
  const whole = (name: keyof Windows, least: number) => checkInteger(windows[name], `${name} of ${op}`, least);
  const checked: Windows = {
    inputHeight: whole('inputHeight', 1),
    inputWidth: whole('inputWidth', 1),
    channels: whole('channels', 1),
    kernelHeight: whole('kernelHeight', 1),
    kernelWidth: whole('kernelWidth', 1),
    strideY: whole('strideY', 1),
    strideX: whole('strideX', 1),
    padTop: whole('padTop', 0),
    padLeft: whole('padLeft', 0),
    outputHeight: whole('outputHeight', 1),
    outputWidth: whole('outputWidth', 1),
  };
  requireTaps(op, 'Height', checked.kernelHeight, checked.padTop);
  requireTaps(op, 'Width', checked.kernelWidth, checked.padLeft);
  requireInside(op, 'Height', checked.inputHeight, checked.outputHeight, checked.strideY, checked.padTop);
  requireInside(op, 'Width', checked.inputWidth, checked.outputWidth, checked.strideX, checked.padLeft);
  return checked;
}

/** The first window must reach into the image. */
function requireTaps(op: OpName, side: string, kernel: number, pad: number): void {
  if (pad >= kernel) throw expected(`less padding than kernel${side} ${kernel}`, op, pad, '', 'ERR_SHAPE');
}

/** The last window must begin inside the image. */
function requireInside(op: OpName, side: string, input: number, output: number, stride: number, pad: number): void {
  const most = Math.ceil((input + pad) / stride);
  if (output > most) {
    throw expected(`at most ${most}`, `output${side} of ${op}`, output, 'Windows begin inside the image.', 'ERR_SHAPE');
  }
}

/** Checks that a row of a matrix is an image of this size. */
export function requireImage(
  op: OpName,
  matrix: FloatMatrix | IntegerMatrix,
  height: number,
  width: number,
  channels: number,
): void {
  requireColumns(op, matrix, height * width * channels);
}

/** The first tap of a window inside the image, whose first tap is at `start`. */
export function firstTap(start: number): number {
  return start < 0 ? -start : 0;
}

/** One past the last tap inside an image of `size`. */
export function endTap(start: number, kernel: number, size: number): number {
  return start + kernel > size ? size - start : kernel;
}
