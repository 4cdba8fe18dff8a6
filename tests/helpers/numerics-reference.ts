import type { Op } from '../../src/program/ops.js';
import {
  activate,
  activateBackward,
  add,
  div,
  fl,
  fma,
  mul,
  referenceExp,
  referenceLog,
  sub,
} from './numerics-functions.js';
import { referenceImageOp } from './numerics-reference-images.js';
import { isUpdateOp, referenceUpdate } from './numerics-reference-updates.js';
import { type OpResult, type OpSetup, shortName } from './op-harness.js';

/**
 * docs/numerics.md, line by line, with nothing skipped, tiled or reused: what both backends are compared with. Written
 * from the page and sharing no code with src.
 */

/** result[m, n]: for each element a chain over k of fma(a(i, k), b(k, j)), from start(j). */
function product(
  [m, k, n]: [number, number, number],
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
  start: (j: number) => number = () => 0,
): Float32Array {
  return Float32Array.from({ length: m * n }, (_, at) => {
    let sum = start(at % n);
    for (let at2 = 0; at2 < k; at2++) sum = fma(a(Math.floor(at / n), at2), b(at2, at % n), sum);
    return sum;
  });
}

/** Softmax of one row, with the largest value, where it is, and the sum of exponentials. */
function softmax(x: Float32Array): { p: Float32Array; m: number; s: number; first: number } {
  let first = 0;
  for (let j = 1; j < x.length; j++) if (x[j] > x[first]) first = j;
  const m = x[first];
  const e = x.map((value) => referenceExp(sub(value, m)));
  const s = e.reduce((sum, value) => add(sum, value), 0);
  const r = div(1, s);
  return { p: e.map((value) => mul(value, r)), m, s, first };
}

/** What the ops of a setup write, by the page. */
export function referenceResult(setup: OpSetup): OpResult {
  const values: Record<string, Float32Array> = { ...setup.inputs };
  const result: OpResult = { outputs: {}, loss: 0, correct: 0 };
  for (const op of setup.ops) {
    const before = result.outputs;
    result.outputs = {};
    referenceOp(op, setup, values, result);
    Object.assign(values, result.outputs);
    result.outputs = { ...before, ...result.outputs };
  }
  return result;
}

function referenceOp(
  op: Op,
  { program, rows, scalars, samples, order }: OpSetup,
  values: Record<string, Float32Array>,
  result: OpResult,
) {
  const shapeOf = (name: string) => {
    const spec = program.buffers.find((buffer) => buffer.name === name)!;
    return spec.batched ? [rows, ...spec.shape.slice(1)] : spec.shape;
  };
  const get = (name: string) => values[shortName(name)];
  const set = (name: string | null, made: Float32Array) => {
    if (name) result.outputs[shortName(name)] = made;
  };
  switch (op.op) {
    case 'gather': {
      const source = samples![op.source];
      const columns = source.length / samples!.count;
      const isPixels = op.source === 'inputs' && source instanceof Uint8Array;
      const made = new Float32Array(rows * columns).map((_, at) => {
        const value = source[order[Math.floor(at / columns)] * columns + (at % columns)];
        return isPixels ? div(value, 255) : value;
      });
      return set(op.output, made);
    }
    case 'matmul': {
      const [m, n] = shapeOf(op.output);
      const [a, b] = [get(op.a), get(op.b)];
      const k = a.length / m;
      return set(
        op.output,
        product(
          [m, k, n],
          (i, at) => (op.transposeA ? a[at * m + i] : a[i * k + at]),
          (at, j) => (op.transposeB ? b[j * k + at] : b[at * n + j]),
        ),
      );
    }
    case 'dense': {
      const [inputs, units] = shapeOf(op.weights);
      const [input, weights, bias] = [get(op.input), get(op.weights), op.bias ? get(op.bias) : null];
      const sums = product(
        [rows, inputs, units],
        (i, k) => input[i * inputs + k],
        (k, j) => weights[k * units + j],
        (j) => (bias ? add(bias[j], 0) : 0),
      );
      return set(
        op.output,
        sums.map((x) => activate(op.activation, x, fl(op.negativeSlope))),
      );
    }
    case 'denseBackward': {
      const [inputs, units] = shapeOf(op.weights);
      const [input, weights, dOutput] = [get(op.input), get(op.weights), get(op.dOutput)];
      const dy = (i: number, j: number) => dOutput[i * units + j];
      set(
        op.dWeights,
        product([inputs, rows, units], (k, i) => input[i * inputs + k], dy),
      );
      set(
        op.dBias,
        product([1, rows, units], () => 1, dy),
      );
      set(
        op.dInput,
        product([rows, units, inputs], dy, (j, k) => weights[k * units + j]),
      );
      return;
    }
    case 'activation':
      return set(
        op.output,
        get(op.input).map((x) => activate(op.activation, x, fl(op.negativeSlope))),
      );
    case 'activationBackward': {
      const reference = get(op.reference);
      const slope = fl(op.negativeSlope);
      return set(
        op.dInput,
        get(op.dOutput).map((dy, i) => activateBackward(op.activation, reference[i], dy, slope)),
      );
    }
    case 'softmax': {
      const input = get(op.input);
      const columns = input.length / rows;
      const made = new Float32Array(input.length);
      for (let i = 0; i < rows; i++) made.set(softmax(input.slice(i * columns, (i + 1) * columns)).p, i * columns);
      return set(op.output, made);
    }
    case 'softmaxBackward': {
      const [y, dy] = [get(op.output), get(op.dOutput)];
      const columns = y.length / rows;
      const made = new Float32Array(y.length);
      for (let i = 0; i < rows; i++) {
        let d = 0;
        for (let j = 0; j < columns; j++) d = add(d, mul(dy[i * columns + j], y[i * columns + j]));
        for (let j = 0; j < columns; j++) made[i * columns + j] = mul(y[i * columns + j], sub(dy[i * columns + j], d));
      }
      return set(op.dInput, made);
    }
    case 'softmaxCrossEntropy': {
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
      return set(op.dLogits, made);
    }
    case 'meanSquaredError': {
      const [p, t] = [get(op.predictions), get(op.targets)];
      const columns = p.length / rows;
      const d = p.map((value, at) => sub(value, t[at]));
      for (let i = 0; i < rows; i++) {
        result.loss +=
          d.slice(i * columns, (i + 1) * columns).reduce((sum, value) => sum + mul(value, value), 0) / columns;
      }
      return set(
        op.dPredictions,
        d.map((value) => mul(value, fl(2 / (rows * columns)))),
      );
    }
    default: {
      const context = { rows, scalars, order, shapeOf, get, set };
      if (isUpdateOp(op)) referenceUpdate(op, context);
      else referenceImageOp(op, context);
    }
  }
}
