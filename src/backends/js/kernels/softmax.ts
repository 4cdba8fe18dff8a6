/** Softmax, row by row, and its gradient. */

import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';
import { exp } from './math.js';

const fround = Math.fround;

/** Where in values[from ... from + columns - 1] the first largest is. A NaN is only found in the first place. */
export function firstLargest(values: Float32Array, from: number, columns: number): number {
  let best = from;
  for (let at = from + 1; at < from + columns; at++) if (values[at] > values[best]) best = at;
  return best;
}

/** output[to + j] = softmax of one row, whose largest value is `maximum`. Returns s = Σ exp(x[j] - maximum). */
export function softmaxRow(
  input: Float32Array,
  from: number,
  columns: number,
  maximum: number,
  output: Float32Array,
  to: number,
): number {
  let sum = 0;
  for (let j = 0; j < columns; j++) {
    const e = exp(fround(input[from + j] - maximum));
    output[to + j] = e;
    sum = fround(sum + e);
  }
  const r = fround(1 / sum);
  for (let j = 0; j < columns; j++) output[to + j] = fround(output[to + j] * r);
  return sum;
}

/** output[rows, columns] = softmax(input). */
export const prepareSoftmax: PrepareKernel<'softmax'> = (op, { float }) => {
  const input = float(op.input);
  const output = float(op.output);
  requireSameShape('softmax', output, input);
  const { columns } = input;
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      const from = i * columns;
      const maximum = input.values[firstLargest(input.values, from, columns)];
      softmaxRow(input.values, from, columns, maximum, output.values, from);
    }
  };
  return run;
};

/** dInput[rows, columns] = output · (dOutput - Σ_j dOutput · output). */
export const prepareSoftmaxBackward: PrepareKernel<'softmaxBackward'> = (op, { float }) => {
  const output = float(op.output);
  const dOutput = float(op.dOutput);
  const dInput = float(op.dInput);
  requireSameShape('softmaxBackward', dOutput, output);
  requireSameShape('softmaxBackward', dInput, output);
  const { columns } = output;
  const run: Kernel = (step) => {
    const y = output.values;
    const dy = dOutput.values;
    const dx = dInput.values;
    const end = rowsIn(output, step) * columns;
    for (let from = 0; from < end; from += columns) {
      let dot = 0;
      for (let at = from; at < from + columns; at++) dot = fround(dot + fround(dy[at] * y[at]));
      for (let at = from; at < from + columns; at++) dx[at] = fround(y[at] * fround(dy[at] - dot));
    }
  };
  return run;
};
