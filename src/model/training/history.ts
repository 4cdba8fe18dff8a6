import type { EpochResult } from '../../epoch-result.js';

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
   * aborted: the signal ended the fit before its last step or its last validation; callback: one of the callbacks did.
   */
  stopped: 'completed' | 'aborted' | 'callback';
  /** Why a callback did. */
  stopReason?: string;
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
