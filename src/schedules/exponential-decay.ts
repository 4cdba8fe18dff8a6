import { checkNumber, expected } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import { checkDuration, type Duration, stepsOf } from './duration.js';
import { power } from './float64.js';
import type { ScheduleFunction } from './schedule.js';

export interface ExponentialDecayOptions {
  /** What the rate is multiplied by in the course of decaySteps, above 0; above 1 it grows. */
  decayRate: number;
  /** In steps or { epochs }; default 1 step. */
  decaySteps?: Duration;
  /** Whether the rate falls at the end of every decaySteps at once instead of a little with each step; default false. */
  staircase?: boolean;
}

/**
 * A learning rate that falls by the same factor with every step, Keras's ExponentialDecay:
 * initialLearningRate · decayRate^(step / decaySteps), the exponent rounded down with `staircase`. With decaySteps 1 it is
 * PyTorch's ExponentialLR by steps. Steps are counted since `compile`, over several fits.
 */
export function exponentialDecay(initialLearningRate: number, options: ExponentialDecayOptions): ScheduleFunction {
  checkNumber(initialLearningRate, 'initialLearningRate', 0);
  const checked = checkOptions(options, 'exponentialDecay', { decayRate: true, decaySteps: true, staircase: true });
  const decayRate = checkNumber(checked.decayRate, 'decayRate', 0);
  if (decayRate === 0) throw expected('a number above 0', 'decayRate', decayRate);
  const decaySteps = checkDuration(checked.decaySteps ?? 1, 'decaySteps');
  const staircase = checkBoolean(checked.staircase ?? false, 'staircase');
  return (step, fit) => {
    const exponent = step / stepsOf(decaySteps, 'decaySteps of exponentialDecay', fit);
    return initialLearningRate * power(decayRate, staircase ? Math.floor(exponent) : exponent);
  };
}
