import type { EpochResult } from '../epoch-result.js';
import { checkInteger, checkNumber, MnistTrainError } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import type { Callback, CallbackContext, CallbackModel, CallbackState } from './callback.js';
import { Monitor, type MonitorOptions } from './monitor.js';
import { isCount, isNumberOrNull, readState } from './state.js';

export interface EarlyStoppingOptions extends MonitorOptions {
  /** The least change that counts as better, at least 0; default 0. */
  minDelta?: number;
  /** So many epochs in a row may be no better; the last of them ends training. Default 0, which is as 1. */
  patience?: number;
  /** Epochs count as better only beyond this value. */
  baseline?: number;
  /** Whether the model ends with the weights of its best epoch, however training ended; default false. */
  restoreBestWeights?: boolean;
  /** The first epochs of the fit that are not looked at; default 0. */
  startFromEpoch?: number;
}

/** What a checkpoint keeps of it, besides the best weights. */
interface Progress {
  /** Epochs since the last better one. */
  wait: number;
  best: number | null;
  bestEpoch: number;
}

const BEGINNING: Progress = { wait: 0, best: null, bestEpoch: 0 };

/**
 * Ends training when a number of the epochs has not become better for `patience` epochs: Keras's EarlyStopping, except
 * that with restoreBestWeights the model has the best weights at the end in every case, also when the epochs ran out, the
 * fit was aborted or failed. A number that is not finite is never better. Every fit begins anew, unless it was resumed.
 *
 * Throws ERR_ARGUMENT for wrong options, and at the beginning of a fit whose epochs do not have the number.
 */
export function earlyStopping(options?: EarlyStoppingOptions): Callback {
  return new EarlyStopping(
    checkOptions(options, 'earlyStopping', {
      monitor: true,
      mode: true,
      minDelta: true,
      patience: true,
      baseline: true,
      restoreBestWeights: true,
      startFromEpoch: true,
    }),
  );
}

class EarlyStopping implements Callback {
  readonly #monitor: Monitor;
  readonly #minDelta: number;
  readonly #patience: number;
  readonly #baseline: number | null;
  readonly #restoreBestWeights: boolean;
  readonly #startFromEpoch: number;
  #progress = BEGINNING;
  #bestWeights: readonly Float32Array[] | null = null;
  #resumed = false;
  #running = false;
  #firstEpoch = 1;

  constructor(options: EarlyStoppingOptions) {
    this.#monitor = new Monitor(options);
    this.#minDelta = checkNumber(options.minDelta ?? 0, 'minDelta', 0);
    this.#patience = checkInteger(options.patience ?? 0, 'patience', 0);
    this.#baseline = options.baseline === undefined ? null : checkNumber(options.baseline, 'baseline');
    this.#restoreBestWeights = checkBoolean(options.restoreBestWeights ?? false, 'restoreBestWeights');
    this.#startFromEpoch = checkInteger(options.startFromEpoch ?? 0, 'startFromEpoch', 0);
  }

  onTrainBegin(context: CallbackContext): void {
    // A state is of no use to a fit that begins anew after one that could not be resumed.
    if (!this.#resumed || context.results.length === 0) this.#begin();
    this.#resumed = false;
    this.#firstEpoch = context.results[0]?.epoch ?? context.firstEpoch;
    this.#monitor.check(context, 'earlyStopping');
    this.#running = true;
  }

  async onEpochEnd(epoch: number, result: EpochResult, context: CallbackContext): Promise<void> {
    const value = result[this.#monitor.name];
    // A validation that was aborted has no result.
    if (value === undefined || epoch - this.#firstEpoch < this.#startFromEpoch) return;
    const { wait, best, bestEpoch } = this.#progress;
    if (this.#isBest(value) && (await this.#keepWeights(context))) {
      const beyondBaseline = this.#monitor.isBetter(value, this.#baseline, this.#minDelta);
      this.#progress = { wait: beyondBaseline ? 0 : wait + 1, best: value, bestEpoch: epoch };
      return;
    }
    this.#progress = { wait: wait + 1, best, bestEpoch };
    // At the end there is nothing left to stop.
    const mayStop = epoch > this.#firstEpoch && epoch < context.lastEpoch;
    if (wait + 1 >= this.#patience && mayStop) context.stopTraining(this.#reason());
  }

  async onTrainEnd({ model, whenIdle }: CallbackContext): Promise<void> {
    const weights = this.#bestWeights;
    if (this.#running && weights) await whenIdle(() => restore(model, weights));
    this.#running = false;
  }

  getState(): CallbackState {
    return { values: { ...this.#progress }, ...(this.#bestWeights && { weights: this.#bestWeights }) };
  }

  setState(state: CallbackState): void {
    const progress = readState<Progress>(state, 'earlyStopping', {
      wait: isCount,
      best: isNumberOrNull,
      bestEpoch: isCount,
    });
    this.#begin();
    this.#resumed = true;
    if (this.#restoreBestWeights) this.#bestWeights = state.weights ?? null;
    // There is no way back to a best epoch whose weights were not kept: look for another.
    const lost = this.#restoreBestWeights && !this.#bestWeights;
    this.#progress = lost ? { ...BEGINNING, wait: progress.wait } : progress;
  }

  #begin(): void {
    this.#progress = BEGINNING;
    this.#bestWeights = null;
  }

  #isBest(value: number): boolean {
    return this.#monitor.isBetter(value, this.#progress.best, this.#minDelta);
  }

  /** False when the epoch's last step has ruined the weights, which the numbers of its earlier steps do not show. */
  async #keepWeights({ model, whenIdle }: CallbackContext): Promise<boolean> {
    if (!this.#restoreBestWeights) return true;
    const weights = await whenIdle(() => model.getWeights());
    if (!weights.every((values) => values.every(Number.isFinite))) return false;
    this.#bestWeights = weights;
    return true;
  }

  #reason(): string {
    const { wait, best, bestEpoch } = this.#progress;
    const epochs = `${wait} epoch${wait === 1 ? '' : 's'}`;
    if (best === null) return `${this.#monitor.name} was not a finite number for ${epochs}`;
    return `${this.#monitor.name} was no better than ${Number(best.toPrecision(4))} of epoch ${bestEpoch} for ${epochs}`;
  }
}

function restore(model: CallbackModel, weights: readonly Float32Array[]): void {
  try {
    model.setWeights(weights);
  } catch (error) {
    // Nothing runs: the model was disposed of, which ends a fit as well, and leaves no weights to replace.
    if (!(error instanceof MnistTrainError && error.code === 'ERR_STATE')) throw error;
  }
}
