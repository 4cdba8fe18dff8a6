import { describe, expect, it } from 'vitest';
import { philox, RandomPurpose, RandomStream, shuffle } from '../../src/random.js';

/** The order of twelve samples in epoch 0 with seed 42. */
const GOLDEN = [10, 0, 1, 2, 3, 7, 8, 9, 6, 11, 5, 4];

const identity = (length: number) => Uint32Array.from({ length }, (_, i) => i);

describe('philox', () => {
  // From kat_vectors of the Random123 distribution, philox4x32 with 10 rounds.
  it.each([
    ['zeros', [0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [
      'ones',
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      'digits of pi',
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ])('gives the known answer for %s', (_, [c0, c1, c2, c3], [key0, key1], answer) => {
    const out = new Uint32Array(4);
    philox(out, c0, c1, c2, c3, key0, key1);
    expect([...out]).toEqual(answer);
  });
});

describe('RandomStream', () => {
  const take = (stream: RandomStream, count = 8) => Array.from({ length: count }, () => stream.uint32());

  it('is a function of seed, purpose and index, of all 53 bits of the seed', () => {
    const base = take(new RandomStream(42, RandomPurpose.shuffle, 3));
    expect(take(new RandomStream(42, RandomPurpose.shuffle, 3))).toEqual(base);
    const others = [
      new RandomStream(43, RandomPurpose.shuffle, 3),
      new RandomStream(42 + 2 ** 32, RandomPurpose.shuffle, 3),
      new RandomStream(42, RandomPurpose.split, 3),
      new RandomStream(42, RandomPurpose.shuffle, 4),
    ];
    for (const other of others) expect(take(other)).not.toEqual(base);
  });

  it('draws uniform numbers from [0, 1), exact in float32, of mean 1/2 and variance 1/12', () => {
    const stream = new RandomStream(1, RandomPurpose.dropout);
    const values = Array.from({ length: 50_000 }, () => stream.uniform());
    expect(values.every((x) => x >= 0 && x < 1 && Math.fround(x) === x)).toBe(true);
    // Four standard errors: sqrt(1/12 / n) of the mean, sqrt(1/180 / n) of the variance.
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean - 1 / 2)).toBeLessThan(4 * Math.sqrt(1 / 12 / values.length));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan(4 * Math.sqrt(1 / 180 / values.length));
  });

  it('draws whole numbers below a bound, each as often', () => {
    const stream = new RandomStream(2, RandomPurpose.dropout);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 50_000; i++) counts[stream.below(10)]++;
    expect(counts.reduce((sum, count) => sum + count)).toBe(50_000);
    for (const count of counts) expect(Math.abs(count - 5000)).toBeLessThan(4 * Math.sqrt(5000 * 0.9));
  });

  it('draws normal deviates of mean 0, variance 1 and the right tails', () => {
    const stream = new RandomStream(3, RandomPurpose.initialize);
    const values = Array.from({ length: 50_000 }, () => stream.normal());
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(values.length));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / values.length));
    const beyond = values.filter((x) => Math.abs(x) > 1.959964).length / values.length;
    expect(Math.abs(beyond - 0.05)).toBeLessThan(4 * Math.sqrt((0.05 * 0.95) / values.length));
  });
});

describe('shuffle', () => {
  it('permutes in place', () => {
    const values = identity(1000);
    expect(shuffle(values, 42, RandomPurpose.shuffle, 0)).toBe(values);
    expect([...values].sort((a, b) => a - b)).toEqual([...identity(1000)]);
    expect([...values].filter((value, i) => value === i).length).toBeLessThan(10);
  });

  it('gives a seed the same order for ever', () => {
    expect([...shuffle(identity(12), 42, RandomPurpose.shuffle, 0)]).toEqual(GOLDEN);
    expect([...shuffle(identity(12), 42, RandomPurpose.shuffle, 1)]).not.toEqual(GOLDEN);
  });

  it('puts every value everywhere, as often', () => {
    const counts = new Array<number>(4).fill(0);
    for (let index = 0; index < 8000; index++)
      counts[shuffle(identity(4), 7, RandomPurpose.shuffle, index).indexOf(0)]++;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(4 * Math.sqrt(2000 * 0.75));
  });

  it('leaves nothing and one alone', () => {
    expect([...shuffle(identity(0), 1, RandomPurpose.shuffle, 0)]).toEqual([]);
    expect([...shuffle(identity(1), 1, RandomPurpose.shuffle, 0)]).toEqual([0]);
  });
});
