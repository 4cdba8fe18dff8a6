/** Sigmoid and binary cross-entropy, output by output, with their gradient. */

import { checkNumber } from '../../../errors.js';
import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';
import { exp, log } from './math.js';

const fround = Math.fround;

/**
 * logits, targets, dLogits[rows, columns]. With t = (1 - ε) · target + ε / 2, the loss of a sample is
 * mean_j (max(x, 0) - x t + log(1 + e^-|x|)), which is -t log σ(x) - (1 - t) log(1 - σ(x)) and never overflows;
 * dLogits = (σ(x) - t) / (rows · columns).
 */
export const prepareBinaryCrossEntropy: PrepareKernel<'binaryCrossEntropy'> = (op, { float }) => {
  const logits = float(op.logits);
  const targets = float(op.targets);
  const dLogits = op.dLogits ? float(op.dLogits) : null;
  const { columns } = logits;
  requireSameShape('binaryCrossEntropy', targets, logits);
  if (dLogits) requireSameShape('binaryCrossEntropy', dLogits, logits);
  const smoothing = checkNumber(op.labelSmoothing, 'labelSmoothing of binaryCrossEntropy', 0, 1, true);

  const on = fround(1 - smoothing);
  const half = fround(smoothing / 2);
  const run: Kernel = (step) => {
    const rows = rowsIn(logits, step);
    const scale = fround(1 / (rows * columns));
    let lossSum = 0;
    let correct = 0;
    for (let i = 0; i < rows; i++) {
      let loss = 0;
      let hits = 0;
      for (let at = i * columns; at < (i + 1) * columns; at++) {
        const x = logits.values[at];
        const target = targets.values[at];
        const t = fround(fround(target * on) + half);
        const e = exp(-Math.abs(x));
        const whole = fround(1 + e);
        loss += fround(fround((x > 0 ? x : 0) - fround(x * t)) + log(whole));
        if (x > 0 === target > 0.5) hits++;
        if (dLogits) {
          const r = fround(1 / whole);
          dLogits.values[at] = fround(fround((x < 0 ? fround(e * r) : r) - t) * scale);
        }
      }
      lossSum += loss / columns;
      correct += hits / columns;
    }
    step.metrics[step.metricOffset] += lossSum;
    step.metrics[step.metricOffset + 1] += correct;
  };
  return run;
};
