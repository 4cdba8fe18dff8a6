/** What one whole epoch came to: what schedules and callbacks look at, and what a history lists. */
export interface EpochResult {
  /** From 1, counted over all calls of `fit` on the model: the second fit goes on where the first ended. */
  epoch: number;
  /** The mean over the epoch's samples, each taken with the weights of its own step. */
  loss: number;
  /** The part of the samples that were classified rightly, likewise; only with losses that count correct answers. */
  accuracy?: number;
  /** On the validation samples, with the weights at the epoch's end. */
  validationLoss?: number;
  validationAccuracy?: number;
  /** The learning rate of the epoch's last step. */
  learningRate: number;
  /** Time inside training steps and shuffling. */
  seconds: number;
  /** Further metrics given to `compile`, on the validation samples: `validation` and the metric's name. */
  [metric: string]: number | undefined;
}

const MORE_IS_BETTER = /accuracy|precision|recall|f1|auc|top-?k|top\d|r2$/i;

/** Whether a number of an epoch's result gets better by getting greater, judged by its name. */
export const moreIsBetter = (monitor: string): boolean => MORE_IS_BETTER.test(monitor);
