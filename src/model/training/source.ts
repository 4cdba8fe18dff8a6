import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BoundData } from '../../backends/backend.js';
import { inTurns } from '../../pieces.js';
import { RandomPurpose, shuffling } from '../../random.js';
import { indices } from '../evaluate.js';

/** Steps that stand ready: samples in the backend's memory, and the order in which the steps take them. */
export interface Portion {
  data: BoundData;
  order: Uint32Array;
  /** Samples per step; the last step takes what is left. */
  batchSize: number;
  /** The first sample's place in the epoch, where layers draw at random by it. */
  firstIndex: number;
  /** Shuffling that no step ran beside. */
  preparationSeconds: number;
  /** Whether the data have not been freed yet. */
  isThere(): boolean;
}

export const stepsOf = ({ order, batchSize }: Portion): number => Math.ceil(order.length / batchSize);

/** The steps of a portion from `first` on, at most `count` of them. */
export function part(portion: Portion, first: number, count = Number.POSITIVE_INFINITY): Portion {
  const { order, batchSize } = portion;
  return { ...portion, order: order.subarray(first * batchSize, (first + count) * batchSize) };
}

/** Where a fit gets its steps from. */
export interface TrainingSource {
  /** Samples and steps of an epoch; null where nobody knows. */
  readonly count: number | null;
  readonly stepsPerEpoch: number | null;
  /**
   * The portions of an epoch, counted from 1 since the model was made, from its step `from` on, counted from 0. A portion's
   * data are there until the next one is asked for. Returns whether the epoch was brought to its end: false after the
   * signal.
   */
  portions(epoch: number, from: number): AsyncGenerator<Portion, boolean>;
  /** Called while steps of the epoch before run: a good time to make ready what an epoch needs. */
  prepare(epoch: number): void;
  /** Frees what is left, in whatever state the fit ended. */
  dispose(): Promise<void>;
}

interface MemorySetup {
  /** The first so many of them are trained on. */
  trainCount: number;
  batchSize: number;
  shuffle: boolean;
  seed: number;
}

/** Samples in memory: bound once, an epoch is one portion, in an order that depends on the seed and the epoch alone. */
export class MemorySource implements TrainingSource {
  readonly count: number;
  readonly stepsPerEpoch: number;
  readonly data: BoundData;
  readonly #setup: MemorySetup;
  #prepared: { epoch: number; order: Promise<Uint32Array> } | null = null;

  constructor(data: BoundData, setup: MemorySetup) {
    this.#setup = setup;
    this.count = setup.trainCount;
    this.stepsPerEpoch = Math.ceil(setup.trainCount / setup.batchSize);
    this.data = data;
  }

  async *portions(epoch: number, from: number): AsyncGenerator<Portion, boolean> {
    const start = performance.now();
    const order = await (this.#prepared?.epoch === epoch ? this.#prepared.order : this.#order(epoch));
    const preparationSeconds = (performance.now() - start) / 1000;
    const { batchSize } = this.#setup;
    const whole = { data: this.data, order, batchSize, firstIndex: 0, preparationSeconds, isThere: () => true };
    const portion = part(whole, from);
    if (portion.order.length > 0) yield portion;
    return true;
  }

  prepare(epoch: number): void {
    if (this.#prepared?.epoch === epoch) return;
    // Not in the turn that begins a run, which has enough to do.
    this.#prepared = { epoch, order: nextTurn().then(() => this.#order(epoch)) };
  }

  async dispose(): Promise<void> {
    this.data.dispose();
  }

  async #order(epoch: number): Promise<Uint32Array> {
    const { trainCount, seed } = this.#setup;
    const order = indices(0, trainCount);
    return this.#setup.shuffle ? inTurns(shuffling(order, seed, RandomPurpose.shuffle, epoch - 1)) : order;
  }
}
