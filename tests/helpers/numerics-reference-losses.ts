import type { Op, OpOf } from '../../src/program/ops.js';
import { activate, add, div, fl, mul, referenceExp, referenceLog, sub } from './numerics-functions.js';
import type { OpValues } from './numerics-reference-images.js';
import type { OpResult } from './op-harness.js';

/** The losses: docs/numerics.md, like numerics-reference.ts. */

export type LossOpName =
  | 'softmaxCrossEntropy'
  | 'crossEntropy'
  | 'binaryCrossEntropy'
  | 'meanSquaredError'
  | 'meanAbsoluteError'
  | 'huber';

type LossValues = Omit<OpValues, 'order' | 'scalars'> & { result: OpResult };

/** Softmax of one row, with the largest value, where it is, and the sum of exponentials. */
export function softmax(x: Float32Array): { p: Float32Array; m: number; s: number; first: number } {
  let first = 0;
  for (let j = 1; j < x.length; j++) if (x[j] > x[first]) first = j;
  const m = x[first];
  const e = x.map((value) => referenceExp(sub(value, m)));
  const s = e.reduce((sum, value) => add(sum, value), 0);
  const r = div(1, s);
  return { p: e.map((value) => mul(value, r)), m, s, first };
}

export function referenceLoss(op: OpOf<LossOpName>, values: LossValues): void {
  if (op.op === 'softmaxCrossEntropy') softmaxCrossEntropy(op, values);
  else if (op.op === 'crossEntropy') crossEntropy(op, values);
  else if (op.op === 'binaryCrossEntropy') binaryCrossEntropy(op, values);
  else regression(op, values);
}

function softmaxCrossEntropy(op: OpOf<'softmaxCrossEntropy'>, { rows, get, set, result }: LossValues): void {
  const [logits, targets] = [get(op.logits), get(op.targets)];
  const count = logits.length / rows;
  const off = fl(op.labelSmoothing / count);
  const on = fl(1 - op.labelSmoothing);
  const made = new Float32Array(logits.length);
  for (let i = 0; i < rows; i++) {
    const x = logits.slice(i * count, (i + 1) * count);
    const { p, m, s, first } = softmax(x);
    const target = targets[i];
    const b = x.reduce((sum, value) => add(sum, sub(value, m)), 0);
    result.loss += sub(sub(referenceLog(s), mul(on, sub(x[target] ?? Number.NaN, m))), mul(off, b));
    if (first === target) result.correct++;
    p.forEach((value, j) => {
      const t = j === target ? add(on, off) : off;
      made[i * count + j] = mul(sub(value, t), div(1, rows));
    });
  }
  set(op.dLogits, made);
}

function crossEntropy(op: OpOf<'crossEntropy'>, { rows, shapeOf, get, set, result }: LossValues): void {
  const [logits, targets] = [get(op.logits), get(op.targets)];
  const weights = op.weights ? get(op.weights) : null;
  const count = logits.length / rows;
  const areIndices = shapeOf(op.targets).length === 1;
  const off = fl(op.labelSmoothing / count);
  const on = fl(1 - op.labelSmoothing);
  const made = new Float32Array(logits.length);
  for (let i = 0; i < rows; i++) {
    const x = logits.slice(i * count, (i + 1) * count);
    const t = areIndices
      ? Float32Array.from({ length: count }, (_, j) => (j === targets[i] ? 1 : 0))
      : targets.slice(i * count, (i + 1) * count);
    const { p, m, s, first } = softmax(x);
    const u = t.map((value, j) => {
      const smoothed = add(mul(on, value), off);
      return weights ? mul(weights[j], smoothed) : smoothed;
    });
    const total = u.reduce((sum, value) => add(sum, value), 0);
    const known = !areIndices || (targets[i] >= 0 && targets[i] < count);
    const terms = Array.from(x, (value, j) => mul(u[j], sub(referenceLog(s), sub(value, m))));
    result.loss += known ? terms.reduce((sum, value) => sum + value, 0) : Number.NaN;
    if (first === (areIndices ? targets[i] : softmax(t).first)) result.correct++;
    p.forEach((value, j) => {
      made[i * count + j] = mul(sub(mul(value, total), u[j]), div(1, rows));
    });
  }
  set(op.dLogits, made);
}

function binaryCrossEntropy(op: OpOf<'binaryCrossEntropy'>, { rows, get, set, result }: LossValues): void {
  const [logits, targets] = [get(op.logits), get(op.targets)];
  const columns = logits.length / rows;
  const smoothed = targets.map((t) => add(mul(t, fl(1 - op.labelSmoothing)), fl(op.labelSmoothing / 2)));
  for (let i = 0; i < rows; i++) {
    let loss = 0;
    let hits = 0;
    for (let at = i * columns; at < (i + 1) * columns; at++) {
      const x = logits[at];
      loss += add(sub(x > 0 ? x : 0, mul(x, smoothed[at])), referenceLog(add(1, referenceExp(-Math.abs(x)))));
      hits += x > 0 === targets[at] > 0.5 ? 1 : 0;
    }
    result.loss += loss / columns;
    result.correct += hits / columns;
  }
  const scale = fl(1 / (rows * columns));
  set(
    op.dLogits,
    logits.map((x, at) => mul(sub(activate('sigmoid', x, 0), smoothed[at]), scale)),
  );
}

type RegressionOp = Extract<Op, { op: 'meanSquaredError' | 'meanAbsoluteError' | 'huber' }>;

/** v, g and the factor of the page's table. */
function ruleOf(op: RegressionOp): { v(d: number): number; g(d: number): number; factor: number } {
  switch (op.op) {
    case 'meanSquaredError':
      return { v: (d) => mul(d, d), g: (d) => d, factor: 2 };
    case 'meanAbsoluteError':
      return { v: Math.abs, g: Math.sign, factor: 1 };
    case 'huber': {
      const delta = fl(op.delta);
      return {
        v: (d) => (Math.abs(d) <= delta ? mul(0.5, mul(d, d)) : mul(delta, sub(Math.abs(d), mul(0.5, delta)))),
        g: (d) => (d > delta ? delta : d < -delta ? -delta : d),
        factor: 1,
      };
    }
  }
}

function regression(op: RegressionOp, { rows, get, set, result }: LossValues): void {
  const { v, g, factor } = ruleOf(op);
  const [p, t] = [get(op.predictions), get(op.targets)];
  const columns = p.length / rows;
  const d = p.map((value, at) => sub(value, t[at]));
  for (let i = 0; i < rows; i++) {
    result.loss += d.slice(i * columns, (i + 1) * columns).reduce((sum, value) => sum + v(value), 0) / columns;
  }
  set(
    op.dPredictions,
    d.map((value) => mul(g(value), fl(factor / (rows * columns)))),
  );
}
