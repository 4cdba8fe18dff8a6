import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkDuration, type Duration, stepsOf } from './duration.js';
import { wholePower } from './float64.js';
import type { ScheduleFunction } from './schedule.js';

export interface StepDecayOptions {
  /** How long a rate stays, in steps or { epochs }. */
  stepSize: Duration;
  /** What the rate is multiplied by then, at least 0; default 0.1. */
  gamma?: number;
}

/**
 * A learning rate that falls in stairs, PyTorch's StepLR by steps: initialLearningRate · gamma^floor(step / stepSize).
 * Steps are counted since `compile`, over several fits.
 */
export function stepDecay(initialLearningRate: number, options: StepDecayOptions): ScheduleFunction {
  checkNumber(initialLearningRate, 'initialLearningRate', 0);
  const checked = checkOptions(options, 'stepDecay', { stepSize: true, gamma: true });
  const stepSize = checkDuration(checked.stepSize, 'stepSize');
  const gamma = checkNumber(checked.gamma ?? 0.1, 'gamma', 0);
  return (step, fit) =>
    initialLearningRate * wholePower(gamma, Math.floor(step / stepsOf(stepSize, 'stepSize of stepDecay', fit)));
}
