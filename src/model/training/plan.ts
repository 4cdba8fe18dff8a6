import type { Samples } from '../../backends/backend.js';
import type { Callback } from '../../callbacks/callback.js';
import type { EpochResult } from '../../epoch-result.js';
import { checkInteger, checkNumber, expected } from '../../errors.js';
import type { Loss } from '../../losses/loss.js';
import { checkBoolean, checkCallback, checkOptions, checkSignal, type OptionNames } from '../../options.js';
import type { Pieces } from '../../pieces.js';
import { checkAlike, type LabelledSamples, readSamples } from '../samples.js';
import type { Stack } from '../stack.js';
import { checkCallbacks } from './callbacks.js';
import { type CheckpointOptions, type CheckpointPlan, checkCheckpoint } from './checkpoint-options.js';
import { type BatchStream, isBatchStream } from './stream.js';

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
  /**
   * Samples per step; the last step of an epoch takes what is left. Default 32. Of a stream, every batch is a step where
   * this is not given; where it is, batches are cut and joined to steps of this size.
   */
  batchSize?: number;
  /**
   * Streams only: the steps of an epoch. Needed by schedules that depend on how long a fit is. An iterable is then read on
   * from epoch to epoch; without it, each epoch reads one from its beginning to its end.
   */
  stepsPerEpoch?: number;
  /** Streams only: how many steps are read ahead of those that run, at least 1; default 32. They stay in memory. */
  prefetch?: number;
  /** The part of the data, in (0, 1), taken from its end before shuffling and kept for validation. */
  validationSplit?: number;
  /** Samples for validation after every epoch; not together with validationSplit. */
  validationData?: LabelledSamples;
  /** Whether each epoch takes the samples in an order of its own, drawn from the seed; default true. */
  shuffle?: boolean;
  /** Ends training within milliseconds: `fit` rejects, and the weights are those after the last whole step. */
  signal?: AbortSignal;
  /** Called about twenty times a second while steps run. What it throws ends the fit. */
  onProgress?: (progress: FitProgress) => void;
  /** Called after every whole epoch and awaited. Weights may be read and saved here. What it throws ends the fit. */
  onEpochEnd?: (result: EpochResult) => void | Promise<void>;
  /** Called in their order at the moments that they have functions for, and awaited. */
  callbacks?: readonly Callback[];
  /** Writes where training stands to a folder every now and then, and goes on from there after an interruption. */
  checkpoint?: CheckpointOptions;
  /**
   * Gets remarks: advice when the model does not learn at all, a damaged checkpoint that was passed over. Default:
   * `process.emitWarning`.
   */
  onWarning?: (text: string) => void;
}

export const FIT_OPTIONS: OptionNames<FitOptions> = {
  epochs: true,
  batchSize: true,
  stepsPerEpoch: true,
  prefetch: true,
  validationSplit: true,
  validationData: true,
  shuffle: true,
  signal: true,
  onProgress: true,
  onEpochEnd: true,
  callbacks: true,
  checkpoint: true,
  onWarning: true,
};

export interface FitPlan {
  /** Data in memory, or a stream. */
  memory: { samples: Samples; trainCount: number; batchSize: number; shuffle: boolean } | null;
  stream: { stream: BatchStream; batchSize: number | null; prefetch: number } | null;
  validation: Samples | null;
  /** Where validation samples start in the data they come from. */
  validationStart: number;
  epochs: number;
  /** Of a stream, where it is known. */
  stepsPerEpoch: number | null;
  signal?: AbortSignal;
  onProgress?: FitOptions['onProgress'];
  onEpochEnd?: FitOptions['onEpochEnd'];
  callbacks: readonly Callback[];
  checkpoint: CheckpointPlan | null;
  onWarning: (text: string) => void;
}

const warn = (text: string): void => process.emitWarning(text, 'MnistTrainWarning');

/** Checks all that can be checked before the first step. */
export function* planFit(
  stack: Stack,
  loss: Loss,
  data: LabelledSamples | BatchStream,
  options: FitOptions | undefined,
): Pieces<FitPlan> {
  const checked = checkOptions(options, 'fit', FIT_OPTIONS);
  const shared = {
    epochs: checkInteger(checked.epochs ?? 1, 'epochs', 1, 1e6),
    signal: checkSignal(checked.signal),
    onProgress: checkCallback(checked.onProgress, 'onProgress'),
    onEpochEnd: checkCallback(checked.onEpochEnd, 'onEpochEnd'),
    callbacks: checkCallbacks(checked.callbacks),
    checkpoint: checkCheckpoint(checked.checkpoint),
    onWarning: checkCallback(checked.onWarning, 'onWarning') ?? warn,
  };
  const { batchSize, validationData } = checked;
  if (batchSize !== undefined) checkInteger(batchSize, 'batchSize', 1);
  const kept = validationData === undefined ? null : yield* readSamples(validationData, stack, loss, 'validationData');
  return isBatchStream(data)
    ? { ...shared, ...planStream(data, checked), validation: kept, validationStart: 0 }
    : { ...shared, ...(yield* planMemory(yield* readSamples(data, stack, loss, 'data'), kept, checked)) };
}

type MemoryPlan = Pick<FitPlan, 'memory' | 'stream' | 'stepsPerEpoch' | 'validation' | 'validationStart'>;

function* planMemory(samples: Samples, kept: Samples | null, options: FitOptions): Pieces<MemoryPlan> {
  if (kept) yield* checkAlike(samples, kept);
  const { validationSplit, stepsPerEpoch, prefetch } = options;
  for (const [name, value] of Object.entries({ stepsPerEpoch, prefetch })) {
    if (value !== undefined) throw expected('no value', `${name} without a stream`, value);
  }
  const shuffle = checkBoolean(options.shuffle ?? true, 'shuffle');
  const trainCount = validationSplit === undefined ? samples.count : splitAt(samples, kept, validationSplit);
  const split = trainCount < samples.count;
  return {
    memory: { samples, trainCount, batchSize: Math.min(options.batchSize ?? 32, trainCount), shuffle },
    stream: null,
    stepsPerEpoch: null,
    validation: split ? samples : kept,
    validationStart: split ? trainCount : 0,
  };
}

function splitAt({ count }: Samples, kept: Samples | null, validationSplit: number): number {
  if (kept) {
    throw expected('no value', 'validationSplit with validationData', validationSplit, 'Choose one of them.');
  }
  const fraction = checkNumber(validationSplit, 'validationSplit', 0, 1, true);
  const trainCount = Math.floor(count * (1 - fraction));
  if (trainCount === 0 || trainCount === count) {
    throw expected(`a part of ${count} samples that leaves both sides some`, 'validationSplit', fraction);
  }
  return trainCount;
}

function planStream(stream: BatchStream, options: FitOptions): Pick<FitPlan, 'memory' | 'stream' | 'stepsPerEpoch'> {
  const { validationSplit, shuffle, stepsPerEpoch, prefetch = 32, batchSize = null } = options;
  if (validationSplit !== undefined) {
    throw expected('no value', 'validationSplit with a stream', validationSplit, 'Give validationData instead.');
  }
  if (checkBoolean(shuffle ?? false, 'shuffle')) {
    throw expected('false or nothing', 'shuffle with a stream', shuffle, 'A stream is taken in its own order.');
  }
  if (stepsPerEpoch !== undefined) checkInteger(stepsPerEpoch, 'stepsPerEpoch', 1);
  return {
    memory: null,
    stream: { stream, batchSize, prefetch: checkInteger(prefetch, 'prefetch', 1, 1e6) },
    stepsPerEpoch: stepsPerEpoch ?? null,
  };
}
