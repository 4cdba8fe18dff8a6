/** Central differences, and what they are compared with: see tests/gradients. */
import { expect } from 'vitest';
import type { OpSetup } from './op-harness.js';

/** The error of one float32 rounding. */
export const U = 2 ** -24;
export const STEP = 1e-4;
/** h² / 6 times a third derivative below 10, and float64 rounding (1e-16) divided by h. */
export const DIFFERENCE = 2e-8;

/** d/dx[i] of a function of the whole array, for each i. */
export function differences(x: Float64Array, loss: (x: Float64Array) => number): number[] {
  return Array.from(x, (value, i) => {
    const moved = x.slice();
    moved[i] = value + STEP;
    const above = loss(moved);
    moved[i] = value - STEP;
    return (above - loss(moved)) / (2 * STEP);
  });
}

export function expectClose(actual: Float32Array, wanted: number[], bound: (i: number) => number, what: string) {
  expect(actual.length, what).toBe(wanted.length);
  wanted.forEach((value, i) => {
    const error = Math.abs(actual[i] - value);
    if (!(error <= bound(i)))
      expect.fail(`${what}[${i}] is ${actual[i]}, wanted ${value}: off by ${error}, bound ${bound(i)}`);
  });
}

export const sum = (values: ArrayLike<number>) => Array.prototype.reduce.call(values, (a, b) => a + b, 0) as number;
export const wide = (setup: OpSetup, name: string) => new Float64Array(setup.inputs[name]);
