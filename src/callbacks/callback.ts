import type { EpochResult } from '../epoch-result.js';
import type { JsonValue } from '../json.js';

type Awaitable<T> = T | Promise<T>;

/** What a callback may do with the model that is being trained. Every `Sequential` is one. */
export interface CallbackModel {
  /** Copies of the weights as they are at this moment. */
  getWeights(): Float32Array[];
  /** Replaces them; training goes on from there. */
  setWeights(weights: readonly Float32Array[]): void;
  save(path: string, options?: { metadata?: Record<string, string> }): Promise<void>;
}

/** The fit that calls, the same object at every moment. */
export interface CallbackContext {
  readonly model: CallbackModel;
  /** The first and the last epoch of this fit, counted as in `EpochResult`. */
  readonly firstEpoch: number;
  readonly lastEpoch: number;
  /** Null where a stream of unknown length is read. */
  readonly stepsPerEpoch: number | null;
  /** The names of the numbers in an epoch's result, for callbacks that watch one of them. */
  readonly monitors: readonly string[];
  /** Results of the epochs done in this fit so far; not empty at `onTrainBegin` when a checkpoint was resumed. */
  readonly results: readonly EpochResult[];
  /** Steps done since `compile`. */
  readonly step: number;
  /**
   * Calls `work` when nothing runs in the model, an evaluation that somebody began beside the fit, say: reading weights in
   * the middle of one throws ERR_STATE. Only in a callback, and awaited there.
   */
  whenIdle<T>(work: () => T | Promise<T>): Promise<T>;
  /** Ends training after this moment; the history says `stopped: 'callback'` and why. */
  stopTraining(reason?: string): void;
}

/** What one training step came to. */
export interface BatchResult {
  epoch: number;
  /** The place in the epoch, from 1. */
  batch: number;
  /** Samples in it. */
  size: number;
  /** The mean over the batch's samples. */
  loss: number;
  accuracy?: number;
  learningRate: number;
}

/** What a callback wants to find again after a resume. */
export interface CallbackState {
  values: JsonValue;
  /** Of the shapes that `getWeights` gives. */
  weights?: readonly Float32Array[];
}

/**
 * Functions that a fit calls and awaits at these moments, which are Keras's; several callbacks are called in their order.
 * What one throws ends the fit. A plain object with some of them is a callback.
 *
 * With a moment of batches every step is run by itself, which takes small networks 1.6 to 2 times as long.
 */
export interface Callback {
  onTrainBegin?(context: CallbackContext): Awaitable<void>;
  /** Called however training ends, once `onTrainBegin` was: at its end, stopped, aborted, and when it failed. */
  onTrainEnd?(context: CallbackContext): Awaitable<void>;
  /** `epoch` as in `EpochResult`. */
  onEpochBegin?(epoch: number, context: CallbackContext): Awaitable<void>;
  /** After the epoch's steps and its validation. */
  onEpochEnd?(epoch: number, result: EpochResult, context: CallbackContext): Awaitable<void>;
  /** `batch` is the place in the epoch, from 1. */
  onTrainBatchBegin?(batch: number, context: CallbackContext): Awaitable<void>;
  onTrainBatchEnd?(batch: number, result: BatchResult, context: CallbackContext): Awaitable<void>;
  /** Around the validation of each epoch. */
  onTestBegin?(context: CallbackContext): Awaitable<void>;
  onTestEnd?(result: Readonly<Record<string, number | undefined>>, context: CallbackContext): Awaitable<void>;
  /** Its state for a checkpoint, which may be taken between any two steps. What it returns must not change afterwards. */
  getState?(): CallbackState;
  /** Gets that state back when training is resumed, before `onTrainBegin`. */
  setState?(state: CallbackState): void;
}
