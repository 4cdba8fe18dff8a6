import { describe, expect, it } from 'vitest';
import { createDenseForward, createMatmul, denseForward, matmul } from '../../src/kernels.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

function random(length: number, seed: number): Float32Array {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  return Float32Array.from({ length }, () => 2 * stream.uniform() - 1);
}

const transpose = (values: Float32Array, rows: number, columns: number) =>
  Float32Array.from(values, (_, index) => values[(index % rows) * columns + Math.floor(index / rows)]);

describe('matmul', () => {
  const [m, n, k] = [3, 7, 5];
  const a = random(m * k, 1);
  const b = random(k * n, 2);

  it('is the product, whichever way the operands are stored', async () => {
    const product = await matmul(a, b, { m, n, k, backend });
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let [sum, magnitude] = [0, 0];
        for (let depth = 0; depth < k; depth++) {
          const term = a[row * k + depth] * b[depth * n + column];
          sum += term;
          magnitude += Math.abs(term);
        }
        const error = Math.abs(product[row * n + column] - sum);
        expect(error, `[${row}, ${column}]`).toBeLessThanOrEqual(k * 2 ** -24 * magnitude);
      }
    }
    const [at, bt] = [transpose(a, m, k), transpose(b, k, n)];
    const shape = { m, n, k, backend };
    expect(await matmul(at, b, { ...shape, transposeA: true })).toEqual(product);
    expect(await matmul(a, bt, { ...shape, transposeB: true })).toEqual(product);
    expect(await matmul(at, bt, { ...shape, transposeA: true, transposeB: true })).toEqual(product);
  });

  it('opened once, calls take turns', async () => {
    const kernel = createMatmul({ m: 1, n: 1, k: 2, backend });
    const one = Float32Array.of(1, 2);
    const results = await Promise.all([kernel.run(one, one), kernel.run(one, Float32Array.of(3, 4))]);
    expect(results.map(([value]) => value)).toEqual([5, 11]);
    kernel.dispose();
    kernel.dispose();
    await expect(kernel.run(one, one)).rejects.toEqual(failure('ERR_STATE', /disposed of/));
  });

  it('refuses operands and options that do not fit, and goes on', async () => {
    const kernel = createMatmul({ m: 1, n: 1, k: 2, backend });
    const one = Float32Array.of(1, 2);
    await expect(kernel.run(one, new Float32Array(3))).rejects.toEqual(failure('ERR_SHAPE', /2 elements for b/));
    await expect(kernel.run([1, 2] as never, one)).rejects.toEqual(failure('ERR_SHAPE', /for a, received an array/));
    await expect(kernel.run(one)).rejects.toEqual(failure('ERR_SHAPE', /2 arrays/));
    expect([...(await kernel.run(one, one))]).toEqual([5]);
    kernel.dispose();
    const missing = () => createMatmul({ m: 1, n: 1, backend } as never);
    expect(errorOf(missing)).toEqual(failure('ERR_ARGUMENT', /for k, received undefined/));
    const unknown = () => createMatmul({ m: 1, n: 1, k: 1, alpha: 2 } as never);
    expect(errorOf(unknown)).toEqual(failure('ERR_ARGUMENT', /"alpha"/));
  });
});

describe('denseForward', () => {
  const shape = { rows: 2, inputs: 2, units: 2, backend };
  const input = Float32Array.of(1, 2, 3, 4);
  const weights = Float32Array.of(1, -1, 1, -1);

  it('multiplies, adds the bias and applies the activation', async () => {
    const bias = Float32Array.of(0.5, 0.25);
    expect([...(await denseForward(input, weights, bias, shape))]).toEqual([3.5, -2.75, 7.5, -6.75]);
    expect([...(await denseForward(input, weights, null, { ...shape, activation: 'relu' }))]).toEqual([3, 0, 7, 0]);
    const leaky = { ...shape, activation: 'leakyRelu', negativeSlope: 0.5 } as const;
    expect([...(await denseForward(input, weights, null, leaky))]).toEqual([3, -1.5, 7, -3.5]);
  });

  it('has gelu as well', async () => {
    const [first] = await denseForward(input, weights, null, { ...shape, activation: 'gelu' });
    // x Φ(x) at 3, Φ(3) = 0.99865010; the approximation's own error is 7.5e-8.
    expect(Math.abs(first - 3 * 0.9986501)).toBeLessThan(3 * (7.5e-8 + 8 * 2 ** -24));
  });

  it('refuses a bias too many', async () => {
    const kernel = createDenseForward({ ...shape, useBias: false });
    await expect(kernel.run(input, weights, new Float32Array(2))).rejects.toEqual(failure('ERR_SHAPE', /2 arrays/));
    kernel.dispose();
  });
});
