import type { Activation, Op } from '../../src/program/ops.js';
import { type OpResult, type OpSetup, shortName } from './op-harness.js';

/**
 * docs/numerics.md, line by line, with nothing skipped, tiled or reused: what both backends are compared with. Written
 * from the page and sharing no code with src.
 */

const fl = Math.fround;
const add = (a: number, b: number) => fl(a + b);
const sub = (a: number, b: number) => fl(a - b);
const mul = (a: number, b: number) => fl(a * b);
const div = (a: number, b: number) => fl(a / b);
const fma = (a: number, b: number, c: number) => fl(a * b + c);
const flush = (x: number) => (Math.abs(x) < 2 ** -126 ? 0 : x);

/** c[0], then p = p * x + c[i]. */
function polynomial(x: number, coefficients: number[]): number {
  return coefficients.slice(1).reduce((p, c) => add(mul(p, x), fl(c)), fl(coefficients[0]));
}

export function referenceExp(x: number): number {
  if (x < fl(-87.3365448)) return 0;
  const n = sub(add(mul(x, fl(Math.LOG2E)), 12582912), 12582912);
  const r = sub(sub(x, mul(n, fl(0.693359375))), mul(n, fl(-2.1219444e-4)));
  const p = polynomial(
    r,
    [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.50000001201],
  );
  return fl(add(add(mul(mul(p, r), r), r), 1) * 2 ** n);
}

export function referenceLog(x: number): number {
  if (Number.isNaN(x)) return x;
  let e = 0;
  let m = x;
  for (; m >= 2; e++) m /= 2;
  for (; m < 1; e--) m *= 2;
  // m in [1, 2): one more step where half of it still reaches the boundary.
  if (m / 2 >= fl(Math.SQRT1_2)) {
    m /= 2;
    e++;
  }
  const f = sub(m, 1);
  const z = mul(f, f);
  const p = polynomial(
    f,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  let y = mul(mul(f, z), p);
  y = add(y, mul(e, fl(-2.1219444e-4)));
  y = sub(y, mul(0.5, z));
  return add(add(f, y), mul(e, fl(0.693359375)));
}

function sigmoid(x: number): number {
  const e = referenceExp(-Math.abs(x));
  const r = div(1, add(1, e));
  return x < 0 ? mul(e, r) : r;
}

function tanh(x: number): number {
  if (Math.abs(x) < 0.625) {
    const s = mul(x, x);
    const p = polynomial(
      s,
      [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
    );
    return add(mul(mul(p, s), x), x);
  }
  const e = referenceExp(mul(-2, Math.abs(x)));
  const t = div(sub(1, e), add(1, e));
  return x < 0 ? -t : t;
}

function normal(x: number): { distribution: number; g: number } {
  const z = mul(Math.abs(x), fl(Math.SQRT1_2));
  const t = div(1, add(1, mul(fl(0.3275911), z)));
  const q = polynomial(t, [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]);
  const g = referenceExp(-mul(z, z));
  const u = mul(mul(0.5, mul(q, t)), g);
  return { distribution: x < 0 ? u : sub(1, u), g };
}

function activate(activation: Activation, x: number, slope: number): number {
  switch (activation) {
    case 'linear':
      return x;
    case 'relu':
      return Math.max(x, 0);
    case 'leakyRelu':
      return x > 0 ? x : mul(slope, x);
    case 'sigmoid':
      return sigmoid(x);
    case 'tanh':
      return tanh(x);
    case 'gelu':
      return mul(x, normal(x).distribution);
  }
}

function activateBackward(activation: Activation, y: number, dy: number, slope: number): number {
  switch (activation) {
    case 'linear':
      return dy;
    case 'relu':
      return y > 0 ? dy : 0;
    case 'leakyRelu':
      return y > 0 ? dy : mul(slope, dy);
    case 'sigmoid':
      return mul(dy, mul(y, sub(1, y)));
    case 'tanh':
      return mul(dy, sub(1, mul(y, y)));
    case 'gelu': {
      const { distribution, g } = normal(y);
      return mul(dy, add(distribution, mul(y, mul(fl(0.39894228), g))));
    }
  }
}

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
    case 'sgd': {
      const [w, gradient, velocity] = [get(op.parameter), get(op.gradient), op.velocity ? get(op.velocity) : null];
      const momentum = fl(op.momentum);
      const g = gradient.map((value, i) => (op.weightDecay !== 0 ? add(value, mul(fl(op.weightDecay), w[i])) : value));
      const v = velocity ? velocity.map((value, i) => flush(add(mul(momentum, value), g[i]))) : g;
      const d = op.nesterov ? v.map((value, i) => add(g[i], mul(momentum, value))) : v;
      set(op.velocity, v);
      return set(
        op.parameter,
        w.map((value, i) => sub(value, mul(scalars[op.learningRate], d[i]))),
      );
    }
    case 'adam': {
      const [w, g] = [get(op.parameter), get(op.gradient)];
      const m = get(op.firstMoment).map((value, i) =>
        flush(add(mul(fl(op.beta1), value), mul(fl(1 - op.beta1), g[i]))),
      );
      const v = get(op.secondMoment).map((value, i) =>
        flush(add(mul(fl(op.beta2), value), mul(fl(1 - op.beta2), mul(g[i], g[i])))),
      );
      set(op.firstMoment, m);
      set(op.secondMoment, v);
      const made = w.map((value, i) => {
        const decayed = scalars[op.decay] !== 1 ? mul(value, scalars[op.decay]) : value;
        const divisor = add(mul(fl(Math.sqrt(v[i])), scalars[op.correction]), fl(op.epsilon));
        return sub(decayed, div(mul(scalars[op.stepSize], m[i]), divisor));
      });
      return set(op.parameter, made);
    }
  }
}
