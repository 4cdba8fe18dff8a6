import { writeFileSync } from 'node:fs';
import type { Callback, CallbackContext, CallbackState, EpochResult } from '../../src/index.js';

/** Numbers of an epoch; the rest is filled in. */
export type Numbers = Partial<EpochResult>;

/**
 * A fit without a model: its weights are the number of the epoch that was run last, and files hold the same. It goes
 * through `numbers`, the first being those of epoch 1; with `done`, epochs up to that were run before the checkpoint.
 */
export class PlayedFit {
  readonly results: EpochResult[] = [];
  readonly context: CallbackContext;
  /** What the model has at the end. */
  weights = [Float32Array.of(0)];
  stopReason: string | null = null;
  readonly #callback: Callback;
  readonly #numbers: readonly Numbers[];

  constructor(callback: Callback, numbers: readonly Numbers[], monitors = Object.keys(numbers[0] ?? {})) {
    this.#callback = callback;
    this.#numbers = numbers;
    const fit = this;
    this.context = {
      model: {
        getWeights: () => this.weights.map((values) => values.slice()),
        setWeights: (weights) => {
          this.weights = weights.map((values) => values.slice());
        },
        save: async (path) => writeFileSync(path, String(this.weights[0][0])),
      },
      firstEpoch: 1,
      lastEpoch: numbers.length,
      stepsPerEpoch: 10,
      monitors,
      results: this.results,
      get step() {
        return fit.results.length * 10;
      },
      whenIdle: async (work) => work(),
      stopTraining: (reason = '') => {
        this.stopReason ??= reason;
      },
    };
  }

  /** Runs epochs up to `until`, behind `done`, and returns what a checkpoint keeps after the last of them. */
  async run({ done = 0, until = this.#numbers.length, end = true } = {}): Promise<CallbackState | undefined> {
    const callback = this.#callback;
    for (let epoch = 1; epoch <= done; epoch++) this.results.push(this.#result(epoch));
    await callback.onTrainBegin?.(this.context);
    for (let epoch = done + 1; epoch <= until && this.stopReason === null; epoch++) {
      this.weights = [Float32Array.of(epoch)];
      const result = this.#result(epoch);
      this.results.push(result);
      await callback.onEpochEnd?.(epoch, result, this.context);
    }
    const state = callback.getState?.();
    if (end) await callback.onTrainEnd?.(this.context);
    // As it comes out of a checkpoint.
    return state && { ...state, values: JSON.parse(JSON.stringify(state.values)) };
  }

  #result(epoch: number): EpochResult {
    return { epoch, loss: 1, learningRate: 0.5, seconds: 2, ...this.#numbers[epoch - 1] };
  }
}

/** Epochs with these values of a number. */
export const epochsOf = (name: string, values: readonly number[]): Numbers[] =>
  values.map((value) => ({ [name]: value }));
