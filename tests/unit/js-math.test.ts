import { describe, expect, it } from 'vitest';
import {
  cosine,
  exp,
  gaussian,
  gelu,
  log,
  normalDistribution,
  sigmoid,
  sine,
  tanh,
} from '../../src/backends/js/kernels/math.js';
import { referenceCosine, referenceExp, referenceLog, referenceSine } from '../helpers/numerics-functions.js';

/** Half a unit in the last place of a float32 number near 1: the largest relative error of one rounding. */
const U = 2 ** -24;
const SMALLEST_NORMAL = 2 ** -126;

/** Float32 numbers from `from` to `to`, not on round places. */
function grid(from: number, to: number, count = 20_001): number[] {
  return Array.from({ length: count }, (_, i) =>
    Math.fround(from + ((to - from) * (i + Math.sin(i) / 3)) / (count - 1)),
  )
    .map((x) => Math.min(to, Math.max(from, x)))
    .map(Math.fround);
}

function expectWithin(
  f: (x: number) => number,
  wanted: (x: number) => number,
  xs: number[],
  bound: (x: number) => number,
) {
  for (const x of xs) {
    const error = Math.abs(f(x) - wanted(x));
    if (!(error <= bound(x)))
      expect.fail(`f(${x}) is ${f(x)}, wanted ${wanted(x)}: off by ${error}, bound ${bound(x)}`);
  }
}

/** Φ in float64: 1/2 + φ(x) (x + x³/3 + x⁵/15 + ...), all terms of one sign. */
function exactNormalDistribution(x: number): number {
  let [term, sum] = [Math.abs(x), Math.abs(x)];
  for (let n = 3; term > 1e-18 * sum; n += 2) {
    term *= (x * x) / n;
    sum += term;
  }
  const half = (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  return x < 0 ? 0.5 - half : 0.5 + half;
}

describe('exp', () => {
  // r carries one rounding of at most 0.35 U and one of n · ln2's low part; the polynomial's roundings are scaled by r²;
  // the sum with r and with 1 take one each: below 4 U together, relative to e^r >= 0.7.
  it('is within 4 roundings of e^x', () => {
    expectWithin(exp, Math.exp, grid(-87.336, 0), (x) => 4 * U * Math.exp(x));
    expectWithin(exp, Math.exp, grid(-1, 0), (x) => 4 * U * Math.exp(x));
  });

  it('has the bits of the page', () => {
    for (const x of grid(-90, 0)) if (exp(x) !== referenceExp(x)) expect.fail(`exp(${x}) is ${exp(x)}`);
  });

  it('is exact at zero, zero below where results are subnormal, NaN of NaN', () => {
    expect(exp(0)).toBe(1);
    expect(exp(-0)).toBe(1);
    expect(exp(Math.fround(-87.3))).toBeGreaterThan(SMALLEST_NORMAL);
    const last = Math.fround(-87.3365448);
    expect(Math.abs(exp(last) / Math.exp(last) - 1)).toBeLessThan(4 * U);
    for (const x of [-87.4, -1000, Number.NEGATIVE_INFINITY]) expect(exp(Math.fround(x))).toBe(0);
    expect(exp(Number.NaN)).toBeNaN();
  });
});

describe('sine and cosine', () => {
  const quarter = Math.fround(Math.PI / 4);

  // The last sum takes one rounding of the result, the polynomial's are scaled by x² / 6: below 2 U. Cosine: 1 - z / 2 and
  // its last sum take one each relative to cos >= 0.7, and z carries one: below 3 U.
  it('are within 2 and 3 roundings of theirs up to an eighth of a turn, and exact at zero', () => {
    expectWithin(sine, Math.sin, grid(-quarter, quarter), (x) => 2 * U * Math.abs(Math.sin(x)));
    expectWithin(cosine, Math.cos, grid(-quarter, quarter), (x) => 3 * U * Math.cos(x));
    expect([sine(0), cosine(0), cosine(1e-30)]).toEqual([0, 1, 1]);
  });

  it('have the bits of the page', () => {
    for (const x of grid(-quarter, quarter)) {
      if (sine(x) !== referenceSine(x)) expect.fail(`sine(${x}) is ${sine(x)}`);
      if (cosine(x) !== referenceCosine(x)) expect.fail(`cosine(${x}) is ${cosine(x)}`);
    }
  });
});

describe('log', () => {
  // log x is never much smaller than f or e · ln2, as m lies around 1: a few roundings relative to the result.
  it('is within 4 roundings of ln x', () => {
    const bound = (x: number) => 4 * U * Math.abs(Math.log(x));
    for (const [from, to] of [
      [0.5, 2],
      [1, 10],
      [1, 1000],
      [1e-30, 1],
      [1, 1e30],
    ]) {
      expectWithin(log, Math.log, grid(from, to), bound);
    }
  });

  it('has the bits of the page', () => {
    // The last coefficients show only where m is near the square root of 2.
    for (const x of [...grid(0.3, 3), ...grid(1.39, 1.415), ...grid(1, 1e6)])
      if (log(x) !== referenceLog(x)) expect.fail(`log(${x}) is ${log(x)}`);
  });

  it('is exact at 1, works at the ends of the normal numbers, NaN of NaN', () => {
    expect(log(1)).toBe(0);
    expectWithin(log, Math.log, [SMALLEST_NORMAL, Math.fround(3.4e38)], (x) => 4 * U * Math.abs(Math.log(x)));
    expect(log(Number.NaN)).toBeNaN();
  });
});

describe('sigmoid', () => {
  // 4 U of e, and one rounding each of 1 + e, the division and the product.
  it('is within 8 roundings', () => {
    const exact = (x: number) => 1 / (1 + Math.exp(-x));
    expectWithin(sigmoid, exact, grid(-87, 87), (x) => 8 * U * exact(x));
  });

  it('is right at the edges', () => {
    for (const zero of [0, -0]) expect(sigmoid(zero)).toBe(0.5);
    expect(sigmoid(1000)).toBe(1);
    expect(sigmoid(Number.POSITIVE_INFINITY)).toBe(1);
    for (const x of [-1000, Number.NEGATIVE_INFINITY, Math.fround(-87.4)]) expect(sigmoid(x)).toBe(0);
    expect(sigmoid(Number.NaN)).toBeNaN();
  });
});

describe('tanh', () => {
  // Far from zero e <= 0.29: its 4 U weigh 1.6 U in 1 - e and 0.9 U in 1 + e; three roundings more. Near it, three.
  it('is within 8 roundings, where it changes formula too', () => {
    const bound = (x: number) => 8 * U * Math.abs(Math.tanh(x));
    expectWithin(tanh, Math.tanh, grid(-10, 10), bound);
    expectWithin(tanh, Math.tanh, grid(0.62, 0.63), bound);
    expectWithin(tanh, Math.tanh, grid(-1e-4, 1e-4), bound);
  });

  it('is right at the edges', () => {
    expect(tanh(0)).toBe(0);
    expect(tanh(-0)).toBeCloseTo(0, 300);
    for (const x of [50, 1000, Number.POSITIVE_INFINITY]) {
      expect(tanh(x)).toBe(1);
      expect(tanh(-x)).toBe(-1);
    }
    expect(tanh(Number.NaN)).toBeNaN();
  });
});

describe('gelu', () => {
  // The formula itself is off by at most 7.5e-8; q, t, g and the products of Φ <= 1 add some roundings.
  const bound = 7.5e-8 + 10 * U;

  it('has Φ within the error of its formula', () => {
    const distribution = (x: number) => normalDistribution(x, gaussian(x));
    expectWithin(distribution, exactNormalDistribution, grid(-6, 6), () => bound);
  });

  it('is x · Φ(x)', () => {
    const exact = (x: number) => x * exactNormalDistribution(x);
    expectWithin(gelu, exact, grid(-6, 6), (x) => Math.abs(x) * (bound + U));
  });

  it('is right at the edges', () => {
    for (const zero of [0, -0]) expect(gelu(zero)).toBeCloseTo(0, 300);
    expect(gelu(1000)).toBe(1000);
    expect(gelu(Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
    expect(gelu(-1000)).toBeCloseTo(0, 300);
    expect(gelu(Number.NaN)).toBeNaN();
  });
});
