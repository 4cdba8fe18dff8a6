import { checkNumber, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkDuration, type Duration, placeWithin, stepsOf } from './duration.js';
import { cosineOfPi, wholePower } from './float64.js';
import type { FitPosition, ScheduleFunction } from './schedule.js';

export interface CosineRestarts {
  /** The length of the first period, in steps or { epochs }. */
  firstPeriod: Duration;
  /** Each period is so many times as long as the one before, at least 1; default 1. */
  periodFactor?: number;
  /** Each period rises to so much of the peak of the one before, measured above minLearningRate, in [0, 1]; default 1. */
  peakFactor?: number;
}

export interface CosineDecayOptions {
  /** How long the rate first rises in a straight line, in steps or { epochs }; default 0. */
  warmup?: Duration;
  /** Where that line begins, the rate of the first step; default 0. */
  initialLearningRate?: number;
  /** Where the fall ends, at most maxLearningRate; default 0. */
  minLearningRate?: number;
  /** The length of rise and fall together, in steps or { epochs }. Default: that of the running `fit`. */
  totalSteps?: Duration;
  /** Falls again and again instead of once; not together with totalSteps. */
  restarts?: CosineRestarts;
}

/**
 * A learning rate that falls along half a cosine: with t the part of the fall that is over,
 * minLearningRate + (maxLearningRate - minLearningRate) · (1 + cos(π t)) / 2. The step after the last would have the
 * minimum. So have Keras's CosineDecay, whose warm-up this is too, and PyTorch's CosineAnnealingLR; with `restarts` it is
 * PyTorch's CosineAnnealingWarmRestarts (Loshchilov and Hutter, "SGDR", 2017) and Keras's CosineDecayRestarts.
 *
 * Without totalSteps and restarts each fit is a fall of its own. With either, steps are counted since `compile`, over
 * several fits; beyond totalSteps the minimum stays.
 */
export function cosineDecay(maxLearningRate: number, options?: CosineDecayOptions): ScheduleFunction {
  checkNumber(maxLearningRate, 'maxLearningRate', 0);
  const checked = checkOptions(options, 'cosineDecay', {
    warmup: true,
    initialLearningRate: true,
    minLearningRate: true,
    totalSteps: true,
    restarts: true,
  });
  const warmup = checkDuration(checked.warmup ?? 0, 'warmup', 0);
  const initial = checkNumber(checked.initialLearningRate ?? 0, 'initialLearningRate', 0);
  const least = checkNumber(checked.minLearningRate ?? 0, 'minLearningRate', 0, maxLearningRate);
  const totalSteps = checked.totalSteps === undefined ? null : checkDuration(checked.totalSteps, 'totalSteps');
  const restarts = checked.restarts === undefined ? null : checkRestarts(checked.restarts);
  if (restarts && totalSteps !== null) {
    throw expected('no value', 'totalSteps with restarts', checked.totalSteps, 'Choose one of them.');
  }
  const fall = (t: number, share = 1) => least + ((maxLearningRate - least) * share * (1 + cosineOfPi(t))) / 2;

  return (step, fit) => {
    const rise = stepsOf(warmup, 'warmup of cosineDecay', fit);
    const { place, length } = restarts
      ? { place: step, length: Number.POSITIVE_INFINITY }
      : placeWithin(totalSteps, 'cosineDecay', step, fit);
    if (rise >= length) throw expected(`fewer than the schedule's ${length} steps`, 'warmup of cosineDecay', rise);
    if (place < rise) return initial + (maxLearningRate - initial) * (place / rise);
    if (place >= length) return least;
    if (!restarts) return fall((place - rise) / (length - rise));
    const { index, t } = periodAt(place - rise, restarts, fit);
    return fall(t, wholePower(restarts.peakFactor, index));
  };
}

function checkRestarts(options: CosineRestarts): Required<CosineRestarts> {
  const checked = checkOptions(options, 'restarts', { firstPeriod: true, periodFactor: true, peakFactor: true });
  return {
    firstPeriod: checkDuration(checked.firstPeriod, 'restarts.firstPeriod'),
    periodFactor: checkNumber(checked.periodFactor ?? 1, 'restarts.periodFactor', 1),
    peakFactor: checkNumber(checked.peakFactor ?? 1, 'restarts.peakFactor', 0, 1),
  };
}

/** Which period a step falls into, from 0, and the part of it that is over. */
function periodAt(step: number, { firstPeriod, periodFactor }: Required<CosineRestarts>, fit: FitPosition) {
  let period = stepsOf(firstPeriod, 'restarts.firstPeriod of cosineDecay', fit);
  if (periodFactor === 1) return { index: Math.floor(step / period), t: (step % period) / period };
  let index = 0;
  let place = step;
  for (; place >= period; index++) {
    place -= period;
    period *= periodFactor;
  }
  return { index, t: place / period };
}
