/** Losses and their gradients. Samples' losses are summed in float64, in the order of the rows. */

import {
  type Kernel,
  type PrepareKernel,
  requireColumns,
  requireSameRows,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { log } from './math.js';
import { firstLargest, softmaxRow } from './softmax.js';

const fround = Math.fround;

/**
 * Softmax and cross-entropy against t = (1 - ε) · one-hot + ε / classes. logits, dLogits[rows, classes], targets[rows].
 * dLogits = (softmax - t) / rows. With m the largest logit and s the sum of exponentials, log softmax is
 * x - m - log(s), so the loss is log(s) - Σ_j t[j] (x[j] - m).
 */
export const prepareSoftmaxCrossEntropy: PrepareKernel<'softmaxCrossEntropy'> = (op, { float, integer }) => {
  const logits = float(op.logits);
  const targets = integer(op.targets);
  const dLogits = op.dLogits ? float(op.dLogits) : null;
  const classes = logits.columns;
  requireColumns('softmaxCrossEntropy', targets, 1);
  requireSameRows('softmaxCrossEntropy', targets, logits);
  if (dLogits) requireSameShape('softmaxCrossEntropy', dLogits, logits);

  const off = fround(op.labelSmoothing / classes);
  const on = fround(1 - op.labelSmoothing);
  const hit = fround(on + off);
  const probabilities = new Float32Array(classes);
  const run: Kernel = (step) => {
    const rows = rowsIn(logits, step);
    const x = logits.values;
    const scale = fround(1 / rows);
    let lossSum = 0;
    let correct = 0;
    for (let i = 0; i < rows; i++) {
      const from = i * classes;
      const target = targets.values[i];
      const largest = firstLargest(x, from, classes);
      const maximum = x[largest];
      const sum = softmaxRow(x, from, classes, maximum, probabilities, 0);
      if (target >= 0 && target < classes) {
        lossSum += sampleLoss(x, from, classes, target, maximum, sum, on, off);
        if (largest === from + target) correct++;
      } else {
        lossSum += Number.NaN;
      }
      if (dLogits) {
        const dx = dLogits.values;
        for (let j = 0; j < classes; j++) {
          dx[from + j] = fround(fround(probabilities[j] - (j === target ? hit : off)) * scale);
        }
      }
    }
    step.metrics[step.metricOffset] += lossSum;
    step.metrics[step.metricOffset + 1] += correct;
  };
  return run;
};

function sampleLoss(
  x: Float32Array,
  from: number,
  classes: number,
  target: number,
  maximum: number,
  sum: number,
  on: number,
  off: number,
): number {
  const a = fround(x[from + target] - maximum);
  let b = 0;
  for (let j = 0; j < classes; j++) b = fround(b + fround(x[from + j] - maximum));
  return fround(fround(log(sum) - fround(on * a)) - fround(off * b));
}

/** Loss of a sample: mean_j (p - t)². dPredictions = 2 (p - t) / (rows · columns). */
export const prepareMeanSquaredError: PrepareKernel<'meanSquaredError'> = (op, { float }) => {
  const predictions = float(op.predictions);
  const targets = float(op.targets);
  const dPredictions = op.dPredictions ? float(op.dPredictions) : null;
  const { columns } = predictions;
  requireSameShape('meanSquaredError', targets, predictions);
  if (dPredictions) requireSameShape('meanSquaredError', dPredictions, predictions);

  const run: Kernel = (step) => {
    const rows = rowsIn(predictions, step);
    const p = predictions.values;
    const t = targets.values;
    const scale = fround(2 / (rows * columns));
    let lossSum = 0;
    for (let i = 0; i < rows; i++) {
      let squares = 0;
      for (let at = i * columns; at < (i + 1) * columns; at++) {
        const d = fround(p[at] - t[at]);
        squares += fround(d * d);
        if (dPredictions) dPredictions.values[at] = fround(d * scale);
      }
      lossSum += squares / columns;
    }
    step.metrics[step.metricOffset] += lossSum;
  };
  return run;
};
