import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  binaryCrossentropy,
  categoricalCrossentropy,
  huber,
  type Loss,
  meanAbsoluteError,
  meanSquaredError,
} from '../../src/index.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { expectClose, type Numbers, ROUNDING } from '../helpers/golden.js';
import { writeNow } from '../helpers/sessions.js';

interface Case {
  columns: number;
  inputs: Numbers;
  targets: Numbers;
  /** Summed over the samples. */
  loss: number;
  gradient: Numbers;
}

interface Golden {
  rows: number;
  crossEntropies: (Case & {
    kind: 'indices' | 'one-hot' | 'soft';
    labelSmoothing: number;
    weights: Numbers | null;
  })[];
  binaryCrossEntropies: (Case & { labelSmoothing: number })[];
  regressions: (Case & { op: 'meanSquaredError' | 'meanAbsoluteError' | 'huber'; delta: number | null })[];
}

/** Made by make-golden-losses.py. */
const golden: Golden = JSON.parse(readFileSync(new URL('golden-losses.json', import.meta.url), 'utf8'));
const { rows } = golden;

/** What a loss makes of a case: one step of a program of it alone. */
async function run(backend: Backend, loss: Loss, { columns, inputs, targets }: Case, areIndices = false) {
  const builder = new ProgramBuilder().section('train', rows);
  const output = builder.batched('output', [columns]);
  const goal = builder.batched('targets', areIndices ? [] : [columns], 'target', areIndices ? 'int32' : 'float32');
  const gradient = loss.lower(builder, output, goal, columns, true)!;
  const program = builder.build();
  const session = backend.open(program, { threads: 1 });
  try {
    writeNow(session, output, Float32Array.from(inputs));
    writeNow(session, goal, Float32Array.from(targets));
    for (const { name, initial } of program.buffers) {
      if (Array.isArray(initial)) writeNow(session, name, Float32Array.from(initial));
    }
    const plan = { batchSize: rows, scalars: new Float32Array(0) };
    const result = await session.run('train', null, new Uint32Array(rows), plan);
    return { loss: result.lossSum, correct: result.correct, gradient: atOnce(session.read(gradient)) };
  } finally {
    session.dispose();
  }
}

const largest = (values: Numbers) => values.indexOf(Math.max(...values));
const rowsOf = (values: Numbers, columns: number) =>
  Array.from({ length: rows }, (_, i) => values.slice(i * columns, (i + 1) * columns));

describe.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
  'losses have the values of PyTorch: $title',
  ({ backend }) => {
    it.each(golden.crossEntropies)(
      'categoricalCrossentropy, $kind, smoothing $labelSmoothing, weights $weights',
      async (wanted) => {
        const { labelSmoothing, weights, kind, columns, inputs, targets } = wanted;
        const loss = categoricalCrossentropy({ labelSmoothing, ...(weights ? { classWeights: weights } : {}) });
        const made = await run(backend, loss, wanted, kind === 'indices');
        // log s and shifted logits below 16, each some roundings; weights sum to what multiplies them at most.
        const size = weights ? Math.max(...weights) : 1;
        expectClose([made.loss], [wanted.loss], () => rows * (columns + 12) * 16 * size * ROUNDING, 'loss');
        // p is off by (columns + 8) roundings, the weighted target by 3, the sum of those by columns.
        const tolerance = ((2 * columns + 16) * size * ROUNDING) / rows;
        expectClose(made.gradient, wanted.gradient, () => tolerance, 'gradient');
        const classes = kind === 'indices' ? targets : rowsOf(targets, columns).map(largest);
        const found = rowsOf(inputs, columns).map(largest);
        expect(made.correct).toBe(found.filter((each, i) => each === classes[i]).length);
      },
    );

    it.each(golden.binaryCrossEntropies)('binaryCrossentropy, smoothing $labelSmoothing', async (wanted) => {
      const made = await run(backend, binaryCrossentropy({ labelSmoothing: wanted.labelSmoothing }), wanted);
      const { columns, inputs, targets } = wanted;
      // x t, the difference and the sum are rounded at the size of x; t, 1 + e and its logarithm at that of 1.
      const sizes = inputs.map((x) => 1 + Math.abs(x));
      const size = sizes.reduce((sum, each) => sum + each, 0) / columns;
      expectClose([made.loss], [wanted.loss], () => 8 * size * ROUNDING, 'loss');
      const tolerance = (14 * ROUNDING) / (rows * columns);
      expectClose(made.gradient, wanted.gradient, () => tolerance, 'gradient');
      expect(made.correct).toBe(inputs.filter((x, i) => x > 0 === targets[i] > 0.5).length / columns);
    });

    it.each(golden.regressions)('$op, delta $delta', async (wanted) => {
      const losses = { meanSquaredError, meanAbsoluteError, huber: () => huber({ delta: wanted.delta! }) };
      const made = await run(backend, losses[wanted.op](), wanted);
      // A difference and at most three more roundings, of which |d| - δ / 2 may double the error.
      expectClose([made.loss], [wanted.loss], () => 8 * ROUNDING * wanted.loss, 'loss');
      const size = (i: number) => Math.abs(wanted.gradient[i]);
      expectClose(made.gradient, wanted.gradient, (i) => 4 * ROUNDING * size(i), 'gradient');
      expect(made.correct).toBe(0);
    });
  },
);
