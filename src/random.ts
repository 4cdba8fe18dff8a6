import { atOnce, type Pieces } from './pieces.js';

/**
 * Philox 4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * A value depends only on (seed, counter): not on how many were drawn before, on threads or on batch splits.
 *
 * Everything here uses operations that ECMAScript defines to the bit (+ - * / sqrt, integer arithmetic), so the same
 * seed gives the same numbers on every processor. Math.log and friends are not so defined and are not used.
 */

const SWAPS_PER_PIECE = 1024;

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** Writes the four 32-bit words of one Philox block into `out`. Counter and key words are unsigned 32-bit. */
export function philox(
  out: Uint32Array,
  c0: number,
  c1: number,
  c2: number,
  c3: number,
  key0: number,
  key1: number,
): void {
  let x0 = c0 >>> 0;
  let x1 = c1 >>> 0;
  let x2 = c2 >>> 0;
  let x3 = c3 >>> 0;
  let k0 = key0 >>> 0;
  let k1 = key1 >>> 0;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, x0);
    const low0 = Math.imul(MULTIPLIER_0, x0);
    const high1 = multiplyHigh(MULTIPLIER_1, x2);
    const low1 = Math.imul(MULTIPLIER_1, x2);
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1 >>> 0;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = x0;
  out[1] = x1;
  out[2] = x2;
  out[3] = x3;
}

/** What a stream of numbers is for; part of the counter, so that streams of one seed never meet. */
export const RandomPurpose = {
  initialize: 1,
  shuffle: 2,
  split: 3,
  dropout: 4,
  augment: 5,
  folds: 6,
  sweep: 7,
  gradientCheck: 8,
} as const;
export type RandomPurpose = (typeof RandomPurpose)[keyof typeof RandomPurpose];

/**
 * A sequential reader of the stream (seed, purpose, index): `index` is the layer or the epoch. Seeds are whole numbers
 * from 0 to 2^53 - 1.
 */
export class RandomStream {
  readonly #key0: number;
  readonly #key1: number;
  readonly #purpose: number;
  readonly #index: number;
  readonly #block = new Uint32Array(4);
  #blocks = 0;
  #lane = 4;

  constructor(seed: number, purpose: RandomPurpose, index = 0) {
    this.#key0 = seed >>> 0;
    this.#key1 = Math.floor(seed / 0x1_0000_0000) >>> 0;
    this.#purpose = purpose;
    this.#index = index;
  }

  /** The next unsigned 32-bit number. */
  uint32(): number {
    if (this.#lane === 4) {
      philox(this.#block, this.#blocks++, this.#index, this.#purpose, 0, this.#key0, this.#key1);
      this.#lane = 0;
    }
    return this.#block[this.#lane++];
  }

  /** A number in [0, 1) with 24 random bits: exact in float32. */
  uniform(): number {
    return (this.uint32() >>> 8) / 0x1000000;
  }

  /** A whole number in [0, bound), bound <= 2^32 (Lemire's multiplication, without the rejection: bias below 2^-32 · bound). */
  below(bound: number): number {
    return Math.floor((this.uint32() * bound) / 0x1_0000_0000);
  }

  /** A normal deviate of mean 0 and variance 1, by Marsaglia's polar method. */
  normal(): number {
    for (;;) {
      const u = 2 * this.uniform() - 1;
      const v = 2 * this.uniform() - 1;
      const s = u * u + v * v;
      if (s > 0 && s < 1) return u * Math.sqrt((-2 * naturalLog(s)) / s);
    }
  }
}

/** The natural logarithm by exact scaling and the series 2·artanh((m - 1) / (m + 1)): the same bits everywhere. */
function naturalLog(x: number): number {
  let mantissa = x;
  let exponent = 0;
  while (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  const square = z * z;
  let series = 0;
  for (let k = 21; k >= 1; k -= 2) series = series * square + 1 / k;
  return 2 * z * series + exponent * Math.LN2;
}

/** Shuffles in place (Fisher and Yates), as a function of (seed, purpose, index) alone. */
export function shuffle(values: Uint32Array, seed: number, purpose: RandomPurpose, index: number): Uint32Array {
  return atOnce(shuffling(values, seed, purpose, index));
}

/** The same a few swaps at a time. */
export function* shuffling(
  values: Uint32Array,
  seed: number,
  purpose: RandomPurpose,
  index: number,
): Pieces<Uint32Array> {
  const stream = new RandomStream(seed, purpose, index);
  for (let last = values.length - 1; last > 0; last--) {
    if (last % SWAPS_PER_PIECE === 0) yield;
    const other = stream.below(last + 1);
    const kept = values[last];
    values[last] = values[other];
    values[other] = kept;
  }
  return values;
}
