/**
 * Convolutions. Shapes: input[rows, inputHeight, inputWidth, channels], weights[taps · channels, filters], with
 * taps = kernelHeight · kernelWidth, and output[rows, outputHeight, outputWidth, filters], or half the height and width
 * with `pool`.
 *
 * A window is made into the list of its values that are not zero, and that is multiplied by the weights like a row of a
 * dense layer: padding, strides and zeros cost nothing in the inner loop.
 */

import { expected } from '../../../errors.js';
import type { Conv2dOp, OpName, Windows } from '../../../program/ops.js';
import { activate } from './activation.js';
import {
  type FloatMatrix,
  type Kernel,
  type PrepareKernel,
  requireColumns,
  requireSameRows,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { createSparseVectors, multiplyRow, type SparseVectors } from './matmul.js';
import { checkWindows, endTap, firstTap, requireImage } from './windows.js';

const fround = Math.fround;

/** Checks the buffers that both directions have; `output` is the output or its gradient. */
export function requireConvolution(
  op: OpName,
  windows: Windows,
  input: FloatMatrix,
  weights: FloatMatrix,
  output: FloatMatrix,
  pool: boolean,
): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth, outputHeight, outputWidth } = windows;
  const taps = kernelHeight * kernelWidth * channels;
  requireImage(op, input, inputHeight, inputWidth, channels);
  if (weights.batched || weights.rows !== taps) {
    throw expected(`${taps} rows`, `buffer ${weights.name} of ${op}`, weights.rows, '', 'ERR_SHAPE');
  }
  if (pool && (outputHeight < 2 || outputWidth < 2)) {
    throw expected('at least 2 × 2 windows', `the pool of ${op}`, [outputHeight, outputWidth], '', 'ERR_SHAPE');
  }
  const size = (windowsAlong: number) => (pool ? Math.floor(windowsAlong / 2) : windowsAlong);
  requireImage(op, output, size(outputHeight), size(outputWidth), weights.columns);
  requireSameRows(op, output, input);
}

/** Lists the non-zeros of the window whose first tap is (top, left), as vector 0; `from` is where the image begins. */
export function compressWindow(
  sparse: SparseVectors,
  values: Float32Array,
  from: number,
  top: number,
  left: number,
  windows: Windows,
  rightColumns: number,
): void {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth } = windows;
  const { offsets, values: nonZeros } = sparse;
  const kyEnd = endTap(top, kernelHeight, inputHeight);
  const kxBegin = firstTap(left);
  const length = (endTap(left, kernelWidth, inputWidth) - kxBegin) * channels;
  let count = 0;
  for (let ky = firstTap(top); ky < kyEnd; ky++) {
    const begin = from + ((top + ky) * inputWidth + left + kxBegin) * channels;
    const end = begin + length;
    let offset = (ky * kernelWidth + kxBegin) * channels * rightColumns;
    for (let at = begin; at < end; at++) {
      const value = values[at];
      if (value !== 0) {
        offsets[count] = offset;
        nonZeros[count++] = value;
      }
      offset += rightColumns;
    }
  }
  sparse.counts[0] = count;
}

/** output = activation(Σ over a window of input · weights + bias), or that of the largest of 2 × 2 with `pool`. */
export const prepareConv2d: PrepareKernel<'conv2d'> = (op, { float, integer }) => {
  const windows = checkWindows('conv2d', op);
  const input = float(op.input);
  const weights = float(op.weights);
  const output = float(op.output);
  const winners = op.winners ? integer(op.winners) : null;
  const filters = weights.columns;
  requireConvolution('conv2d', windows, input, weights, output, op.pool);
  if (op.bias) requireColumns('conv2d', float(op.bias), filters);
  requirePoolable(op);
  if (winners) requireSameShape('conv2d', winners, output);

  const starts = op.bias ? float(op.bias).values : new Float32Array(filters);
  const list = createSparseVectors(1, weights.rows);
  const slope = fround(op.negativeSlope);
  const { activation } = op;
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      const from = i * input.columns;
      const to = i * output.columns;
      convolve(windows, list, input.values, from, weights.values, starts, filters, output.values, to);
    }
    activate(activation, slope, output.values, output.values, rows * output.columns);
  };
  if (!op.pool) return run;

  const four = new Float32Array(4 * filters);
  const winnerValues = winners ? winners.values : null;
  const runPooled: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      const from = i * input.columns;
      const to = i * output.columns;
      convolvePooled(windows, list, input.values, from, weights.values, starts, four, output.values, winnerValues, to);
    }
    activate(activation, slope, output.values, output.values, rows * output.columns);
  };
  return runPooled;
};

function requirePoolable(op: Conv2dOp): void {
  if (op.pool && op.activation !== 'linear' && op.activation !== 'relu') {
    throw expected('linear or relu', 'the activation of a conv2d with pool', op.activation);
  }
  if (!op.pool && op.winners) throw expected('no winners', 'a conv2d without pool', op.winners);
}

/** The weighted sums of one image. */
function convolve(
  windows: Windows,
  list: SparseVectors,
  input: Float32Array,
  from: number,
  weights: Float32Array,
  starts: Float32Array,
  filters: number,
  output: Float32Array,
  to: number,
): void {
  const { strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  let place = to;
  for (let y = 0; y < outputHeight; y++) {
    const top = y * strideY - padTop;
    for (let x = 0; x < outputWidth; x++) {
      compressWindow(list, input, from, top, x * strideX - padLeft, windows, filters);
      multiplyRow(list, 0, weights, filters, starts, output, place);
      place += filters;
    }
  }
}

/** The pools' maxima of one image, with the first position of each in `winners`; `four` is room for a pool's sums. */
function convolvePooled(
  windows: Windows,
  list: SparseVectors,
  input: Float32Array,
  from: number,
  weights: Float32Array,
  starts: Float32Array,
  four: Float32Array,
  output: Float32Array,
  winners: Int32Array | null,
  to: number,
): void {
  const { strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  const filters = four.length / 4;
  let place = to;
  for (let y = 0; y + 2 <= outputHeight; y += 2) {
    for (let x = 0; x + 2 <= outputWidth; x += 2) {
      for (let position = 0; position < 4; position++) {
        const top = (y + (position >> 1)) * strideY - padTop;
        const left = (x + (position & 1)) * strideX - padLeft;
        compressWindow(list, input, from, top, left, windows, filters);
        multiplyRow(list, 0, weights, filters, starts, four, position * filters);
      }
      takeLargest(four, filters, output, winners, place);
      place += filters;
    }
  }
}

/** output[to + f] = the first largest of four[0 ... 3, f]. */
function takeLargest(
  four: Float32Array,
  filters: number,
  output: Float32Array,
  winners: Int32Array | null,
  to: number,
): void {
  for (let f = 0; f < filters; f++) {
    let best = four[f];
    let winner = 0;
    for (let position = 1; position < 4; position++) {
      const sum = four[position * filters + f];
      if (sum > best) {
        best = sum;
        winner = position;
      }
    }
    output[to + f] = best;
    if (winners) winners[to + f] = winner;
  }
}
