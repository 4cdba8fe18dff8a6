/**
 * Gradients of convolutions; shapes as in conv2d.ts, with dWeightParts[parts · taps · channels, filters] and
 * dBiasParts[parts, filters].
 *
 * The gradients of a sample are made into lists, one for each position of the convolution, of the filters whose gradient
 * is not zero there. Behind a pool that is a quarter of them at most, so a pool costs the backward pass nothing: it
 * makes it cheaper. Both products then go through these lists.
 */

import { expected } from '../../../errors.js';
import { SAMPLES_PER_PART, type Windows } from '../../../program/ops.js';
import { compressWindow, requireConvolution } from './conv2d.js';
import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';
import { compressRow, createSparseVectors, multiplyRow, type SparseVectors, transpose } from './matmul.js';
import { requireParts } from './parts.js';
import { checkWindows } from './windows.js';

const fround = Math.fround;

/** dWeightParts, dBiasParts and dInput, each where wanted, from dOutput and, with `pool`, the pools' winners. */
export const prepareConv2dBackward: PrepareKernel<'conv2dBackward'> = (op, { float, integer }) => {
  const windows = checkWindows('conv2dBackward', op);
  const input = float(op.input);
  const weights = float(op.weights);
  const dOutput = float(op.dOutput);
  const winners = op.winners ? integer(op.winners) : null;
  const dWeightParts = op.dWeightParts ? float(op.dWeightParts) : null;
  const dBiasParts = op.dBiasParts ? float(op.dBiasParts) : null;
  const dInput = op.dInput ? float(op.dInput) : null;
  const { rows: weightRows, columns: filters } = weights;
  const weightSize = weightRows * filters;
  requireConvolution('conv2dBackward', windows, input, weights, dOutput, op.pool);
  if ((winners !== null) !== op.pool) {
    const wanted = op.pool ? 'the winners' : 'no winners';
    throw expected(wanted, `a conv2dBackward ${op.pool ? 'with' : 'without'} pool`, op.winners);
  }
  if (winners) requireSameShape('conv2dBackward', winners, dOutput);
  if (dWeightParts) requireParts('conv2dBackward', dWeightParts, input, weightRows, filters);
  if (dBiasParts) requireParts('conv2dBackward', dBiasParts, input, 1, filters);
  if (dInput) requireSameShape('conv2dBackward', dInput, input);

  const places = positionsInBlocks(windows);
  const gradients = createSparseVectors(windows.outputHeight * windows.outputWidth, filters);
  const list = createSparseVectors(1, Math.max(weightRows, windows.kernelHeight * windows.kernelWidth * filters));
  const starts = new Float32Array(windows.channels);
  // [taps, filters, channels]: turned round once per step, so that dInput too walks along rows.
  const transposed = new Float32Array(dInput ? weightSize : 0);
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    if (dInput) transposeTaps(weights.values, windows, filters, transposed);
    for (let i = 0; i < rows; i++) {
      const part = Math.floor(i / SAMPLES_PER_PART);
      const isFirst = i % SAMPLES_PER_PART === 0;
      const from = i * input.columns;
      if (winners) listWinners(gradients, dOutput.values, winners.values, i * dOutput.columns, windows);
      else listGradients(gradients, dOutput.values, i * dOutput.columns);
      if (dWeightParts) {
        const to = part * weightSize;
        if (isFirst) dWeightParts.values.fill(0, to, to + weightSize);
        addWeightGradient(windows, places, gradients, list, input.values, from, dWeightParts.values, to);
      }
      if (dBiasParts) {
        const to = part * filters;
        if (isFirst) dBiasParts.values.fill(0, to, to + filters);
        addBiasGradient(places, gradients, dBiasParts.values, to);
      }
      if (dInput) findInputGradient(windows, gradients, list, transposed, starts, dInput.values, from);
    }
  };
  return run;
};

/** The positions in the order of sums over them: blocks of 2 × 2 row by row, as pools are, and row by row in a block. */
function positionsInBlocks({ outputHeight, outputWidth }: Windows): Int32Array {
  const places = new Int32Array(outputHeight * outputWidth);
  let count = 0;
  for (let top = 0; top < outputHeight; top += 2) {
    for (let left = 0; left < outputWidth; left += 2) {
      for (let y = top; y < Math.min(top + 2, outputHeight); y++) {
        for (let x = left; x < Math.min(left + 2, outputWidth); x++) places[count++] = y * outputWidth + x;
      }
    }
  }
  return places;
}

/** output[tap, filters, channels] = weights[tap, channels, filters] turned round, tap by tap. */
function transposeTaps(weights: Float32Array, windows: Windows, filters: number, output: Float32Array): void {
  const { channels, kernelHeight, kernelWidth } = windows;
  const taps = kernelHeight * kernelWidth;
  for (let tap = 0; tap < taps; tap++) transpose(weights, channels, filters, output, tap * channels * filters);
}

/** Lists the gradients of one sample that are not zero: vector p has the filters of position p. */
function listGradients(gradients: SparseVectors, dOutput: Float32Array, from: number): void {
  const { counts, stride } = gradients;
  for (let p = 0; p < counts.length; p++) compressRow(gradients, dOutput, from + p * stride, stride, 1, p);
}

/** The same behind a pool: a gradient belongs to the position that won. */
function listWinners(
  gradients: SparseVectors,
  dOutput: Float32Array,
  winners: Int32Array,
  from: number,
  { outputHeight, outputWidth }: Windows,
): void {
  const { offsets, values, counts, stride } = gradients;
  counts.fill(0);
  let at = from;
  for (let y = 0; y + 2 <= outputHeight; y += 2) {
    for (let x = 0; x + 2 <= outputWidth; x += 2) {
      const position = y * outputWidth + x;
      for (let f = 0; f < stride; f++, at++) {
        const value = dOutput[at];
        if (value === 0) continue;
        const winner = winners[at];
        const p = position + (winner >> 1) * outputWidth + (winner & 1);
        const place = p * stride + counts[p]++;
        offsets[place] = f;
        values[place] = value;
      }
    }
  }
}

/** dWeights[to + tap, channels, filters] += one sample's, position by position. */
function addWeightGradient(
  windows: Windows,
  places: Int32Array,
  gradients: SparseVectors,
  list: SparseVectors,
  input: Float32Array,
  from: number,
  dWeights: Float32Array,
  to: number,
): void {
  const { strideY, strideX, padTop, padLeft, outputWidth } = windows;
  const { counts, stride } = gradients;
  for (let place = 0; place < places.length; place++) {
    const p = places[place];
    if (counts[p] === 0) continue;
    const y = Math.floor(p / outputWidth);
    const left = (p - y * outputWidth) * strideX - padLeft;
    compressWindow(list, input, from, y * strideY - padTop, left, windows, stride);
    addOuterProduct(list, gradients, p, dWeights, to);
  }
}

/** dWeights[to + row of a tap, filter] += value at the tap · gradient, for all that are not zero. */
function addOuterProduct(
  taps: SparseVectors,
  gradients: SparseVectors,
  position: number,
  dWeights: Float32Array,
  to: number,
): void {
  const { offsets: rows, values } = taps;
  const { offsets: columns, values: slopes } = gradients;
  const first = position * gradients.stride;
  const last = first + gradients.counts[position];
  const count = taps.counts[0];
  for (let entry = 0; entry < count; entry++) {
    const value = values[entry];
    const row = to + rows[entry];
    for (let g = first; g < last; g++) {
      const place = row + columns[g];
      dWeights[place] = fround(dWeights[place] + value * slopes[g]);
    }
  }
}

/** dBias[to + filter] += one sample's, position by position. */
function addBiasGradient(places: Int32Array, gradients: SparseVectors, dBias: Float32Array, to: number): void {
  const { offsets, values, counts, stride } = gradients;
  for (let i = 0; i < places.length; i++) {
    const p = places[i];
    const last = p * stride + counts[p];
    for (let g = p * stride; g < last; g++) {
      const place = to + offsets[g];
      dBias[place] = fround(dBias[place] + values[g]);
    }
  }
}

/** dInput of one image: for each pixel, the gradients of the windows that cover it, times the weights of its tap there. */
function findInputGradient(
  windows: Windows,
  gradients: SparseVectors,
  list: SparseVectors,
  transposed: Float32Array,
  starts: Float32Array,
  dInput: Float32Array,
  to: number,
): void {
  const { inputHeight, inputWidth, channels } = windows;
  let place = to;
  for (let y = 0; y < inputHeight; y++) {
    for (let x = 0; x < inputWidth; x++) {
      listCovering(windows, gradients, list, y, x);
      multiplyRow(list, 0, transposed, channels, starts, dInput, place);
      place += channels;
    }
  }
}

/** Lists, as vector 0, the gradients of all windows that cover a pixel, with the rows of transposed weights they meet. */
function listCovering(
  windows: Windows,
  gradients: SparseVectors,
  list: SparseVectors,
  pixelY: number,
  pixelX: number,
): void {
  const { channels, kernelHeight, kernelWidth, strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  const { offsets: filters, values, counts, stride } = gradients;
  const { offsets, values: slopes } = list;
  const tapSize = channels * stride;
  const yEnd = endWindow(pixelY + padTop, strideY, outputHeight);
  const xBegin = firstWindow(pixelX + padLeft, kernelWidth, strideX);
  const xEnd = endWindow(pixelX + padLeft, strideX, outputWidth);
  let count = 0;
  for (let y = firstWindow(pixelY + padTop, kernelHeight, strideY); y < yEnd; y++) {
    const tapRow = (pixelY + padTop - y * strideY) * kernelWidth + pixelX + padLeft;
    for (let x = xBegin; x < xEnd; x++) {
      const base = (tapRow - x * strideX) * tapSize;
      const p = y * outputWidth + x;
      const last = p * stride + counts[p];
      for (let g = p * stride; g < last; g++) {
        offsets[count] = base + filters[g] * channels;
        slopes[count++] = values[g];
      }
    }
  }
  list.counts[0] = count;
}

/** The first window that covers an element, `at` counted from where window 0 begins. */
function firstWindow(at: number, kernel: number, stride: number): number {
  return at < kernel ? 0 : Math.ceil((at - kernel + 1) / stride);
}

/** One past the last window that covers it. */
function endWindow(at: number, stride: number, count: number): number {
  return Math.min(count, Math.floor(at / stride) + 1);
}
