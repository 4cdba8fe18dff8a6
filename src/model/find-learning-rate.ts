import type { BatchResult, Callback } from '../callbacks/callback.js';
import { checkInteger, checkNumber, expected, MnistTrainError } from '../errors.js';
import { checkCallback, checkOptions, checkSignal } from '../options.js';
import { exponentialDecay } from '../schedules/exponential-decay.js';
import type { ScheduleFunction } from '../schedules/schedule.js';
import type { LabelledSamples } from './samples.js';
import type { Sequential } from './sequential.js';
import { TrainingAbortedError } from './training/history.js';

export interface FindLearningRateOptions {
  /** The rate of the first step, at least 1e-30; default 1e-6. */
  minLearningRate?: number;
  /** The rate of the last step, above the first and at most 1e30; default 10. */
  maxLearningRate?: number;
  /** Steps of training, a mini-batch each, at least 10; default 100. */
  steps?: number;
  /** Samples per step; default 32. A rate that is right for one batch size is not for another. */
  batchSize?: number;
  /** The weight of the losses before in the smoothed loss, in [0, 1); default 0.9. */
  smoothing?: number;
  /** Ends the search within milliseconds. */
  signal?: AbortSignal;
  /** Called after every step. What it throws ends the search. */
  onProgress?: (progress: FindLearningRateProgress) => void;
}

export interface FindLearningRateProgress {
  /** Steps done, of at most how many. */
  step: number;
  steps: number;
  learningRate: number;
  loss: number;
}

export interface LearningRateSearch {
  /** Of every step, rising. */
  learningRates: number[];
  /** The mean loss of every step's samples, before the step changed the weights. */
  losses: number[];
  smoothedLosses: number[];
  /** The greatest rate for a schedule that rises and falls, or falls; null where no rate made the loss fall. */
  suggestion: number | null;
  /** Where the smoothed loss falls most steeply: a rate to stay with. Null where no rate made it fall. */
  steepest: number | null;
  /** Where the smoothed loss is least: more than that is too much. Null where the first step diverged. */
  minimum: number | null;
  /** diverged: the loss became so great, or not finite, that greater rates were not tried. */
  stopped: 'completed' | 'diverged';
}

/** Beyond them, updates have no place in float32. */
const [LEAST_RATE, GREATEST_RATE] = [1e-30, 1e30];
/** As in fastai, the search ends when the smoothed loss is so many times its least value. */
const DIVERGED = 4;
/**
 * The suggestion is the greatest rate, from the steepest fall on, at which the loss still falls so much as steeply. Smith's
 * steepest fall itself is cautious: with one-cycle, three seeds each, it is 0.25 to 0.6 of the rates that were found best on
 * MNIST for 784-128-10 with adam and sgd and for the recipes fast, cnn and balanced; this is 0.5 to 2 of them.
 */
const STILL_STEEP = 0.75;
/** A smoothed loss that falls by less than this part of its first value is noise. */
const LEAST_FALL = 0.02;

/**
 * Finds a learning rate by the range test of Smith, "Cyclical learning rates for training neural networks" (2017): the model
 * is trained for some steps with a rate that rises exponentially, and the loss shows which rates are too small to do
 * anything, which work, and which are too great.
 *
 * It works on a copy: the model, its weights, optimizer and epochs stay as they are. The losses are smoothed by their
 * exponential average, s = smoothing · s + (1 - smoothing) · loss, divided by 1 - smoothing^steps. How steeply they fall
 * at a rate is the slope of a straight line through a tenth of the steps around it; only rates before the least loss count.
 * Fewer steps than the 100 that this was tuned with give greater rates, more steps lesser ones.
 *
 * Rejects with ERR_STATE before `compile`, with ERR_ABORTED when `signal` comes first, and as `fit` does for wrong data.
 */
export async function findLearningRate(
  model: Sequential,
  data: LabelledSamples,
  options?: FindLearningRateOptions,
): Promise<LearningRateSearch> {
  const checked = checkOptions(options, 'findLearningRate', {
    minLearningRate: true,
    maxLearningRate: true,
    steps: true,
    batchSize: true,
    smoothing: true,
    signal: true,
    onProgress: true,
  });
  const first = checkNumber(checked.minLearningRate ?? 1e-6, 'minLearningRate', LEAST_RATE);
  const last = checkNumber(checked.maxLearningRate ?? 10, 'maxLearningRate', LEAST_RATE, GREATEST_RATE);
  if (last <= first) throw expected(`a number above minLearningRate ${first}`, 'maxLearningRate', last);
  const steps = checkInteger(checked.steps ?? 100, 'steps', 10, 100_000);
  const smoothing = checkNumber(checked.smoothing ?? 0.9, 'smoothing', 0, 1, true);
  const onProgress = checkCallback(checked.onProgress, 'onProgress');
  const { batchSize, signal } = { ...checked, signal: checkSignal(checked.signal) };

  const learningRates: number[] = [];
  const losses: number[] = [];
  const smoothedLosses: number[] = [];
  const smooth = smoother(smoothing);
  const rising = exponentialDecay(first, { decayRate: last / first, decaySteps: steps - 1 });
  const ended = await trainSteps(model, data, rising, { steps, batchSize, signal }, ({ learningRate, loss }) => {
    learningRates.push(learningRate);
    losses.push(loss);
    smoothedLosses.push(smooth(loss));
    onProgress?.({ step: losses.length, steps, learningRate, loss });
    // Before that, the average is of too few.
    const settled = losses.length > steps / 10;
    return !(settled && smoothedLosses.at(-1)! > DIVERGED * Math.min(...smoothedLosses));
  });
  const least = smoothedLosses.indexOf(Math.min(...smoothedLosses));
  const fall = steepFall(smoothedLosses, least, steps);
  return {
    learningRates,
    losses,
    smoothedLosses,
    suggestion: fall && learningRates[fall.end],
    steepest: fall && learningRates[fall.steepest],
    minimum: learningRates[least] ?? null,
    stopped: ended ? 'completed' : 'diverged',
  };
}

/**
 * Trains a copy of the model for so many steps and calls `onStep` after each: false stops it. Returns whether all steps
 * were done, each with a finite loss.
 */
async function trainSteps(
  model: Sequential,
  data: LabelledSamples,
  learningRate: ScheduleFunction,
  { steps, batchSize, signal }: { steps: number; batchSize?: number; signal?: AbortSignal },
  onStep: (result: BatchResult) => boolean,
): Promise<boolean> {
  if (!model.optimizer) {
    throw new MnistTrainError('ERR_STATE', 'Call compile with an optimizer and a loss before findLearningRate.');
  }
  const copy = model.copy({ optimizer: { ...model.optimizer, learningRate } });
  let done = 0;
  let stopped = false;
  const callback: Callback = {
    onTrainBatchEnd: (_batch, result, context) => {
      stopped = !onStep(result);
      if (++done === steps || stopped) context.stopTraining('All rates were tried.');
    },
  };
  try {
    // An epoch is a step or more.
    const fit = { epochs: steps, batchSize, signal, callbacks: [callback], onWarning: () => {} };
    await copy.fit(data, fit);
    return !stopped;
  } catch (error) {
    if (error instanceof TrainingAbortedError) {
      throw new MnistTrainError('ERR_ABORTED', 'The search was aborted.', { cause: signal?.reason });
    }
    if (error instanceof MnistTrainError && error.code === 'ERR_NON_FINITE') return false;
    throw error;
  } finally {
    copy.dispose();
  }
}

function smoother(weight: number): (value: number) => number {
  let sum = 0;
  let missing = 1;
  return (value) => {
    sum = weight * sum + (1 - weight) * value;
    missing *= weight;
    return sum / (1 - missing);
  };
}

/**
 * The place, up to `least`, where the regression line through the values around it falls most steeply, and where the steep
 * fall ends; null where the values do not fall. Differences of neighbours would find the noise of single batches. Rates
 * rise by the same factor from step to step, so that places are the logarithm of the rate.
 */
function steepFall(values: readonly number[], least: number, steps: number): { steepest: number; end: number } | null {
  if (least < 1 || values[least] > (1 - LEAST_FALL) * values[0]) return null;
  const reach = Math.max(1, Math.round(steps / 20));
  const around = (place: number) => values.slice(Math.max(0, place - reach), place + reach + 1);
  const slopes = values.slice(0, least + 1).map((_, place) => slopeOf(around(place)));
  const slope = Math.min(...slopes);
  const steepest = slopes.indexOf(slope);
  let end = steepest;
  while (end < least && slopes[end + 1] <= STILL_STEEP * slope) end++;
  return { steepest, end };
}

/** The slope of the regression line through values at 0, 1, 2, ... */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let covariance = 0;
  let variance = 0;
  values.forEach((value, index) => {
    covariance += (index - middle) * value;
    variance += (index - middle) ** 2;
  });
  return covariance / variance;
}
