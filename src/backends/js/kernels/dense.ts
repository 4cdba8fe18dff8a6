/** Fully connected layers. Shapes: input[rows, inputs], weights[inputs, units], output and dOutput[rows, units]. */

import { activate } from './activation.js';
import {
  type Kernel,
  type PrepareKernel,
  requireColumns,
  requireSameRows,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { compressColumns, compressRow, createSparseVectors, multiplyRow, transpose } from './matmul.js';

const fround = Math.fround;

/** output = activation(input · weights + bias). */
export const prepareDense: PrepareKernel<'dense'> = (op, { float }) => {
  const input = float(op.input);
  const weights = float(op.weights);
  const output = float(op.output);
  const inputs = weights.rows;
  const units = weights.columns;
  requireColumns('dense', input, inputs);
  requireColumns('dense', output, units);
  requireSameRows('dense', output, input);
  if (op.bias) requireColumns('dense', float(op.bias), units);

  const starts = op.bias ? float(op.bias).values : new Float32Array(units);
  const sparse = createSparseVectors(1, inputs);
  const slope = fround(op.negativeSlope);
  const { activation } = op;
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      compressRow(sparse, input.values, i * inputs, inputs, units);
      multiplyRow(sparse, 0, weights.values, units, starts, output.values, i * units);
    }
    activate(activation, slope, output.values, output.values, rows * units);
  };
  return run;
};

/**
 * dWeights[inputs, units] = inputᵀ · dOutput, dBias[units] = column sums of dOutput, and where wanted
 * dInput[rows, inputs] = dOutput · weightsᵀ. `update` changes nothing here: the optimizer's ops follow.
 */
export const prepareDenseBackward: PrepareKernel<'denseBackward'> = (op, { float }) => {
  const input = float(op.input);
  const weights = float(op.weights);
  const dOutput = float(op.dOutput);
  const dWeights = op.dWeights ? float(op.dWeights) : null;
  const dBias = op.dBias ? float(op.dBias) : null;
  const dInput = op.dInput ? float(op.dInput) : null;
  const inputs = weights.rows;
  const units = weights.columns;
  requireColumns('denseBackward', input, inputs);
  requireColumns('denseBackward', dOutput, units);
  requireSameRows('denseBackward', dOutput, input);
  if (dWeights) requireSameShape('denseBackward', dWeights, weights);
  if (dBias) requireColumns('denseBackward', dBias, units);
  if (dInput) requireSameShape('denseBackward', dInput, input);

  const starts = new Float32Array(Math.max(inputs, units));
  const inputColumns = createSparseVectors(dWeights ? inputs : 0, input.rows);
  const row = createSparseVectors(1, Math.max(inputs, units));
  // Transposed once per step, so that dInput too walks along rows of its right factor.
  const transposed = new Float32Array(dInput ? inputs * units : 0);
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    if (dWeights) {
      compressColumns(inputColumns, row, input.values, rows, inputs, units);
      for (let k = 0; k < inputs; k++) {
        multiplyRow(inputColumns, k, dOutput.values, units, starts, dWeights.values, k * units);
      }
    }
    if (dBias) sumRows(dOutput.values, rows, units, dBias.values);
    if (dInput) {
      transpose(weights.values, inputs, units, transposed);
      for (let i = 0; i < rows; i++) {
        compressRow(row, dOutput.values, i * units, units, inputs);
        multiplyRow(row, 0, transposed, inputs, starts, dInput.values, i * inputs);
      }
    }
  };
  return run;
};

/** sums[columns] = Σ over rows of values[rows, columns], in the order of the rows, each sum rounded. */
function sumRows(values: Float32Array, rows: number, columns: number, sums: Float32Array): void {
  sums.fill(0, 0, columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) sums[j] = fround(sums[j] + values[i * columns + j]);
  }
}
