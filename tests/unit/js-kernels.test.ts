import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { KERNELS } from '../../src/backends/js/kernels/table.js';
import { OP_NAMES } from '../../src/program/op-fields.js';
import { referenceResult } from '../helpers/numerics-reference.js';
import { opCases } from '../helpers/op-cases.js';
import { firstDifference, normal, runOp, setUpOp, sparse } from '../helpers/op-harness.js';
import { failure } from '../helpers/toy.js';

const backend = createJsBackend();

describe('TypeScript kernels', () => {
  it('cover every op, and the cases do too', () => {
    expect(Object.keys(KERNELS).sort()).toEqual([...OP_NAMES].sort());
    expect([...new Set(opCases.map(({ op }) => op))].sort()).toEqual([...OP_NAMES].sort());
  });

  it.each(opCases)('$name has the bits that docs/numerics.md states', async ({ create }) => {
    const setup = create();
    const result = await runOp(backend, setup);
    expect(firstDifference(result, referenceResult(setup))).toBeNull();
  });

  it('gives the same bits whether zeros are skipped or, made tiny, multiplied', async () => {
    const declare = (fill: typeof sparse) =>
      setUpOp(9, 5, (builder) => {
        const input = builder.batched('input', 40, fill);
        const weights = builder.persistent('weights', 'parameter', [40, 11], normal);
        const output = builder.batched('output', 11);
        builder.add({ op: 'dense', input, weights, bias: null, output, activation: 'linear', negativeSlope: 0 });
      });
    const zeros = declare(sparse);
    // 1e-40 times a weight vanishes next to the sums, so the full chain rounds to the same numbers.
    const full = declare((stream) => sparse(stream) || Math.fround(1e-40));
    const [skipped, multiplied] = [await runOp(backend, zeros), await runOp(backend, full)];
    expect(zeros.inputs.input.filter((x) => x === 0).length).toBeGreaterThan(100);
    expect(full.inputs.input.some((x) => x === 0)).toBe(false);
    expect(firstDifference(skipped, multiplied)).toBeNull();
  });

  it('shows NaN: relu passes it on, and one in a logit makes the loss NaN', async () => {
    const relu = setUpOp(1, 1, (builder) => {
      const input = builder.batched('input', 3, () => Number.NaN);
      builder.add({
        op: 'activation',
        input,
        output: builder.batched('output', 3),
        activation: 'relu',
        negativeSlope: 0,
      });
    });
    expect((await runOp(backend, relu)).outputs.output).toEqual(new Float32Array(3).fill(Number.NaN));
    for (const [place, target] of [
      [0, 0],
      [0, 2],
      [2, 0],
      [2, 2],
    ]) {
      const loss = setUpOp(1, 1, (builder) => {
        const logits = builder.batched('logits', 4, normal);
        const targets = builder.classes('targets', () => target);
        const dLogits = builder.batched('dLogits', 4);
        builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing: 0 });
      });
      loss.inputs.logits[place] = Number.NaN;
      const result = await runOp(backend, loss);
      expect(result.loss).toBeNaN();
      expect(result.outputs.dLogits.every(Number.isNaN)).toBe(true);
    }
  });

  it('refuses shapes that do not fit, when the program is opened', () => {
    const open = (declare: Parameters<typeof setUpOp>[2]) => () => backend.open(setUpOp(2, 1, declare).program);
    const dense = { op: 'dense', bias: null, activation: 'relu', negativeSlope: 0 } as const;
    expect(
      open((builder) => {
        const weights = builder.persistent('w', 'parameter', [3, 4], normal);
        builder.add({ ...dense, input: builder.batched('x', 5), weights, output: builder.batched('y', 4) });
      }),
    ).toThrow(failure('ERR_SHAPE', /Expected 3 columns for buffer train\/x of dense, received 5/));
    expect(
      open((builder) => {
        const weights = builder.persistent('w', 'parameter', [3, 4], normal);
        builder.add({ ...dense, input: builder.fixed('x', [2, 3]), weights, output: builder.batched('y', 4) });
      }),
    ).toThrow(failure('ERR_SHAPE', /same rows for buffers train\/y and train\/x of dense/));
    const matmul = { op: 'matmul', transposeA: false, transposeB: false } as const;
    expect(
      open((builder) => {
        const [a, b] = [builder.fixed('a', [2, 3]), builder.fixed('b', [4, 5])];
        builder.add({ ...matmul, a, b, output: builder.fixed('c', [2, 5]) });
      }),
    ).toThrow(failure('ERR_SHAPE', /Expected 3 rows for buffer train\/b of matmul/));
    expect(
      open((builder) => {
        const [a, b] = [builder.fixed('a', [2, 3]), builder.fixed('b', [3, 5])];
        builder.add({ ...matmul, a, b, output: builder.fixed('c', [2, 4]) });
      }),
    ).toThrow(failure('ERR_SHAPE', /Expected shape \[2, 5\] for buffer train\/c of matmul/));
    expect(
      open((builder) => {
        const [logits, targets] = [builder.batched('x', 3), builder.batched('t', 1)];
        builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits: null, labelSmoothing: 0 });
      }),
    ).toThrow(failure('ERR_SHAPE', /Expected "int32" for the element type of buffer train\/t|Expected int32/));
  });
});
