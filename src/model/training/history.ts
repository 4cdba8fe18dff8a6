import type { EpochResult } from '../../epoch-result.js';
import { MnistTrainError } from '../../errors.js';

/** The columns of a history by name, as Keras and TensorFlow.js have them. */
export interface HistoryColumns {
  loss: number[];
  learningRate: number[];
  accuracy?: number[];
  validationLoss?: number[];
  validationAccuracy?: number[];
  /** Further metrics given to `compile`: `validation` and the metric's name. */
  [metric: string]: number[] | undefined;
}

export interface History {
  /** One entry per whole epoch of this fit. */
  epochs: EpochResult[];
  /** The same by column: history.history.loss[0]. A column stands only when every epoch has it. */
  history: HistoryColumns;
  /** Time inside training steps and shuffling, without validation; an interrupted epoch counts. */
  trainSeconds: number;
  /**
   * callback: one of the callbacks ended the fit. aborted: the signal did, before its last step or its last validation; such
   * a history comes in a `TrainingAbortedError`.
   */
  stopped: 'completed' | 'aborted' | 'callback';
  /** Why a callback did. */
  stopReason?: string;
}

/**
 * What `fit` rejects with when its signal aborts, or the model is disposed of meanwhile: code ERR_ABORTED, `cause` is the
 * signal's reason.
 */
export class TrainingAbortedError extends MnistTrainError {
  /** What was done up to then: whole epochs, and the time inside training steps. */
  readonly history: History;

  constructor(history: History, reason: unknown) {
    super('ERR_ABORTED', 'Training was aborted. The weights are those after its last whole step.', { cause: reason });
    this.name = 'TrainingAbortedError';
    this.history = history;
  }
}

/** What an epoch's result holds besides numbers to look at. */
const NO_COLUMNS = new Set(['epoch', 'seconds']);

export function makeHistory(
  epochs: EpochResult[],
  trainSeconds: number,
  stopped: History['stopped'],
  stopReason?: string,
): History {
  const history: HistoryColumns = { loss: [], learningRate: [] };
  for (const name of Object.keys(epochs[0] ?? {})) {
    const column = epochs.map((epoch) => epoch[name]);
    if (!NO_COLUMNS.has(name) && column.every((value) => value !== undefined)) history[name] = column as number[];
  }
  return { epochs, history, trainSeconds, stopped, ...(stopReason !== undefined && { stopReason }) };
}
