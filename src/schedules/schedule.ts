import { checkNumber, expected } from '../errors.js';

/** Where a step stands in the running `fit`. */
export interface FitPosition {
  /** From 0. */
  step: number;
  /** The steps of the whole fit: epochs times steps per epoch. */
  steps: number;
}

/**
 * The learning rate of a step. `step` counts from 0 since `compile`, over several calls of `fit`; `fit` is the place
 * within the running call. Must return a finite number of at least 0, the same one for the same arguments.
 */
export type ScheduleFunction = (step: number, fit: FitPosition) => number;

/** A learning rate: a number, or a function of the step. */
export type Schedule = number | ScheduleFunction;

/** Checks a schedule as far as that is possible before it runs. Throws ERR_ARGUMENT. */
export function checkSchedule(value: unknown, name: string): Schedule {
  if (typeof value === 'function') return value as ScheduleFunction;
  if (typeof value !== 'number') throw expected('a number of at least 0 or a schedule', name, value);
  return checkNumber(value, name, 0);
}

/** The value for a step. Throws ERR_ARGUMENT when a function returns anything but a finite number of at least 0. */
export function scheduleAt(schedule: Schedule, step: number, fit: FitPosition): number {
  if (typeof schedule === 'number') return schedule;
  return checkNumber(schedule(step, fit), `the learning rate that the schedule returned for step ${step}`, 0);
}
