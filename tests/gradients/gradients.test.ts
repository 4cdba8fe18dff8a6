/**
 * Every backward op against central differences of its forward function, computed in float64 by a reference that shares
 * no code with the kernels. Bounds: U is the error of one float32 rounding; a chain of n terms is off by at most
 * (n + 1) · U · Σ|a||b|. What central differences lose is bounded by DIFFERENCE times the size of what is summed.
 */
import { describe, expect, it } from 'vitest';
import { ACTIVATIONS, type Activation } from '../../src/program/ops.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { DIFFERENCE, differences, expectClose, STEP, sum, U, wide } from '../helpers/differences.js';
import { classes, normal, runOp, setUpOp, sparse } from '../helpers/op-harness.js';

const SLOPE = 0.2;

/** Φ by its Taylor series, all terms of one sign. */
function normalDistribution(x: number): number {
  let [term, total] = [Math.abs(x), Math.abs(x)];
  for (let n = 3; term > 1e-18 * total; n += 2) {
    term *= (x * x) / n;
    total += term;
  }
  const half = (total * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  return x < 0 ? 0.5 - half : 0.5 + half;
}

const FORWARD: Record<Activation, (x: number) => number> = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  leakyRelu: (x) => (x > 0 ? x : Math.fround(SLOPE) * x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  gelu: (x) => x * normalDistribution(x),
};

function softmax(x: Float64Array): Float64Array {
  const e = x.map((value) => Math.exp(value - Math.max(...x)));
  return e.map((value) => value / sum(e));
}

const rowOf = (x: Float64Array, i: number, columns: number) => x.subarray(i * columns, (i + 1) * columns);

describe.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
  'gradients: $title',
  ({ backend }) => {
    it.each([
      [1, 1, 1],
      [3, 7, 5],
      [7, 17, 3],
      [17, 5, 16],
    ])('denseBackward [%i, %i, %i]', async (rows, inputs, units) => {
      const setup = setUpOp(rows, 11, (builder) => {
        builder.add({
          op: 'denseBackward',
          input: builder.batched('input', inputs, sparse),
          weights: builder.persistent('weights', 'parameter', [inputs, units], normal),
          dOutput: builder.batched('dOutput', units, sparse),
          dWeights: builder.fixed('dWeights', [inputs, units]),
          dBias: builder.fixed('dBias', [units]),
          dInput: builder.batched('dInput', inputs),
          update: false,
        });
      });
      const [x, w, dy] = ['input', 'weights', 'dOutput'].map((name) => wide(setup, name));
      /** Σ dOutput · (input · weights + bias), and the same of absolute values. */
      const loss = (input: Float64Array, weights: Float64Array, bias: Float64Array) => {
        let total = 0;
        for (let i = 0; i < rows; i++) {
          for (let j = 0; j < units; j++) {
            let y = bias[j];
            for (let k = 0; k < inputs; k++) y += input[i * inputs + k] * weights[k * units + j];
            total += dy[i * units + j] * y;
          }
        }
        return total;
      };
      const zero = new Float64Array(units);
      // The loss is linear in each argument: central differences are off by float64's rounding only.
      const rounding = (1e-15 * sum([...x, ...w, ...dy].map(Math.abs)) ** 2) / STEP;
      const at = (values: Float64Array, i: number) => Math.abs(values[i]);
      const { outputs } = await runOp(backend, setup);
      const chain = (length: number, term: (t: number) => number) =>
        rounding + (length + 1) * U * sum(Array.from({ length }, (_, t) => term(t)));
      expectClose(
        outputs.dWeights,
        differences(w, (moved) => loss(x, moved, zero)),
        (i) => chain(rows, (t) => at(x, t * inputs + Math.floor(i / units)) * at(dy, t * units + (i % units))),
        'dWeights',
      );
      expectClose(
        outputs.dBias,
        differences(zero, (moved) => loss(x, w, moved)),
        (j) => chain(rows, (t) => at(dy, t * units + j)),
        'dBias',
      );
      expectClose(
        outputs.dInput,
        differences(x, (moved) => loss(moved, w, zero)),
        (i) => chain(units, (t) => at(dy, Math.floor(i / inputs) * units + t) * at(w, (i % inputs) * units + t)),
        'dInput',
      );
    });

    it.each(ACTIVATIONS)('activationBackward of %s', async (activation) => {
      const [rows, columns] = [5, 17];
      const setup = setUpOp(rows, 12, (builder) => {
        // A kink has no derivative: arguments stay away from zero by more than the step.
        const input = builder.batched('input', columns, (stream) => {
          const x = normal(stream);
          return Math.abs(x) > 10 * STEP ? x : 1;
        });
        const output = builder.batched('output', columns);
        const dOutput = builder.batched('dOutput', columns, normal);
        const dInput = builder.batched('dInput', columns);
        const reference = activation === 'gelu' ? input : output;
        builder.add({ op: 'activation', input, output, activation, negativeSlope: SLOPE });
        builder.add({ op: 'activationBackward', reference, dOutput, dInput, activation, negativeSlope: SLOPE });
      });
      const [x, dy] = ['input', 'dOutput'].map((name) => wide(setup, name));
      const { outputs } = await runOp(backend, setup);
      const forward = FORWARD[activation];
      expectClose(
        outputs.output,
        Array.from(x, forward),
        (i) => (activation === 'gelu' ? 7.5e-8 * Math.abs(x[i]) : 0) + 10 * U * Math.max(1, Math.abs(x[i])),
        'output',
      );
      // y is off by up to 8 U (js-math.test.ts); y (1 - y) and 1 - y² double that and add two roundings, dy one.
      // gelu: its formula of Φ is off by 7.5e-8; x · density and Φ are each off by some roundings.
      expectClose(
        outputs.dInput,
        differences(x, (moved) => sum(moved.map((value, i) => dy[i] * forward(value)))),
        (i) => Math.abs(dy[i]) * ((activation === 'gelu' ? 7.5e-8 : 0) + 20 * U) + DIFFERENCE * (1 + Math.abs(dy[i])),
        'dInput',
      );
    });

    it.each([1, 3, 10, 17])('softmaxBackward over %i classes', async (columns) => {
      const rows = 5;
      const setup = setUpOp(rows, 13, (builder) => {
        const input = builder.batched('input', columns, normal);
        const output = builder.batched('output', columns);
        const dOutput = builder.batched('dOutput', columns, normal);
        builder.add({ op: 'softmax', input, output });
        builder.add({ op: 'softmaxBackward', output, dOutput, dInput: builder.batched('dInput', columns) });
      });
      const [x, dy] = ['input', 'dOutput'].map((name) => wide(setup, name));
      const loss = (moved: Float64Array) => {
        let total = 0;
        for (let i = 0; i < rows; i++) {
          const p = softmax(rowOf(moved, i, columns));
          total += sum(p.map((value, j) => dy[i * columns + j] * value));
        }
        return total;
      };
      const { outputs } = await runOp(backend, setup);
      // Each e is off by 5 U, their sum by `columns` more, 1 / s and the product by one each; the dot product by as many.
      const relative = (2 * columns + 24) * U;
      expectClose(
        outputs.dInput,
        differences(x, loss),
        (at) => {
          const i = Math.floor(at / columns);
          const p = softmax(rowOf(x, i, columns));
          const dot = sum(p.map((value, j) => Math.abs(dy[i * columns + j]) * value));
          return p[at % columns] * (Math.abs(dy[at]) + dot) * relative + DIFFERENCE;
        },
        'dInput',
      );
    });

    it.each([
      [1, 0],
      [3, 0],
      [10, 0],
      [10, 0.1],
      [17, 0.3],
    ])('softmaxCrossEntropy over %i classes with label smoothing %f', async (columns, labelSmoothing) => {
      const rows = 7;
      const setup = setUpOp(rows, 14, (builder) => {
        const logits = builder.batched('logits', columns, normal);
        const targets = builder.classes('targets', classes(columns));
        builder.add({
          op: 'softmaxCrossEntropy',
          logits,
          targets,
          dLogits: builder.batched('dLogits', columns),
          labelSmoothing,
        });
      });
      const x = wide(setup, 'logits');
      const { targets } = setup.inputs;
      /** The mean over rows of -Σ t log p. */
      const loss = (moved: Float64Array) => {
        let total = 0;
        for (let i = 0; i < rows; i++) {
          softmax(rowOf(moved, i, columns)).forEach((p, j) => {
            const t = (j === targets[i] ? 1 - labelSmoothing : 0) + labelSmoothing / columns;
            if (t !== 0) total -= t * Math.log(p);
          });
        }
        return total / rows;
      };
      const result = await runOp(backend, setup);
      // p is off by (columns + 8) U, t by 2 U, their difference and the product by one each.
      expectClose(
        result.outputs.dLogits,
        differences(x, loss),
        () => ((columns + 12) * U) / rows + DIFFERENCE,
        'dLogits',
      );
      // log s <= log(columns) + ..., and sums of `columns` shifted logits, each below 8: some roundings each.
      expect(Math.abs(result.loss / rows - loss(x))).toBeLessThan((columns + 12) * 8 * U);
      const correct = Array.from(targets, (target, i) => {
        const row = [...rowOf(x, i, columns)];
        return row.indexOf(Math.max(...row)) === target;
      });
      expect(result.correct).toBe(correct.filter(Boolean).length);
    });

    it.each([1, 3, 17])('meanSquaredError over %i columns', async (columns) => {
      const rows = 5;
      const setup = setUpOp(rows, 15, (builder) => {
        const predictions = builder.batched('predictions', columns, normal);
        const targets = builder.batched('targets', columns, normal);
        const dPredictions = builder.batched('dPredictions', columns);
        builder.add({ op: 'meanSquaredError', predictions, targets, dPredictions });
      });
      const [p, t] = ['predictions', 'targets'].map((name) => wide(setup, name));
      const loss = (moved: Float64Array) => sum(moved.map((value, i) => (value - t[i]) ** 2)) / (rows * columns);
      const result = await runOp(backend, setup);
      // Three roundings: the difference, the scale and the product. The loss is quadratic: no error of third order.
      expectClose(
        result.outputs.dPredictions,
        differences(p, loss),
        (i) => (2 * Math.abs(p[i] - t[i]) * 4 * U) / (rows * columns) + (1e-15 * loss(p)) / STEP,
        'dPredictions',
      );
      expect(Math.abs(result.loss / rows - loss(p))).toBeLessThan(4 * U * loss(p));
    });
  },
);
