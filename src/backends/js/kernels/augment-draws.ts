/** The random numbers of augmentation: every parameter has a word of its own, whatever else is drawn. */

import type { AugmentOp } from '../../../program/ops.js';
import { philox, RandomPurpose } from '../../../random.js';

const fround = Math.fround;

/** Which word of a sample each number comes from; from `elastic` on, those of the field's nodes. */
export const WORDS = {
  shiftY: 0,
  shiftX: 1,
  rotation: 2,
  scale: 3,
  aspect: 4,
  shear: 5,
  erase: 6,
  eraseHeight: 7,
  eraseWidth: 8,
  eraseTop: 9,
  eraseLeft: 10,
  elastic: 16,
} as const;

export class Draws {
  /** The upper 24 bits of a sample's words. */
  readonly numbers: Uint32Array;
  readonly #block = new Uint32Array(4);
  readonly #seedLow: number;
  readonly #seedHigh: number;

  /** `displacements` is the number of words from `elastic` on. */
  constructor(op: AugmentOp, displacements: number) {
    this.numbers = new Uint32Array(4 * Math.ceil((WORDS.elastic + displacements) / 4));
    this.#seedLow = op.seedLow;
    this.#seedHigh = op.seedHigh;
  }

  draw(sample: number, epoch: number): void {
    const { numbers } = this;
    for (let word = 0; word < numbers.length; word += 4) {
      philox(this.#block, word / 4, sample, RandomPurpose.augment, epoch, this.#seedLow, this.#seedHigh);
      for (let lane = 0; lane < 4; lane++) numbers[word + lane] = this.#block[lane] >>> 8;
    }
  }

  /** A whole number in [0, bound). */
  below(word: number, bound: number): number {
    return Math.floor((this.numbers[word] * bound) / 2 ** 24);
  }

  /** A number in [-1, 1), exact in float32. */
  signed(word: number): number {
    return fround(this.numbers[word] * 2 ** -23 - 1);
  }
}
