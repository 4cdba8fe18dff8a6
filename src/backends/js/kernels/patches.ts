/**
 * What the windows of one image see, as rows of contiguous values: the right factor of the weights' gradient.
 *
 * The rows of a window are contiguous in the image. With borders of zeros around it they are so at its edges too, and a
 * window is kernelHeight stretches of kernelWidth · channels values. Where that is less than the eight columns that
 * multiplyRow takes at a time (first layers: one channel), windows are copied out and each is one stretch.
 */

import type { Windows } from '../../../program/ops.js';
import { endTap, firstTap } from './windows.js';

const COLUMNS_AT_A_TIME = 8;

export interface Patches {
  /** The bordered image, or all windows. What is outside the image stays zero. */
  values: Float32Array;
  /** Where the window of each position begins. */
  offsets: Int32Array;
  /** The stretches of a window, `step` apart, of so many columns. */
  stretches: number;
  columns: number;
  step: number;
  copiesWindows: boolean;
}

export function createPatches(windows: Windows): Patches {
  const { channels, kernelHeight, kernelWidth, strideY, strideX, outputHeight, outputWidth } = windows;
  const rowLength = kernelWidth * channels;
  const copiesWindows = rowLength < COLUMNS_AT_A_TIME && kernelHeight > 1;
  const size = kernelHeight * rowLength;
  const width = borderedWidth(windows);
  const height = (outputHeight - 1) * strideY + kernelHeight;
  const positions = outputHeight * outputWidth;
  const offsets = Int32Array.from({ length: positions }, (_, p) => {
    const y = Math.floor(p / outputWidth);
    return copiesWindows ? p * size : (y * strideY * width + (p % outputWidth) * strideX) * channels;
  });
  return copiesWindows
    ? { values: new Float32Array(positions * size), offsets, stretches: 1, columns: size, step: 0, copiesWindows }
    : {
        values: new Float32Array(height * width * channels),
        offsets,
        stretches: kernelHeight,
        columns: rowLength,
        step: width * channels,
        copiesWindows,
      };
}

/** Columns from the first window's first to the last window's last. */
function borderedWidth({ outputWidth, strideX, kernelWidth }: Windows): number {
  return (outputWidth - 1) * strideX + kernelWidth;
}

/** Copies an image, input[from ...], to where its windows look for it. */
export function fillPatches(patches: Patches, windows: Windows, input: Float32Array, from: number): void {
  if (patches.copiesWindows) copyWindows(patches, windows, input, from);
  else copyImage(patches.values, windows, input, from);
}

function copyImage(bordered: Float32Array, windows: Windows, input: Float32Array, from: number): void {
  const { inputHeight, inputWidth, channels, kernelHeight, strideY, padTop, padLeft, outputHeight } = windows;
  const width = borderedWidth(windows);
  const height = (outputHeight - 1) * strideY + kernelHeight;
  const rows = Math.min(inputHeight, height - padTop);
  const length = Math.min(inputWidth, width - padLeft) * channels;
  for (let y = 0; y < rows; y++) {
    const at = from + y * inputWidth * channels;
    const to = ((y + padTop) * width + padLeft) * channels;
    for (let i = 0; i < length; i++) bordered[to + i] = input[at + i];
  }
}

function copyWindows({ values, offsets, columns }: Patches, windows: Windows, input: Float32Array, from: number): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth } = windows;
  const { strideY, strideX, padTop, padLeft, outputWidth } = windows;
  const rowLength = columns / kernelHeight;
  for (let p = 0; p < offsets.length; p++) {
    const y = Math.floor(p / outputWidth);
    const top = y * strideY - padTop;
    const left = (p - y * outputWidth) * strideX - padLeft;
    const begin = firstTap(left) * channels;
    const end = endTap(left, kernelWidth, inputWidth) * channels;
    const kyEnd = endTap(top, kernelHeight, inputHeight);
    for (let ky = firstTap(top); ky < kyEnd; ky++) {
      const at = from + ((top + ky) * inputWidth + left) * channels;
      const to = offsets[p] + ky * rowLength;
      for (let i = begin; i < end; i++) values[to + i] = input[at + i];
    }
  }
}
