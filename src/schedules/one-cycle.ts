import { checkInteger, checkNumber, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { ScheduleFunction } from './schedule.js';

export interface OneCycleOptions {
  /** The length of the cycle. Default: the steps of the running `fit`, so that each fit is one cycle. */
  totalSteps?: number;
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
  const totalSteps = checked.totalSteps === undefined ? null : checkInteger(checked.totalSteps, 'totalSteps', 1);
  const warmupFraction = checkNumber(checked.warmupFraction ?? 0.3, 'warmupFraction', 0, 1);
  const first = maxLearningRate / checkNumber(checked.initialDivisor ?? 25, 'initialDivisor', 1);
  const last = first / checkNumber(checked.finalDivisor ?? 1e4, 'finalDivisor', 1);

  return (step, fit) => {
    const steps = totalSteps ?? fit.steps;
    if (steps === null) throw expected('totalSteps, or a fit of known length,', 'oneCycle', steps);
    const end = steps - 1;
    const position = Math.min(totalSteps === null ? fit.step : step, end);
    const top = Math.max(0, warmupFraction * (end + 1) - 1);
    if (position < top) return between(first, maxLearningRate, position / top);
    return end > top ? between(maxLearningRate, last, (position - top) / (end - top)) : maxLearningRate;
  };
}

/** From `start` to `end` along half a cosine: start at t = 0, end at t = 1. */
function between(start: number, end: number, t: number): number {
  return end + ((start - end) * (1 + cosineOfPi(t))) / 2;
}

/**
 * cos(π t) for t in [0, 1] as -sin(π (t - 1/2)) by Taylor's series (error below 1e-16). Math.cos differs in its last
 * bit between versions of V8, and the same seed shall give the same weights everywhere.
 */
function cosineOfPi(t: number): number {
  const x = Math.PI * (t - 0.5);
  const square = x * x;
  let series = 1;
  for (let k = 22; k >= 2; k -= 2) series = 1 - (series * square) / (k * (k + 1));
  return -x * series;
}
