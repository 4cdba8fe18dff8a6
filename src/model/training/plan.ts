import type { Samples } from '../../backends/backend.js';
import type { Callback } from '../../callbacks/callback.js';
import type { EpochResult } from '../../epoch-result.js';
import { checkInteger, checkNumber, expected } from '../../errors.js';
import type { Loss } from '../../losses/loss.js';
import { checkBoolean, checkCallback, checkOptions, checkSignal, type OptionNames } from '../../options.js';
import { type LabelledSamples, readSamples } from '../samples.js';
import type { Stack } from '../stack.js';
import { checkCallbacks } from './callbacks.js';

export interface FitProgress {
  /** The running epoch, counted as in `EpochResult`, and the last one of this fit. */
  epoch: number;
  epochs: number;
  /** Whole steps done in this epoch, of how many; null where nobody knows how long a stream is. */
  step: number;
  steps: number | null;
  /** The samples in them, of how many. */
  samples: number;
  count: number | null;
  /** The mean over those samples. */
  loss: number;
  /** Only with losses on classes. */
  accuracy?: number;
}

export interface FitOptions {
  /** Passes over the data, at least 1; default 1. */
  epochs?: number;
  /** Samples per step; the last step of an epoch takes what is left. Default 32. */
  batchSize?: number;
  /** The part of the data, in (0, 1), taken from its end before shuffling and kept for validation. */
  validationSplit?: number;
  /** Samples for validation after every epoch; not together with validationSplit. */
  validationData?: LabelledSamples;
  /** Whether each epoch takes the samples in an order of its own, drawn from the seed; default true. */
  shuffle?: boolean;
  /** Ends training after the step in flight. */
  signal?: AbortSignal;
  /** Called about twenty times a second while steps run. What it throws ends the fit. */
  onProgress?: (progress: FitProgress) => void;
  /** Called after every whole epoch and awaited. Weights may be read and saved here. What it throws ends the fit. */
  onEpochEnd?: (result: EpochResult) => void | Promise<void>;
  /** Called in their order at the moments that they have functions for, and awaited. */
  callbacks?: readonly Callback[];
  /** Gets advice when the model does not learn at all; default: `process.emitWarning`. */
  onHint?: (text: string) => void;
}

const OPTIONS: OptionNames<FitOptions> = {
  epochs: true,
  batchSize: true,
  validationSplit: true,
  validationData: true,
  shuffle: true,
  signal: true,
  onProgress: true,
  onEpochEnd: true,
  callbacks: true,
  onHint: true,
};

export interface FitPlan {
  samples: Samples;
  trainCount: number;
  validation: Samples | null;
  /** Where validation samples start in the data they come from. */
  validationStart: number;
  epochs: number;
  batchSize: number;
  shuffle: boolean;
  signal?: AbortSignal;
  onProgress?: FitOptions['onProgress'];
  onEpochEnd?: FitOptions['onEpochEnd'];
  callbacks: readonly Callback[];
  onHint: (text: string) => void;
}

const warn = (text: string): void => process.emitWarning(text, 'MnistTrainHint');

/** Checks all that can be checked before the first step. */
export function planFit(stack: Stack, loss: Loss, data: LabelledSamples, options: FitOptions | undefined): FitPlan {
  const checked = checkOptions(options, 'fit', OPTIONS);
  const epochs = checkInteger(checked.epochs ?? 1, 'epochs', 1, 1e6);
  const batchSize = checkInteger(checked.batchSize ?? 32, 'batchSize', 1);
  const samples = readSamples(data, stack, loss, 'data');
  let trainCount = samples.count;
  let validation: Samples | null = null;
  let validationStart = 0;
  if (checked.validationSplit !== undefined) {
    if (checked.validationData !== undefined) {
      throw expected('no value', 'validationSplit with validationData', checked.validationSplit, 'Choose one of them.');
    }
    const fraction = checkNumber(checked.validationSplit, 'validationSplit', 0, 1, true);
    trainCount = Math.floor(samples.count * (1 - fraction));
    if (trainCount === 0 || trainCount === samples.count) {
      throw expected(`a part of ${samples.count} samples that leaves both sides some`, 'validationSplit', fraction);
    }
    validation = samples;
    validationStart = trainCount;
  } else if (checked.validationData !== undefined) {
    validation = readSamples(checked.validationData, stack, loss, 'validationData');
  }
  const rows = Math.min(batchSize, trainCount);
  return {
    samples,
    trainCount,
    validation,
    validationStart,
    epochs,
    batchSize: rows,
    shuffle: checkBoolean(checked.shuffle ?? true, 'shuffle'),
    signal: checkSignal(checked.signal),
    onProgress: checkCallback(checked.onProgress, 'onProgress'),
    onEpochEnd: checkCallback(checked.onEpochEnd, 'onEpochEnd'),
    callbacks: checkCallbacks(checked.callbacks),
    onHint: checkCallback(checked.onHint, 'onHint') ?? warn,
  };
}
