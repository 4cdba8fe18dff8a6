/**
 * Gradients of convolutions; shapes as in conv2d.ts, with dWeightParts[parts · taps · channels, filters] and
 * dBiasParts[parts, filters].
 *
 * A sample's gradients are made into lists of those that are not zero: by filter for the weights, by position for the
 * input. Behind a pool that is a quarter of them at most, so a pool makes the backward pass cheaper. Both products then
 * run along rows of contiguous values, with their sums in registers: taps of the image, channels of the weights. Adding
 * up the weights' gradient position by position in memory instead took 2.4 ns per term, where this takes 0.8.
 */

import { expected } from '../../../errors.js';
import { type Conv2dBackwardOp, SAMPLES_PER_PART, type Windows } from '../../../program/ops.js';
import { requireConvolution } from './conv2d.js';
import {
  type FloatMatrix,
  type IntegerMatrix,
  type Kernel,
  type KernelContext,
  type PrepareKernel,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { createSparseVectors, multiplyRow, type SparseVectors, transpose } from './matmul.js';
import { requireParts } from './parts.js';
import { createPatches, fillPatches, type Patches } from './patches.js';
import { checkWindows } from './windows.js';

const fround = Math.fround;

/** dWeightParts, dBiasParts and dInput, each where wanted, from dOutput and, with `pool`, the pools' winners. */
export const prepareConv2dBackward: PrepareKernel<'conv2dBackward'> = (op, context) => {
  const windows = checkWindows('conv2dBackward', op);
  const buffers = findBuffers(op, windows, context);
  const { input, weights, dOutput, winners, dWeightParts, dBiasParts, dInput } = buffers;
  const { rows: weightRows, columns: filters } = weights;
  const weightSize = weightRows * filters;
  const positions = windows.outputHeight * windows.outputWidth;
  const dWeights = dWeightParts ? new Float32Array(weightSize) : null;
  const dBias = dBiasParts ? new Float32Array(filters) : null;
  const byFilter = createSparseVectors(dWeights ? filters : 0, positions);
  const patches = dWeights ? createPatches(windows) : null;
  const blocks = positionsInBlocks(windows);
  // A lone channel is summed row by row, which is the order of the pixels that a tap meets.
  const inRows = windows.channels === 1;
  const order = inRows ? blocks.toSorted() : blocks;
  const places = patches ? patches.offsets : new Int32Array(positions);

  const byPosition = createSparseVectors(dInput ? positions : 0, filters);
  const covering = createSparseVectors(dInput ? 1 : 0, windows.kernelHeight * windows.kernelWidth * filters);
  const starts = new Float32Array(windows.channels);
  // [taps, filters, channels]: turned round once per step, so that dInput too walks along rows.
  const transposed = new Float32Array(dInput ? weightSize : 0);
  const winnerValues = winners ? winners.values : null;
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    if (dInput) transposeTaps(weights.values, windows, filters, transposed);
    if (dWeights) dWeights.fill(0);
    if (dBias) dBias.fill(0);
    for (let i = 0; i < rows; i++) {
      const from = i * input.columns;
      const slopesFrom = i * dOutput.columns;
      if (dWeights && patches) {
        if (!winners) listByFilter(byFilter, dOutput.values, slopesFrom, order, places);
        else listWinnersByFilter(byFilter, dOutput.values, winners.values, slopesFrom, windows, places, inRows);
        fillPatches(patches, windows, input.values, from);
        addWeightGradient(byFilter, patches, weightRows, dWeights);
      }
      if (dBias) addBiasGradient(dOutput.values, slopesFrom, dOutput.columns, winners ? null : blocks, dBias);
      if (dInput) {
        listByPosition(byPosition, dOutput.values, winnerValues, slopesFrom, windows);
        findInputGradient(windows, byPosition, covering, transposed, starts, dInput.values, from);
      }
      if ((i + 1) % SAMPLES_PER_PART === 0 || i + 1 === rows) {
        const part = Math.floor(i / SAMPLES_PER_PART);
        if (dWeights) endWeightPart(dWeights, filters, weightRows, dWeightParts!.values, part * weightSize);
        if (dBias) endBiasPart(dBias, dBiasParts!.values, part * filters);
      }
    }
  };
  return run;
};

interface Buffers {
  input: FloatMatrix;
  weights: FloatMatrix;
  dOutput: FloatMatrix;
  winners: IntegerMatrix | null;
  dWeightParts: FloatMatrix | null;
  dBiasParts: FloatMatrix | null;
  dInput: FloatMatrix | null;
}

/** The op's buffers, of shapes that fit each other. */
function findBuffers(op: Conv2dBackwardOp, windows: Windows, { float, integer }: KernelContext): Buffers {
  const input = float(op.input);
  const weights = float(op.weights);
  const dOutput = float(op.dOutput);
  const winners = op.winners ? integer(op.winners) : null;
  const dWeightParts = op.dWeightParts ? float(op.dWeightParts) : null;
  const dBiasParts = op.dBiasParts ? float(op.dBiasParts) : null;
  const dInput = op.dInput ? float(op.dInput) : null;
  requireConvolution('conv2dBackward', windows, input, weights, dOutput, op.pool);
  if ((winners !== null) !== op.pool) {
    const wanted = op.pool ? 'the winners' : 'no winners';
    throw expected(wanted, `a conv2dBackward ${op.pool ? 'with' : 'without'} pool`, op.winners);
  }
  if (winners) requireSameShape('conv2dBackward', winners, dOutput);
  if (dWeightParts) requireParts('conv2dBackward', dWeightParts, input, weights.rows, weights.columns);
  if (dBiasParts) requireParts('conv2dBackward', dBiasParts, input, 1, weights.columns);
  if (dInput) requireSameShape('conv2dBackward', dInput, input);
  return { input, weights, dOutput, winners, dWeightParts, dBiasParts, dInput };
}

/** output[tap, filters, channels] = weights[tap, channels, filters] turned round, tap by tap. */
function transposeTaps(weights: Float32Array, windows: Windows, filters: number, output: Float32Array): void {
  const { channels, kernelHeight, kernelWidth } = windows;
  const size = channels * filters;
  const end = kernelHeight * kernelWidth * size;
  for (let from = 0; from < end; from += size) transpose(weights, channels, filters, output, from, from);
}

/** The positions in the order of sums over them: blocks of 2 × 2 row by row, as pools are, and row by row in a block. */
function positionsInBlocks({ outputHeight, outputWidth }: Windows): Int32Array {
  const positions = new Int32Array(outputHeight * outputWidth);
  let count = 0;
  for (let top = 0; top < outputHeight; top += 2) {
    for (let left = 0; left < outputWidth; left += 2) {
      for (let y = top; y < Math.min(top + 2, outputHeight); y++) {
        for (let x = left; x < Math.min(left + 2, outputWidth); x++) positions[count++] = y * outputWidth + x;
      }
    }
  }
  return positions;
}

/** Lists, as vector f, the gradients of filter f that are not zero, in this order, with their position's place. */
function listByFilter(
  lists: SparseVectors,
  dOutput: Float32Array,
  from: number,
  order: Int32Array,
  places: Int32Array,
): void {
  const { offsets, values, counts, stride } = lists;
  const filters = counts.length;
  counts.fill(0);
  for (let i = 0; i < order.length; i++) {
    const at = from + order[i] * filters;
    const offset = places[order[i]];
    for (let f = 0; f < filters; f++) {
      const value = dOutput[at + f];
      if (value === 0) continue;
      const place = f * stride + counts[f]++;
      offsets[place] = offset;
      values[place] = value;
    }
  }
}

/**
 * The same behind a pool, whose gradient is that of the position that won: pool by pool, or row by row, a row of pools
 * then giving the winners of its upper row first.
 */
function listWinnersByFilter(
  lists: SparseVectors,
  dOutput: Float32Array,
  winners: Int32Array,
  from: number,
  { outputHeight, outputWidth }: Windows,
  places: Int32Array,
  inRows: boolean,
): void {
  const { offsets, values, counts, stride } = lists;
  const filters = counts.length;
  const row = Math.floor(outputWidth / 2) * filters;
  counts.fill(0);
  for (let y = 0; y + 2 <= outputHeight; y += 2) {
    for (let half = 0; half < (inRows ? 2 : 1); half++) {
      let at = from + (y / 2) * row;
      for (let x = 0; x + 2 <= outputWidth; x += 2) {
        const position = y * outputWidth + x;
        for (let f = 0; f < filters; f++, at++) {
          const value = dOutput[at];
          if (value === 0) continue;
          const winner = winners[at];
          if (inRows && winner >> 1 !== half) continue;
          const place = f * stride + counts[f]++;
          offsets[place] = places[position + (winner >> 1) * outputWidth + (winner & 1)];
          values[place] = value;
        }
      }
    }
  }
}

/** dWeights[filters, taps · channels] += one sample's. */
function addWeightGradient(lists: SparseVectors, patches: Patches, weightRows: number, dWeights: Float32Array): void {
  const { values, stretches, columns, step } = patches;
  const filters = lists.counts.length;
  for (let stretch = 0; stretch < stretches; stretch++) {
    for (let f = 0; f < filters; f++) {
      const to = f * weightRows + stretch * columns;
      multiplyRow(lists, f, values, columns, dWeights, dWeights, to, to, stretch * step);
    }
  }
}

/** dBias[filters] += one sample's: pool by pool, or in the order of `blocks`. */
function addBiasGradient(
  dOutput: Float32Array,
  from: number,
  size: number,
  blocks: Int32Array | null,
  dBias: Float32Array,
): void {
  const filters = dBias.length;
  const count = size / filters;
  for (let i = 0; i < count; i++) {
    const at = from + (blocks ? blocks[i] : i) * filters;
    for (let f = 0; f < filters; f++) dBias[f] = fround(dBias[f] + dOutput[at + f]);
  }
}

/** Puts a part's gradient in its place, turned round, and begins the next one's. */
function endWeightPart(
  dWeights: Float32Array,
  filters: number,
  weightRows: number,
  parts: Float32Array,
  to: number,
): void {
  transpose(dWeights, filters, weightRows, parts, 0, to);
  dWeights.fill(0);
}

function endBiasPart(dBias: Float32Array, parts: Float32Array, to: number): void {
  for (let f = 0; f < dBias.length; f++) parts[to + f] = dBias[f];
  dBias.fill(0);
}

/** Lists, as vector p, the gradients of position p that are not zero, with their filters. */
function listByPosition(
  lists: SparseVectors,
  dOutput: Float32Array,
  winners: Int32Array | null,
  from: number,
  { outputHeight, outputWidth }: Windows,
): void {
  const { offsets, values, counts, stride } = lists;
  const cell = winners ? 2 : 1;
  counts.fill(0);
  let at = from;
  for (let y = 0; y + cell <= outputHeight; y += cell) {
    for (let x = 0; x + cell <= outputWidth; x += cell) {
      const position = y * outputWidth + x;
      for (let f = 0; f < stride; f++, at++) {
        const value = dOutput[at];
        if (value === 0) continue;
        const winner = winners ? winners[at] : 0;
        const p = position + (winner >> 1) * outputWidth + (winner & 1);
        const place = p * stride + counts[p]++;
        offsets[place] = f;
        values[place] = value;
      }
    }
  }
}

/** dInput of one image: for each pixel, the gradients of the windows that cover it, times the weights of its tap there. */
function findInputGradient(
  windows: Windows,
  byPosition: SparseVectors,
  covering: SparseVectors,
  transposed: Float32Array,
  starts: Float32Array,
  dInput: Float32Array,
  to: number,
): void {
  const { inputHeight, inputWidth, channels } = windows;
  let place = to;
  for (let y = 0; y < inputHeight; y++) {
    for (let x = 0; x < inputWidth; x++) {
      listCovering(windows, byPosition, covering, y, x);
      multiplyRow(covering, 0, transposed, channels, starts, dInput, place);
      place += channels;
    }
  }
}

/** Lists, as vector 0, the gradients of all windows that cover a pixel, with the rows of transposed weights they meet. */
function listCovering(
  windows: Windows,
  byPosition: SparseVectors,
  covering: SparseVectors,
  pixelY: number,
  pixelX: number,
): void {
  const { channels, kernelHeight, kernelWidth, strideY, strideX, padTop, padLeft, outputHeight, outputWidth } = windows;
  const { offsets: filters, values, counts, stride } = byPosition;
  const { offsets, values: slopes } = covering;
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
  covering.counts[0] = count;
}

/** The first window that covers an element, `at` counted from where window 0 begins. */
function firstWindow(at: number, kernel: number, stride: number): number {
  return at < kernel ? 0 : Math.ceil((at - kernel + 1) / stride);
}

/** One past the last window that covers it. */
function endWindow(at: number, stride: number, count: number): number {
  return Math.min(count, Math.floor(at / stride) + 1);
}
