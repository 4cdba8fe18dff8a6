/** Pools, over each channel by itself. Shapes: input[rows, inputHeight, inputWidth, channels], output[rows, outputHeight, outputWidth, channels]. */

import type { OpName, Windows } from '../../../program/ops.js';
import {
  type FloatMatrix,
  type Kernel,
  type PrepareKernel,
  requireSameRows,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { checkWindows, endTap, firstTap, requireImage } from './windows.js';

const fround = Math.fround;

/** Checks the two sides of a pool, or their gradients. */
function requirePool(op: OpName, windows: Windows, input: FloatMatrix, output: FloatMatrix): void {
  requireImage(op, input, windows.inputHeight, windows.inputWidth, windows.channels);
  requireImage(op, output, windows.outputHeight, windows.outputWidth, windows.channels);
  requireSameRows(op, output, input);
}

/** output = the largest of each window; winners = its tap ky · kernelWidth + kx, the first of equals. */
export const prepareMaxPool2d: PrepareKernel<'maxPool2d'> = (op, { float, integer }) => {
  const windows = checkWindows('maxPool2d', op);
  const input = float(op.input);
  const output = float(op.output);
  const winners = op.winners ? integer(op.winners) : null;
  requirePool('maxPool2d', windows, input, output);
  if (winners) requireSameShape('maxPool2d', winners, output);
  // Found in any case: a pool without winners is for evaluation, which trains nothing.
  const taps = winners ? null : new Int32Array(output.columns);
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      const to = i * output.columns;
      poolLargest(windows, input.values, i * input.columns, output.values, to, taps ?? winners!.values, taps ? 0 : to);
    }
  };
  return run;
};

/** Tap by tap over all channels, so that the inner loop runs along both images. */
function poolLargest(
  windows: Windows,
  input: Float32Array,
  from: number,
  output: Float32Array,
  to: number,
  winners: Int32Array,
  winnersTo: number,
): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth } = windows;
  const { strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  let place = 0;
  for (let y = 0; y < outputHeight; y++) {
    const top = y * strideY - padTop;
    const kyBegin = firstTap(top);
    const kyEnd = endTap(top, kernelHeight, inputHeight);
    for (let x = 0; x < outputWidth; x++, place += channels) {
      const left = x * strideX - padLeft;
      const kxBegin = firstTap(left);
      const kxEnd = endTap(left, kernelWidth, inputWidth);
      const first = from + ((top + kyBegin) * inputWidth + left + kxBegin) * channels;
      for (let c = 0; c < channels; c++) {
        output[to + place + c] = input[first + c];
        winners[winnersTo + place + c] = kyBegin * kernelWidth + kxBegin;
      }
      for (let ky = kyBegin; ky < kyEnd; ky++) {
        for (let kx = kxBegin; kx < kxEnd; kx++) {
          const at = from + ((top + ky) * inputWidth + left + kx) * channels;
          for (let c = 0; c < channels; c++) {
            const value = input[at + c];
            if (value > output[to + place + c]) {
              output[to + place + c] = value;
              winners[winnersTo + place + c] = ky * kernelWidth + kx;
            }
          }
        }
      }
    }
  }
}

/** dInput = dOutput where a window's winner was, added up where windows overlap, and 0 elsewhere. */
export const prepareMaxPool2dBackward: PrepareKernel<'maxPool2dBackward'> = (op, { float, integer }) => {
  const windows = checkWindows('maxPool2dBackward', op);
  const dOutput = float(op.dOutput);
  const winners = integer(op.winners);
  const dInput = float(op.dInput);
  requirePool('maxPool2dBackward', windows, dInput, dOutput);
  requireSameShape('maxPool2dBackward', winners, dOutput);
  const run: Kernel = (step) => {
    const rows = rowsIn(dInput, step);
    dInput.values.fill(0, 0, rows * dInput.columns);
    for (let i = 0; i < rows; i++) {
      scatterWinners(windows, dOutput.values, winners.values, i * dOutput.columns, dInput.values, i * dInput.columns);
    }
  };
  return run;
};

function scatterWinners(
  windows: Windows,
  dOutput: Float32Array,
  winners: Int32Array,
  from: number,
  dInput: Float32Array,
  to: number,
): void {
  const { inputWidth, channels, kernelWidth, strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  let at = from;
  for (let y = 0; y < outputHeight; y++) {
    for (let x = 0; x < outputWidth; x++) {
      const corner = to + ((y * strideY - padTop) * inputWidth + x * strideX - padLeft) * channels;
      for (let c = 0; c < channels; c++, at++) {
        const ky = Math.floor(winners[at] / kernelWidth);
        const kx = winners[at] - ky * kernelWidth;
        const place = corner + (ky * inputWidth + kx) * channels + c;
        dInput[place] = fround(dInput[place] + dOutput[at]);
      }
    }
  }
}

/** output = the mean of each window over its taps inside the image. */
export const prepareAveragePool2d: PrepareKernel<'averagePool2d'> = (op, { float }) => {
  const windows = checkWindows('averagePool2d', op);
  const input = float(op.input);
  const output = float(op.output);
  requirePool('averagePool2d', windows, input, output);
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      poolMeans(windows, input.values, i * input.columns, output.values, i * output.columns);
    }
  };
  return run;
};

function poolMeans(windows: Windows, input: Float32Array, from: number, output: Float32Array, to: number): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth } = windows;
  const { strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  let place = to;
  for (let y = 0; y < outputHeight; y++) {
    const top = y * strideY - padTop;
    const kyBegin = firstTap(top);
    const kyEnd = endTap(top, kernelHeight, inputHeight);
    for (let x = 0; x < outputWidth; x++, place += channels) {
      const left = x * strideX - padLeft;
      const kxBegin = firstTap(left);
      const kxEnd = endTap(left, kernelWidth, inputWidth);
      const share = fround(1 / ((kyEnd - kyBegin) * (kxEnd - kxBegin)));
      for (let c = 0; c < channels; c++) output[place + c] = 0;
      for (let ky = kyBegin; ky < kyEnd; ky++) {
        for (let kx = kxBegin; kx < kxEnd; kx++) {
          const at = from + ((top + ky) * inputWidth + left + kx) * channels;
          for (let c = 0; c < channels; c++) output[place + c] = fround(output[place + c] + input[at + c]);
        }
      }
      for (let c = 0; c < channels; c++) output[place + c] = fround(output[place + c] * share);
    }
  }
}

/** dInput = the windows' dOutput, divided among their taps inside the image, added up where windows overlap. */
export const prepareAveragePool2dBackward: PrepareKernel<'averagePool2dBackward'> = (op, { float }) => {
  const windows = checkWindows('averagePool2dBackward', op);
  const dOutput = float(op.dOutput);
  const dInput = float(op.dInput);
  requirePool('averagePool2dBackward', windows, dInput, dOutput);
  const run: Kernel = (step) => {
    const rows = rowsIn(dInput, step);
    dInput.values.fill(0, 0, rows * dInput.columns);
    for (let i = 0; i < rows; i++) {
      spreadMeans(windows, dOutput.values, i * dOutput.columns, dInput.values, i * dInput.columns);
    }
  };
  return run;
};

function spreadMeans(windows: Windows, dOutput: Float32Array, from: number, dInput: Float32Array, to: number): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth } = windows;
  const { strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  let at = from;
  for (let y = 0; y < outputHeight; y++) {
    const top = y * strideY - padTop;
    const kyBegin = firstTap(top);
    const kyEnd = endTap(top, kernelHeight, inputHeight);
    for (let x = 0; x < outputWidth; x++, at += channels) {
      const left = x * strideX - padLeft;
      const kxBegin = firstTap(left);
      const kxEnd = endTap(left, kernelWidth, inputWidth);
      const share = fround(1 / ((kyEnd - kyBegin) * (kxEnd - kxBegin)));
      for (let ky = kyBegin; ky < kyEnd; ky++) {
        for (let kx = kxBegin; kx < kxEnd; kx++) {
          const place = to + ((top + ky) * inputWidth + left + kx) * channels;
          for (let c = 0; c < channels; c++) {
            dInput[place + c] = fround(dInput[place + c] + fround(dOutput[at + c] * share));
          }
        }
      }
    }
  }
}
