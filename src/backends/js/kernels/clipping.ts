/** What keeps gradients small before the optimizer takes them. */

import { type Kernel, type PrepareKernel, requireColumns } from './kernel.js';

const fround = Math.fround;
/** PyTorch's: keeps the quotient finite. */
const EPSILON = fround(1e-6);

/** gradient = gradient within -limit and limit; NaN stays NaN. */
export const prepareClipByValue: PrepareKernel<'clipByValue'> = (op, { float }) => {
  const gradient = float(op.gradient);
  const limit = fround(op.limit);
  const run: Kernel = () => {
    const { values } = gradient;
    for (let i = 0; i < values.length; i++) {
      if (values[i] > limit) values[i] = limit;
      else if (values[i] < -limit) values[i] = -limit;
    }
  };
  return run;
};

/** output[columns] = Σ over rows of gradient[rows, columns]², in the order of the rows. */
export const prepareColumnSquares: PrepareKernel<'columnSquares'> = (op, { float }) => {
  const gradient = float(op.gradient);
  const output = float(op.output);
  const { columns } = gradient;
  requireColumns('columnSquares', output, columns);
  const run: Kernel = () => {
    const { values } = gradient;
    const { values: sums } = output;
    sums.fill(0);
    for (let from = 0; from < values.length; from += columns) {
      for (let j = 0; j < columns; j++) sums[j] = fround(sums[j] + fround(values[from + j] * values[from + j]));
    }
  };
  return run;
};

/** total[1] += Σ squares[columns], in their order. */
export const prepareAddSquares: PrepareKernel<'addSquares'> = (op, { float }) => {
  const squares = float(op.squares);
  const total = float(op.total);
  requireColumns('addSquares', total, 1);
  const { first } = op;
  const run: Kernel = () => {
    let sum = first ? 0 : total.values[0];
    for (const value of squares.values) sum = fround(sum + value);
    total.values[0] = sum;
  };
  return run;
};

/** gradient = gradient · maxNorm / (sqrt(total) + 1e-6) where that factor is below 1, or NaN. */
export const prepareClipByGlobalNorm: PrepareKernel<'clipByGlobalNorm'> = (op, { float }) => {
  const gradient = float(op.gradient);
  const total = float(op.total);
  requireColumns('clipByGlobalNorm', total, 1);
  const maxNorm = fround(op.maxNorm);
  const run: Kernel = () => {
    const { values } = gradient;
    const factor = fround(maxNorm / fround(fround(Math.sqrt(total.values[0])) + EPSILON));
    if (factor >= 1) return;
    for (let i = 0; i < values.length; i++) values[i] = fround(values[i] * factor);
  };
  return run;
};
