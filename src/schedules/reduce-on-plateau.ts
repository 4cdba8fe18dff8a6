import { type EpochResult, moreIsBetter } from '../epoch-result.js';
import { checkInteger, checkNumber, checkOneOf, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { MetricSchedule } from './schedule.js';

export interface ReduceOnPlateauOptions {
  /** The number of an epoch's result to watch; default 'validationLoss'. */
  monitor?: string;
  /** Which way is better; default 'auto': up for accuracies, precision, recall, F1 and AUC, else down. */
  mode?: 'auto' | 'min' | 'max';
  /** What the rate is multiplied by, in [0, 1); default 0.1. */
  factor?: number;
  /** So many epochs without improvement are borne with; after one more the rate falls. Default 10. */
  patience?: number;
  /** How much better counts as an improvement, at least 0; default 1e-4. */
  threshold?: number;
  /** rel: the threshold is a part of the best value so far; abs: it is as it is. Default 'rel'. */
  thresholdMode?: 'rel' | 'abs';
  /** So many epochs after a fall are not counted; default 0. */
  cooldown?: number;
  /** The rate does not fall below this; default 0. */
  minLearningRate?: number;
}

/** A fall by less than this is not worth it: PyTorch's eps. */
const LEAST_FALL = 1e-8;

/** What it carries from epoch to epoch. */
type PlateauState = {
  learningRate: number;
  /** Null before the first finite value. */
  best: number | null;
  badEpochs: number;
  cooldown: number;
};

/**
 * A learning rate that falls when a metric has stopped getting better, by the rule and with the numbers of PyTorch's
 * ReduceLROnPlateau. It looks at the result of every whole epoch and is counted since `compile`, over several fits. A
 * value that is not finite is no improvement.
 */
export function reduceOnPlateau(initialLearningRate: number, options?: ReduceOnPlateauOptions): MetricSchedule {
  checkNumber(initialLearningRate, 'initialLearningRate', 0);
  const checked = checkOptions(options, 'reduceOnPlateau', {
    monitor: true,
    mode: true,
    factor: true,
    patience: true,
    threshold: true,
    thresholdMode: true,
    cooldown: true,
    minLearningRate: true,
  });
  const { monitor = 'validationLoss' } = checked;
  if (typeof monitor !== 'string') throw expected("the name of a number in an epoch's result", 'monitor', monitor);
  const mode = checkOneOf(checked.mode ?? 'auto', 'mode', ['auto', 'min', 'max']);
  const factor = checkNumber(checked.factor ?? 0.1, 'factor', 0, 1, true);
  const patience = checkInteger(checked.patience ?? 10, 'patience', 0);
  const threshold = checkNumber(checked.threshold ?? 1e-4, 'threshold', 0);
  const relative = checkOneOf(checked.thresholdMode ?? 'rel', 'thresholdMode', ['rel', 'abs']) === 'rel';
  const cooldownEpochs = checkInteger(checked.cooldown ?? 0, 'cooldown', 0);
  const least = checkNumber(checked.minLearningRate ?? 0, 'minLearningRate', 0);
  const sign = (mode === 'auto' ? moreIsBetter(monitor) : mode === 'max') ? 1 : -1;

  const isBetter = (value: number, best: number | null) => {
    if (best === null) return Number.isFinite(value);
    const bar = relative ? best * (1 + sign * threshold) : best + sign * threshold;
    return sign > 0 ? value > bar && value < Number.POSITIVE_INFINITY : value < bar && value > Number.NEGATIVE_INFINITY;
  };
  const reduced = (rate: number) => {
    const fallen = Math.max(rate * factor, least);
    return rate - fallen > LEAST_FALL ? fallen : rate;
  };
  const after = (state: PlateauState, value: number): PlateauState => {
    const better = isBetter(value, state.best);
    const best = better ? value : state.best;
    const cooling = state.cooldown > 0;
    const badEpochs = better || cooling ? 0 : state.badEpochs + 1;
    const cooldown = cooling ? state.cooldown - 1 : 0;
    if (badEpochs <= patience) return { ...state, best, badEpochs, cooldown };
    return { learningRate: reduced(state.learningRate), best, badEpochs: 0, cooldown: cooldownEpochs };
  };

  return Object.freeze<MetricSchedule>({
    config: { monitor, mode, factor, patience, threshold, relative, cooldown: cooldownEpochs, minLearningRate: least },
    monitor,
    initialState: () => ({ learningRate: initialLearningRate, best: null, badEpochs: 0, cooldown: 0 }),
    rateAt: (_step, _fit, state) => (state as PlateauState).learningRate,
    afterEpoch: (state, result) => after(state as PlateauState, watched(result, monitor)),
  });
}

function watched(result: EpochResult, monitor: string): number {
  const value = result[monitor];
  if (value === undefined) {
    throw expected(`one of ${Object.keys(result).join(', ')}`, 'monitor of reduceOnPlateau', monitor);
  }
  return value;
}
