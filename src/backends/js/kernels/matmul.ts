/**
 * Matrix products: every output element is one chain acc = fround(acc + a · b) in increasing k (docs/numerics.md).
 *
 * One routine, `multiplyRow`, serves matmul, dense and all three products of denseBackward. Its left factor is a list of
 * non-zero values, made once per row or column: 81 % of MNIST's pixels are zero, and so is about half of what leaves a
 * ReLU. Products and sums are float64 in between, which is exact up to the one rounding that fround does.
 */

import { expected, MnistTrainError } from '../../../errors.js';
import { type FloatMatrix, type Kernel, type PrepareKernel, rowsIn } from './kernel.js';

const fround = Math.fround;

/** The non-zero values of some vectors: vector v's are entries v * stride ... v * stride + counts[v] - 1. */
export interface SparseVectors {
  /** Where the right factor's row begins: its index times the right factor's columns. */
  offsets: Int32Array;
  /** float64, so that the multiplication needs no conversion (float32 measured 1.4 times as slow). */
  values: Float64Array;
  counts: Int32Array;
  stride: number;
}

export function createSparseVectors(vectors: number, length: number): SparseVectors {
  return {
    offsets: new Int32Array(vectors * length),
    values: new Float64Array(vectors * length),
    counts: new Int32Array(vectors),
    stride: length,
  };
}

/** Lists the non-zeros of one row, values[from ... from + length - 1], as a vector. NaN counts as non-zero. */
export function compressRow(
  sparse: SparseVectors,
  values: Float32Array,
  from: number,
  length: number,
  rightColumns: number,
  vector = 0,
): void {
  const { offsets, values: nonZeros } = sparse;
  const first = vector * sparse.stride;
  let place = first;
  for (let k = 0; k < length; k++) {
    const value = values[from + k];
    if (value !== 0) {
      offsets[place] = k * rightColumns;
      nonZeros[place++] = value;
    }
  }
  sparse.counts[vector] = place - first;
}

/** Lists the non-zeros of every column of values[rows, columns]; `row` is room for one row's non-zeros. */
export function compressColumns(
  sparse: SparseVectors,
  row: SparseVectors,
  values: Float32Array,
  rows: number,
  columns: number,
  rightColumns: number,
): void {
  const { offsets, values: nonZeros, counts, stride } = sparse;
  counts.fill(0);
  for (let i = 0; i < rows; i++) {
    compressRow(row, values, i * columns, columns, 1);
    const offset = i * rightColumns;
    const count = row.counts[0];
    for (let entry = 0; entry < count; entry++) {
      const k = row.offsets[entry];
      const place = k * stride + counts[k]++;
      offsets[place] = offset;
      nonZeros[place] = row.values[entry];
    }
  }
}

/**
 * output[to ... to + columns - 1] = starts[startsFrom ...] + Σ_k left[k] · right[k, columns], in increasing k, where row k
 * of the right factor begins `rightFrom` behind the offset in the list.
 *
 * Eight columns at a time: eight independent chains hide the latency of addition and rounding, and the accumulators
 * stay in registers. Measured per multiply-add on an AMD EPYC (Zen 4), Node.js 20: 0.77 ns; four columns 0.87; sixteen
 * 0.80; four or eight k per pass over an accumulator row in memory 0.88 and 0.94. A float64 copy of the right factor
 * gave 0.71 and lost it again in copying. Skipping the zeros of the right factor too (dOutput behind a ReLU) lost: about
 * 60 % of it is not zero, and following an index list costs more per term than that saves.
 */
export function multiplyRow(
  sparse: SparseVectors,
  vector: number,
  right: Float32Array,
  columns: number,
  starts: Float32Array,
  output: Float32Array,
  to: number,
  startsFrom = 0,
  rightFrom = 0,
): void {
  const { offsets, values } = sparse;
  const first = vector * sparse.stride;
  const last = first + sparse.counts[vector];
  let j = 0;
  for (; j + 8 <= columns; j += 8) {
    const start = startsFrom + j;
    let sum0 = starts[start];
    let sum1 = starts[start + 1];
    let sum2 = starts[start + 2];
    let sum3 = starts[start + 3];
    let sum4 = starts[start + 4];
    let sum5 = starts[start + 5];
    let sum6 = starts[start + 6];
    let sum7 = starts[start + 7];
    const column = rightFrom + j;
    for (let entry = first; entry < last; entry++) {
      const value = values[entry];
      const row = offsets[entry] + column;
      sum0 = fround(sum0 + value * right[row]);
      sum1 = fround(sum1 + value * right[row + 1]);
      sum2 = fround(sum2 + value * right[row + 2]);
      sum3 = fround(sum3 + value * right[row + 3]);
      sum4 = fround(sum4 + value * right[row + 4]);
      sum5 = fround(sum5 + value * right[row + 5]);
      sum6 = fround(sum6 + value * right[row + 6]);
      sum7 = fround(sum7 + value * right[row + 7]);
    }
    const place = to + j;
    output[place] = sum0;
    output[place + 1] = sum1;
    output[place + 2] = sum2;
    output[place + 3] = sum3;
    output[place + 4] = sum4;
    output[place + 5] = sum5;
    output[place + 6] = sum6;
    output[place + 7] = sum7;
  }
  // What is left of ten classes or six filters would be a fifth of the work and half of the time, column by column.
  if (j + 4 <= columns) {
    multiplyFour(sparse, first, last, right, rightFrom + j, starts, startsFrom + j, output, to + j);
    j += 4;
  }
  if (j + 2 <= columns) {
    multiplyTwo(sparse, first, last, right, rightFrom + j, starts, startsFrom + j, output, to + j);
    j += 2;
  }
  if (j < columns) {
    let sum = starts[startsFrom + j];
    const column = rightFrom + j;
    for (let entry = first; entry < last; entry++) sum = fround(sum + values[entry] * right[offsets[entry] + column]);
    output[to + j] = sum;
  }
}

/** Four columns of multiplyRow, from entry `first` of the list to the one before `last`. */
function multiplyFour(
  { offsets, values }: SparseVectors,
  first: number,
  last: number,
  right: Float32Array,
  column: number,
  starts: Float32Array,
  start: number,
  output: Float32Array,
  to: number,
): void {
  let sum0 = starts[start];
  let sum1 = starts[start + 1];
  let sum2 = starts[start + 2];
  let sum3 = starts[start + 3];
  for (let entry = first; entry < last; entry++) {
    const value = values[entry];
    const row = offsets[entry] + column;
    sum0 = fround(sum0 + value * right[row]);
    sum1 = fround(sum1 + value * right[row + 1]);
    sum2 = fround(sum2 + value * right[row + 2]);
    sum3 = fround(sum3 + value * right[row + 3]);
  }
  output[to] = sum0;
  output[to + 1] = sum1;
  output[to + 2] = sum2;
  output[to + 3] = sum3;
}

/** Two columns of multiplyRow. */
function multiplyTwo(
  { offsets, values }: SparseVectors,
  first: number,
  last: number,
  right: Float32Array,
  column: number,
  starts: Float32Array,
  start: number,
  output: Float32Array,
  to: number,
): void {
  let sum0 = starts[start];
  let sum1 = starts[start + 1];
  for (let entry = first; entry < last; entry++) {
    const value = values[entry];
    const row = offsets[entry] + column;
    sum0 = fround(sum0 + value * right[row]);
    sum1 = fround(sum1 + value * right[row + 1]);
  }
  output[to] = sum0;
  output[to + 1] = sum1;
}

/** output[columns, rows] = input[rows, columns] turned round, from `from` and `to` on. */
export function transpose(
  input: Float32Array,
  rows: number,
  columns: number,
  output: Float32Array,
  from = 0,
  to = 0,
): void {
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) output[to + j * rows + i] = input[from + i * columns + j];
  }
}

/** output[m, n] = a[m, k] · b[k, n]; a stored [k, m] and b stored [n, k] where transposed. */
export const prepareMatmul: PrepareKernel<'matmul'> = (op, { float }) => {
  const a = float(op.a);
  const b = float(op.b);
  const output = float(op.output);
  const { transposeA, transposeB } = op;
  requireProductShape(a, transposeA, b, transposeB, output);

  const n = output.columns;
  const starts = new Float32Array(n);
  const row = createSparseVectors(1, a.columns);
  const aColumns = createSparseVectors(transposeA ? a.columns : 0, a.rows);
  const transposed = transposeB ? new Float32Array(b.rows * b.columns) : null;
  const run: Kernel = (step) => {
    const aRows = rowsIn(a, step);
    if (transposed) transpose(b.values, b.rows, b.columns, transposed);
    const right = transposed ?? b.values;
    if (transposeA) {
      compressColumns(aColumns, row, a.values, aRows, a.columns, n);
      for (let i = 0; i < a.columns; i++) multiplyRow(aColumns, i, right, n, starts, output.values, i * n);
    } else {
      for (let i = 0; i < aRows; i++) {
        compressRow(row, a.values, i * a.columns, a.columns, n);
        multiplyRow(row, 0, right, n, starts, output.values, i * n);
      }
    }
  };
  return run;
};

/** A dimension is a number, or "the samples of the step": rows of batched matrices change from step to step. */
function requireProductShape(
  a: FloatMatrix,
  transposeA: boolean,
  b: FloatMatrix,
  transposeB: boolean,
  output: FloatMatrix,
) {
  const dimensionsOf = (matrix: FloatMatrix, transposed: boolean) => {
    const rows = matrix.batched ? `samples (${matrix.rows})` : String(matrix.rows);
    const columns = String(matrix.columns);
    return transposed ? [columns, rows] : [rows, columns];
  };
  const [m, k] = dimensionsOf(a, transposeA);
  const [bRows, n] = dimensionsOf(b, transposeB);
  if (bRows !== k) {
    throw new MnistTrainError(
      'ERR_SHAPE',
      `Expected ${k} rows for buffer ${b.name} of matmul, the columns of ${a.name}, received ${bRows}.`,
    );
  }
  const [outputRows, outputColumns] = dimensionsOf(output, false);
  if (outputRows !== m || outputColumns !== n) {
    throw expected(
      `shape [${m}, ${n}]`,
      `buffer ${output.name} of matmul`,
      [outputRows, outputColumns],
      '',
      'ERR_SHAPE',
    );
  }
}
