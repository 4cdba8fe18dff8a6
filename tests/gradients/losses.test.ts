/** Gradients of losses against central differences of their formulas in float64; see gradients.test.ts. */
import { describe, expect, it } from 'vitest';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { DIFFERENCE, differences, expectClose, STEP, sum, U, wide } from '../helpers/differences.js';
import { classes, type Fill, normal, positive, runOp, setUpOp } from '../helpers/op-harness.js';

const rowOf = (x: Float64Array, i: number, columns: number) => x.subarray(i * columns, (i + 1) * columns);

/** Σ weights · target · -log softmax, with the target smoothed. */
function crossEntropy(x: Float64Array, target: Float64Array, weights: Float64Array, smoothing: number): number {
  const most = Math.max(...x);
  const logarithm = most + Math.log(sum(x.map((value) => Math.exp(value - most))));
  return sum(
    x.map((value, j) => weights[j] * ((1 - smoothing) * target[j] + smoothing / x.length) * (logarithm - value)),
  );
}

const labels: Fill = (stream) => stream.below(5) / 4;

describe.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
  'gradients of losses: $title',
  ({ backend }) => {
    it.each([
      [3, 0, true],
      [10, 0.1, true],
      [17, 0.3, true],
      [3, 0, false],
      [10, 0.1, false],
    ])('crossEntropy over %i classes with smoothing %f, indices %s', async (columns, labelSmoothing, areIndices) => {
      const rows = 7;
      const setup = setUpOp(rows, 21, (builder) => {
        builder.add({
          op: 'crossEntropy',
          logits: builder.batched('logits', columns, normal),
          targets: areIndices
            ? builder.classes('targets', classes(columns))
            : builder.batched('targets', columns, positive),
          weights: builder.persistent('weights', 'slot', [columns], positive),
          dLogits: builder.batched('dLogits', columns),
          labelSmoothing,
        });
      });
      const [x, targets, weights] = ['logits', 'targets', 'weights'].map((name) => wide(setup, name));
      const targetOf = (i: number) =>
        areIndices ? new Float64Array(columns).map((_, j) => (j === targets[i] ? 1 : 0)) : rowOf(targets, i, columns);
      const loss = (moved: Float64Array) => {
        let total = 0;
        for (let i = 0; i < rows; i++) {
          total += crossEntropy(rowOf(moved, i, columns), targetOf(i), weights, labelSmoothing);
        }
        return total / rows;
      };
      const result = await runOp(backend, setup);
      // Weights are below 1, and so are shares: their sum is at most 1 or `columns`, and off by as many roundings more.
      const total = areIndices ? 1 : columns;
      expectClose(
        result.outputs.dLogits,
        differences(x, loss),
        () => ((2 * columns + 16) * total * U) / rows + DIFFERENCE * total,
        'dLogits',
      );
      expect(Math.abs(result.loss / rows - loss(x))).toBeLessThan((columns + 12) * 8 * total * U);
    });

    it.each([
      [1, 0],
      [3, 0.1],
      [17, 0],
    ])('binaryCrossEntropy over %i columns with smoothing %f', async (columns, labelSmoothing) => {
      const rows = 5;
      const setup = setUpOp(rows, 22, (builder) => {
        builder.add({
          op: 'binaryCrossEntropy',
          logits: builder.batched('logits', columns, normal),
          targets: builder.batched('targets', columns, labels),
          dLogits: builder.batched('dLogits', columns),
          labelSmoothing,
        });
      });
      const [x, targets] = ['logits', 'targets'].map((name) => wide(setup, name));
      const loss = (moved: Float64Array) =>
        sum(
          moved.map((value, i) => {
            const t = (1 - labelSmoothing) * targets[i] + labelSmoothing / 2;
            return t * Math.log1p(Math.exp(-value)) + (1 - t) * Math.log1p(Math.exp(value));
          }),
        ) /
        (rows * columns);
      const result = await runOp(backend, setup);
      const bound = (14 * U + DIFFERENCE) / (rows * columns) + (1e-15 * loss(x)) / STEP;
      expectClose(result.outputs.dLogits, differences(x, loss), () => bound, 'dLogits');
      expect(Math.abs(result.loss / rows - loss(x))).toBeLessThan(8 * 5 * U);
    });

    it.each([
      ['meanAbsoluteError', 1, 1],
      ['meanAbsoluteError', 17, 1],
      ['huber', 1, 0.5],
      ['huber', 17, 1.5],
    ] as const)('%s over %i columns, delta %f', async (op, columns, delta) => {
      const rows = 5;
      const setup = setUpOp(rows, 23, (builder) => {
        const targets = builder.batched('targets', columns, () => 0);
        // A kink has no derivative, and at delta the second one jumps: differences stay away by more than the step.
        const predictions = builder.batched('predictions', columns, (stream) => {
          const d = normal(stream);
          const near = [0, delta, -delta].some((kink) => Math.abs(d - kink) < 10 * STEP);
          return near ? delta / 2 : d;
        });
        const dPredictions = builder.batched('dPredictions', columns);
        if (op === 'huber') builder.add({ op, predictions, targets, dPredictions, delta });
        else builder.add({ op, predictions, targets, dPredictions });
      });
      const d = wide(setup, 'predictions');
      const value = (x: number) => {
        if (op === 'meanAbsoluteError') return Math.abs(x);
        return Math.abs(x) <= delta ? (x * x) / 2 : delta * (Math.abs(x) - delta / 2);
      };
      const loss = (moved: Float64Array) => sum(moved.map(value)) / (rows * columns);
      const result = await runOp(backend, setup);
      // Two roundings, of numbers up to 4. The loss is at most quadratic: no error of third order.
      const bound = (4 * 4 * U) / (rows * columns) + (1e-15 * (1 + loss(d))) / STEP;
      expectClose(result.outputs.dPredictions, differences(d, loss), () => bound, 'dPredictions');
      expect(Math.abs(result.loss / rows - loss(d))).toBeLessThan(8 * U * loss(d));
    });
  },
);
