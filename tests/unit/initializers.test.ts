import { describe, expect, it } from 'vitest';
import { initialize, KERNEL_INITIALIZERS } from '../../src/initializers.js';

const INPUTS = 300;
const UNITS = 100;
const SIZE = INPUTS * UNITS;
const VARIANCE = { glorotUniform: 2 / 400, glorotNormal: 2 / 400, heUniform: 2 / 300, heNormal: 2 / 300 };

describe.each(KERNEL_INITIALIZERS)('%s', (initializer) => {
  const values = initialize(initializer, SIZE, INPUTS, UNITS, 42, 0);

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

  it('depends on the seed and the layer, and on nothing else', () => {
    expect(initialize(initializer, SIZE, INPUTS, UNITS, 42, 0)).toEqual(values);
    expect(initialize(initializer, SIZE, INPUTS, UNITS, 43, 0)).not.toEqual(values);
    expect(initialize(initializer, SIZE, INPUTS, UNITS, 42, 1)).not.toEqual(values);
  });
});

it('starts biases at zero', () => {
  expect([...initialize('zeros', 3, 5, 3, 42, 0)]).toEqual([0, 0, 0]);
});
