/** Cross-entropies of classes and their gradients. Samples' losses are summed in float64, in the order of the rows. */

import { checkNumber, expected } from '../../../errors.js';
import {
  type FloatMatrix,
  type IntegerMatrix,
  type Kernel,
  type KernelContext,
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

/**
 * The same with a weight per class, and against class indices or rows of shares: targets[rows] or [rows, classes], weights
 * [1, classes]. With u[j] = weights[j] · ((1 - ε) t[j] + ε / classes), the loss is Σ_j u[j] (log(s) - (x[j] - m)) and
 * dLogits = (softmax · Σ u - u) / rows.
 */
export const prepareCrossEntropy: PrepareKernel<'crossEntropy'> = (op, context) => {
  const logits = context.float(op.logits);
  const dLogits = op.dLogits ? context.float(op.dLogits) : null;
  const classes = logits.columns;
  const targets = targetsOf(op.targets, context, logits);
  const weights = op.weights ? context.float(op.weights) : null;
  if (weights) requireWeights(weights, classes);
  if (dLogits) requireSameShape('crossEntropy', dLogits, logits);
  const smoothing = checkNumber(op.labelSmoothing, 'labelSmoothing of crossEntropy', 0, 1, true);

  const off = fround(smoothing / classes);
  const on = fround(1 - smoothing);
  const probabilities = new Float32Array(classes);
  const shares = new Float32Array(classes);
  const run: Kernel = (step) => {
    const rows = rowsIn(logits, step);
    const x = logits.values;
    const scale = fround(1 / rows);
    let lossSum = 0;
    let correct = 0;
    for (let i = 0; i < rows; i++) {
      const from = i * classes;
      const target = targets.read(i, shares);
      const largest = firstLargest(x, from, classes);
      const maximum = x[largest];
      const logarithm = log(softmaxRow(x, from, classes, maximum, probabilities, 0));
      let total = 0;
      let loss = 0;
      for (let j = 0; j < classes; j++) {
        const smoothed = fround(fround(on * shares[j]) + off);
        const u = weights ? fround(weights.values[j] * smoothed) : smoothed;
        shares[j] = u;
        total = fround(total + u);
        loss += fround(u * fround(logarithm - fround(x[from + j] - maximum)));
      }
      lossSum += target < 0 ? Number.NaN : loss;
      if (largest === from + target) correct++;
      if (dLogits) {
        const dx = dLogits.values;
        for (let j = 0; j < classes; j++) {
          dx[from + j] = fround(fround(fround(probabilities[j] * total) - shares[j]) * scale);
        }
      }
    }
    step.metrics[step.metricOffset] += lossSum;
    step.metrics[step.metricOffset + 1] += correct;
  };
  return run;
};

interface ClassTargets {
  /** Puts the shares of sample i into `shares` and returns its class: -1 for an index that no class has. */
  read(i: number, shares: Float32Array): number;
}

function targetsOf(name: string, context: KernelContext, logits: FloatMatrix): ClassTargets {
  if (context.isInteger(name)) {
    const targets = context.integer(name);
    requireColumns('crossEntropy', targets, 1);
    requireSameRows('crossEntropy', targets, logits);
    return { read: (i, shares) => readIndex(targets, i, shares) };
  }
  const targets = context.float(name);
  requireSameShape('crossEntropy', targets, logits);
  return { read: (i, shares) => readShares(targets, i, shares) };
}

function readIndex({ values }: IntegerMatrix, i: number, shares: Float32Array): number {
  const target = values[i];
  shares.fill(0);
  if (target < 0 || target >= shares.length) return -1;
  shares[target] = 1;
  return target;
}

function readShares({ values, columns }: FloatMatrix, i: number, shares: Float32Array): number {
  const from = i * columns;
  for (let j = 0; j < columns; j++) shares[j] = values[from + j];
  return firstLargest(values, from, columns) - from;
}

function requireWeights(weights: FloatMatrix, classes: number): void {
  requireColumns('crossEntropy', weights, classes);
  if (weights.batched || weights.rows !== 1) {
    throw expected('one row', `buffer ${weights.name} of crossEntropy`, `${weights.rows} rows`, '', 'ERR_SHAPE');
  }
}
