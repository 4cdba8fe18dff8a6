import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkDuration, type Duration, placeWithin } from './duration.js';
import { cosineOfPi } from './float64.js';
import type { ScheduleFunction } from './schedule.js';

export interface OneCycleOptions {
  /** The length of the cycle, in steps or { epochs }. Default: that of the running `fit`, so that each fit is one cycle. */
  totalSteps?: Duration;
  /** The part of the cycle that goes up, in [0, 1]; default 0.3. */
  warmupFraction?: number;
  /** The first learning rate is the greatest divided by this, at least 1; default 25. */
  initialDivisor?: number;
  /** The last learning rate is the first divided by this, at least 1; default 10000. */
  finalDivisor?: number;
}

/**
 * The one-cycle schedule of Smith and Topin, "Super-convergence" (2018), with PyTorch's numbers (OneCycleLR): half a
 * cosine up from maxLearningRate / initialDivisor to maxLearningRate, then half a cosine down to
 * maxLearningRate / (initialDivisor · finalDivisor), which the last step has.
 *
 * With `totalSteps` the cycle is counted since `compile` and may span several fits; beyond its end the last rate stays.
 */
export function oneCycle(maxLearningRate: number, options?: OneCycleOptions): ScheduleFunction {
  checkNumber(maxLearningRate, 'maxLearningRate', 0);
  const checked = checkOptions(options, 'oneCycle', {
    totalSteps: true,
    warmupFraction: true,
    initialDivisor: true,
    finalDivisor: true,
  });
  const totalSteps = checked.totalSteps === undefined ? null : checkDuration(checked.totalSteps, 'totalSteps');
  const warmupFraction = checkNumber(checked.warmupFraction ?? 0.3, 'warmupFraction', 0, 1);
  const first = maxLearningRate / checkNumber(checked.initialDivisor ?? 25, 'initialDivisor', 1);
  const last = first / checkNumber(checked.finalDivisor ?? 1e4, 'finalDivisor', 1);

  return (step, fit) => {
    const { place, length } = placeWithin(totalSteps, 'oneCycle', step, fit);
    const end = length - 1;
    const position = Math.min(place, end);
    const top = Math.max(0, warmupFraction * (end + 1) - 1);
    if (position < top) return between(first, maxLearningRate, position / top);
    return end > top ? between(maxLearningRate, last, (position - top) / (end - top)) : maxLearningRate;
  };
}

/** From `start` to `end` along half a cosine: start at t = 0, end at t = 1. */
function between(start: number, end: number, t: number): number {
  return end + ((start - end) * (1 + cosineOfPi(t))) / 2;
}
