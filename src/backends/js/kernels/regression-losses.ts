/** Losses on numbers and their gradients. Outputs' losses are summed in float64, and so are those of samples. */

import { checkNumber } from '../../../errors.js';
import type { HuberOp, MeanAbsoluteErrorOp, MeanSquaredErrorOp } from '../../../program/ops.js';
import { type Kernel, type KernelContext, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';

const fround = Math.fround;
const LEAST_NORMAL = 2 ** -126;
const MOST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** A loss of d = prediction - target: its value, and its slope but for a factor that belongs to `scale`. */
interface Rule {
  factor: number;
  value(d: number): number;
  slope(d: number): number;
}

/** Loss of a sample: mean_j value(d). dPredictions = slope(d) · factor / (rows · columns). */
function prepareRegression(
  op: MeanSquaredErrorOp | MeanAbsoluteErrorOp | HuberOp,
  { float }: KernelContext,
  { factor, value, slope }: Rule,
): Kernel {
  const predictions = float(op.predictions);
  const targets = float(op.targets);
  const dPredictions = op.dPredictions ? float(op.dPredictions) : null;
  const { columns } = predictions;
  requireSameShape(op.op, targets, predictions);
  if (dPredictions) requireSameShape(op.op, dPredictions, predictions);

  return (step) => {
    const rows = rowsIn(predictions, step);
    const p = predictions.values;
    const t = targets.values;
    const scale = fround(factor / (rows * columns));
    let lossSum = 0;
    for (let i = 0; i < rows; i++) {
      let loss = 0;
      for (let at = i * columns; at < (i + 1) * columns; at++) {
        const d = fround(p[at] - t[at]);
        loss += value(d);
        if (dPredictions) dPredictions.values[at] = fround(slope(d) * scale);
      }
      lossSum += loss / columns;
    }
    step.metrics[step.metricOffset] += lossSum;
  };
}

/** d², whose slope is 2 d. */
export const prepareMeanSquaredError: PrepareKernel<'meanSquaredError'> = (op, context) =>
  prepareRegression(op, context, { factor: 2, value: (d) => fround(d * d), slope: (d) => d });

/** |d|, whose slope is the sign of d: 0 at 0, and NaN of NaN. */
export const prepareMeanAbsoluteError: PrepareKernel<'meanAbsoluteError'> = (op, context) =>
  prepareRegression(op, context, { factor: 1, value: Math.abs, slope: Math.sign });

/** d² / 2 where |d| <= delta, delta (|d| - delta / 2) elsewhere; the slope is d kept within ±delta. */
export const prepareHuber: PrepareKernel<'huber'> = (op, context) => {
  const delta = fround(checkNumber(op.delta, 'delta of huber', LEAST_NORMAL, MOST_FLOAT32));
  const half = fround(0.5 * delta);
  return prepareRegression(op, context, {
    factor: 1,
    value: (d) => {
      const size = Math.abs(d);
      return size <= delta ? fround(0.5 * fround(d * d)) : fround(delta * fround(size - half));
    },
    slope: (d) => (d > delta ? delta : d < -delta ? -delta : d),
  });
};
