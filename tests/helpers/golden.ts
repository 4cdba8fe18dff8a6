/** How results are compared with the golden values of tests/golden, which its scripts made with PyTorch. */
import { expect } from 'vitest';

export type Numbers = number[];

/** Float32 rounds a value by at most this share of it. */
export const ROUNDING = 2 ** -24;

/**
 * For values at the end of many operations, where a bound by the worst case would be a thousand times the real error. The
 * yardstick is PyTorch's own float32 run: ours may end up to four times as far from the float64 run as the worst of its
 * elements, or `roundings` of the value itself.
 */
export function yardstick(deviation: number, values: Numbers, roundings: number): (index: number) => number {
  return (i) => Math.max(4 * deviation, roundings * ROUNDING * Math.abs(values[i]));
}

/** Compares element by element; the message names the element that is furthest outside its tolerance. */
export function expectClose(
  actual: ArrayLike<number>,
  wanted: Numbers,
  tolerance: (index: number) => number,
  what: string,
) {
  expect(actual.length, what).toBe(wanted.length);
  let worst = { excess: 0, message: '' };
  wanted.forEach((value, i) => {
    const excess = actual[i] === value ? 0 : Math.abs(actual[i] - value) / tolerance(i);
    if (!(excess <= Math.max(1, worst.excess)))
      worst = { excess, message: `${what}[${i}]: ${actual[i]} is not within ${tolerance(i)} of ${value}` };
  });
  expect(worst.message).toBe('');
}
