import { describe, expect, it } from 'vitest';
import { conv2d, dense, sequential } from '../../src/index.js';
import { type Initializer, initialize } from '../../src/initializers.js';

const INPUTS = 300;
const UNITS = 100;
const SIZE = INPUTS * UNITS;
const VARIANCE = {
  glorotUniform: 2 / 400,
  glorotNormal: 2 / 400,
  heUniform: 2 / 300,
  heNormal: 2 / 300,
  lecunUniform: 1 / 300,
  lecunNormal: 1 / 300,
};

const parameter = (initializer: Initializer, shape = [INPUTS, UNITS]) => {
  const [fanIn, fanOut] = shape;
  return { initializer, shape, fanIn, fanOut };
};

describe.each(Object.keys(VARIANCE) as (keyof typeof VARIANCE)[])('%s', (initializer) => {
  const values = initialize(parameter(initializer), 42, 0);

  it('has mean 0 and the variance of its rule', () => {
    const mean = values.reduce((sum, value) => sum + value, 0) / SIZE;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / SIZE;
    // Five standard errors: sqrt(variance / n) of the mean, and at most sqrt(2 / n) relative of the variance.
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(VARIANCE[initializer] / SIZE));
    expect(Math.abs(variance / VARIANCE[initializer] - 1)).toBeLessThan(5 * Math.sqrt(2 / SIZE));
  });

  it('is bounded when uniform and reaches beyond that when normal', () => {
    const limit = Math.sqrt(3 * VARIANCE[initializer]);
    const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (initializer.endsWith('Uniform')) expect(greatest).toBeLessThanOrEqual(Math.fround(limit));
    else expect(greatest).toBeGreaterThan(limit);
  });

  it('depends on the seed and the stream, and on nothing else', () => {
    expect(initialize(parameter(initializer), 42, 0)).toEqual(values);
    expect(initialize(parameter(initializer), 43, 0)).not.toEqual(values);
    expect(initialize(parameter(initializer), 42, 1)).not.toEqual(values);
  });
});

describe('orthogonal', () => {
  it.each([
    [[40, 30], 30, 40, false],
    [[30, 40], 30, 40, true],
    [[3, 3, 2, 5], 5, 18, false],
    [[3, 3, 2, 25], 18, 25, true],
    [[1, 1], 1, 1, false],
  ])('%j: vectors along the shorter side are of length 1 and orthogonal', (shape, count, length, vectorsAreRows) => {
    const values = initialize(parameter('orthogonal', shape), 42, 0);
    const columns = shape.at(-1)!;
    const at = (vector: number, i: number) => values[vectorsAreRows ? vector * columns + i : i * columns + vector];
    for (let a = 0; a < count; a++) {
      for (let b = 0; b <= a; b++) {
        let product = 0;
        for (let i = 0; i < length; i++) product += at(a, i) * at(b, i);
        // Rounding to float32 changes each factor by 2^-24 of itself, and Σ |x||y| is at most 1.
        expect(Math.abs(product - Number(a === b)), `${a} · ${b}`).toBeLessThan(3 * 2 ** -24);
      }
    }
  });

  it('depends on the seed and the stream, and draws both signs', () => {
    const square = parameter('orthogonal', [20, 20]);
    const values = initialize(square, 42, 0);
    expect(initialize(square, 42, 0)).toEqual(values);
    expect(initialize(square, 43, 0)).not.toEqual(values);
    expect(initialize(square, 42, 1)).not.toEqual(values);
    const positive = values.filter((value) => value > 0).length;
    // Five standard deviations around half of 400.
    expect(Math.abs(positive - 200)).toBeLessThan(50);
  });
});

it('fixed values', () => {
  expect([...initialize(parameter('zeros', [3, 1]), 42, 0)]).toEqual([0, 0, 0]);
  expect([...initialize(parameter('ones', [3, 1]), 42, 0)]).toEqual([1, 1, 1]);
  expect([...initialize(parameter({ constant: -0.25 }, [3, 1]), 42, 0)]).toEqual([-0.25, -0.25, -0.25]);
});

it('the fans of a convolution count its window', () => {
  const [weight] = conv2d({ filters: 8, kernelSize: [3, 2] }).build([9, 9, 5]).parameters;
  expect(weight).toMatchObject({ shape: [3, 2, 5, 8], fanIn: 30, fanOut: 48 });
});

it('models of earlier versions start as they did', () => {
  const layers = [dense({ units: 3, activation: 'relu' }), dense({ units: 2, kernelInitializer: 'heNormal' })];
  const model = sequential(layers, { inputShape: [4], seed: 42 });
  expect(model.weightsSha256()).toBe('ea2bf12e73353fbb1ddb1cf1bf21e6816fcd42c78a5b2ffbebab93de27c42a84');
});
