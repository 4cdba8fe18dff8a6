import { cosineDecay, exponentialDecay, oneCycle, reduceOnPlateau, type Schedule, stepDecay } from '../index.js';

export const SCHEDULES = ['one-cycle', 'constant', 'step', 'exponential', 'cosine', 'plateau'] as const;
export type ScheduleName = (typeof SCHEDULES)[number];

/** For the help of --schedule. */
export const SCHEDULES_EXPLAINED =
  'one-cycle: the learning rate rises, then falls to zero; constant; step: to a tenth after each third of the epochs; ' +
  'exponential: evenly to a hundredth; cosine: along half a cosine to zero; plateau: to a half when the loss ' +
  '(of the validation, where there is one) stops falling for two epochs';

export interface ScheduleChoice {
  schedule: ScheduleName;
  /** The greatest. */
  learningRate: number;
  epochs: number;
  /** With cosine: the steps of the rise before the fall. */
  warmup?: number;
  validationSplit?: number;
  fold?: unknown;
}

/** The schedules of the command line: each takes the greatest rate and the length of training, and decides the rest. */
export function scheduleOf({
  schedule,
  learningRate,
  epochs,
  warmup,
  validationSplit,
  fold,
}: ScheduleChoice): Schedule {
  switch (schedule) {
    case 'one-cycle':
      return oneCycle(learningRate);
    case 'constant':
      return learningRate;
    case 'step':
      return stepDecay(learningRate, { stepSize: { epochs: epochs / 3 } });
    case 'exponential':
      return exponentialDecay(learningRate, { decaySteps: { epochs }, decayRate: 0.01 });
    case 'cosine':
      return cosineDecay(learningRate, { warmup });
    case 'plateau': {
      const monitor = validationSplit || fold ? 'validationLoss' : 'loss';
      return reduceOnPlateau(learningRate, { monitor, factor: 0.5, patience: 1 });
    }
  }
}

/** A schedule and its greatest rate in a few words. */
export function scheduleText(schedule: string, learningRate: number): string {
  if (schedule === 'one-cycle') return `one-cycle up to ${learningRate}`;
  return schedule === 'constant' ? `learning rate ${learningRate}` : `learning rate ${learningRate}, ${schedule}`;
}
