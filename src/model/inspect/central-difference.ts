import type { Pieces } from '../../pieces.js';

export interface Difference {
  value: number;
  /** What it may be off by. */
  error: number;
}

/** Long steps lose less to rounding, short ones meet fewer kinks. Powers of two, so that x ± step is exact. */
const STEPS = [2 ** -12, 2 ** -16, 2 ** -20, 2 ** -24];
/** A loss in float64 is a sum of so many terms or so that its last digits are lost. */
const ROUNDING = 2 ** -48;

/**
 * The derivative of a function at x, by central differences D of steps h and 2h: (4 D(h) - D(2h)) / 3, whose error is of
 * fourth order (Richardson). Their own difference, three times the error of second order that this takes away, stands for
 * what is left of it. The function gives null where it is on another side of a kink than at x: then a shorter step is tried,
 * and the result is null where even the shortest meets one.
 */
export function* differenceOf(f: (x: number) => number | null, x: number): Pieces<Difference | null> {
  for (const step of STEPS) {
    const values: number[] = [];
    for (const times of [-2, -1, 1, 2]) {
      const value = f(x + times * step);
      yield;
      if (value === null) break;
      values.push(value);
    }
    if (values.length < 4) continue;
    const [far, near, above, beyond] = values;
    const [short, long] = [(above - near) / (2 * step), (beyond - far) / (4 * step)];
    const rounding = (ROUNDING * Math.max(Math.abs(far), Math.abs(beyond))) / step;
    return { value: (4 * short - long) / 3, error: Math.abs(short - long) + rounding };
  }
  return null;
}
