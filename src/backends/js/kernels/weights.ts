/** What is done to weights besides the optimizer's step: penalties on their size, limits to it, and averages. */

import { type Kernel, type PrepareKernel, requireSameShape } from './kernel.js';

const fround = Math.fround;
/** Keras's: keeps the quotient finite. */
const EPSILON = fround(1e-7);

/** gradient += 2 · l2 · w + l1 · sign(w). */
export const prepareRegularize: PrepareKernel<'regularize'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const gradient = float(op.gradient);
  requireSameShape('regularize', gradient, parameter);
  const hasL1 = op.l1 !== 0;
  const hasL2 = op.l2 !== 0;
  const l1 = fround(op.l1);
  const doubleL2 = fround(2 * op.l2);
  const run: Kernel = () => {
    const { values: weights } = parameter;
    const { values: gradients } = gradient;
    for (let i = 0; i < weights.length; i++) {
      const w = weights[i];
      let g = gradients[i];
      if (hasL2) g = fround(g + fround(doubleL2 * w));
      if (hasL1) g = fround(g + (w > 0 ? l1 : w < 0 ? -l1 : 0));
      gradients[i] = g;
    }
  };
  return run;
};

/** parameter[rows, columns]: every column longer than maxValue is scaled down to it. */
export const prepareMaxNorm: PrepareKernel<'maxNorm'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const maxValue = fround(op.maxValue);
  const { columns } = parameter;
  const scales = new Float32Array(columns);
  const run: Kernel = () => {
    const { values: weights } = parameter;
    scales.fill(0);
    for (let from = 0; from < weights.length; from += columns) {
      for (let j = 0; j < columns; j++) scales[j] = fround(scales[j] + fround(weights[from + j] * weights[from + j]));
    }
    let isAnyLonger = false;
    for (let j = 0; j < columns; j++) {
      const norm = fround(Math.sqrt(scales[j]));
      const isLonger = norm > maxValue;
      isAnyLonger ||= isLonger;
      // Multiplying by exactly 1 changes no bit.
      scales[j] = isLonger ? fround(maxValue / fround(norm + EPSILON)) : 1;
    }
    if (!isAnyLonger) return;
    for (let from = 0; from < weights.length; from += columns) {
      for (let j = 0; j < columns; j++) weights[from + j] = fround(weights[from + j] * scales[j]);
    }
  };
  return run;
};

/** average = average + rate · (parameter - average), from whichever end is nearer: see docs/numerics.md. */
export const prepareAverage: PrepareKernel<'average'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const average = float(op.average);
  requireSameShape('average', average, parameter);
  const run: Kernel = ({ scalars, scalarOffset }) => {
    const rate = scalars[scalarOffset + op.rate];
    const [weights, averages] = [parameter.values, average.values];
    if (rate < 0.5) {
      for (let i = 0; i < weights.length; i++) {
        averages[i] = fround(averages[i] + fround(rate * fround(weights[i] - averages[i])));
      }
    } else {
      const rest = fround(1 - rate);
      for (let i = 0; i < weights.length; i++) {
        averages[i] = fround(weights[i] - fround(rest * fround(weights[i] - averages[i])));
      }
    }
  };
  return run;
};
