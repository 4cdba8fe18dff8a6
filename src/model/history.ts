/** What one whole epoch came to. */
export interface EpochResult {
  /** From 1, counted over all calls of `fit` on the model: the second fit goes on where the first ended. */
  epoch: number;
  /** The mean over the epoch's samples, each taken with the weights of its own step. */
  loss: number;
  /** The part of the samples that were classified rightly, likewise; only with losses on classes. */
  accuracy?: number;
  /** On the validation samples, with the weights at the epoch's end. */
  validationLoss?: number;
  validationAccuracy?: number;
  /** Time inside training steps and shuffling. */
  seconds: number;
}

/** The columns of a history by name, as Keras and TensorFlow.js have them. */
export interface HistoryColumns {
  loss: number[];
  accuracy?: number[];
  validationLoss?: number[];
  validationAccuracy?: number[];
}

export interface History {
  /** One entry per whole epoch of this fit. */
  epochs: EpochResult[];
  /** The same by column: history.history.loss[0]. A column stands only when every epoch has it. */
  history: HistoryColumns;
  /** Time inside training steps and shuffling, without validation; an interrupted epoch counts. */
  trainSeconds: number;
  /** aborted: the signal ended the fit before its last step or its last validation. */
  stopped: 'completed' | 'aborted';
}

const OPTIONAL_COLUMNS = ['accuracy', 'validationLoss', 'validationAccuracy'] as const;

export function makeHistory(epochs: EpochResult[], trainSeconds: number, stopped: History['stopped']): History {
  const history: HistoryColumns = { loss: epochs.map(({ loss }) => loss) };
  for (const name of OPTIONAL_COLUMNS) {
    const column = epochs.map((epoch) => epoch[name]);
    if (column.length > 0 && column.every((value) => value !== undefined)) history[name] = column as number[];
  }
  return { epochs, history, trainSeconds, stopped };
}
