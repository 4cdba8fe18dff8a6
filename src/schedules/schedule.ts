import type { EpochResult } from '../epoch-result.js';
import { checkNumber, expected } from '../errors.js';
import type { JsonValue } from '../json.js';

/** Where a step stands in the running `fit`. */
export interface FitPosition {
  /** From 0. */
  step: number;
  /** The steps of the whole fit, epochs times steps per epoch; null where a stream of unknown length is read. */
  steps: number | null;
  stepsPerEpoch: number | null;
}

/**
 * The learning rate of a step. `step` counts from 0 since `compile`, over several calls of `fit`; `fit` is the place
 * within the running call. Must return a finite number of at least 0, the same one for the same arguments.
 */
export type ScheduleFunction = (step: number, fit: FitPosition) => number;

/**
 * A learning rate that also follows how well the epochs go. It holds settings only: the model keeps the state, plain JSON
 * that a checkpoint can save, from `compile` on.
 */
export interface MetricSchedule {
  /** The options under which it was made, where it has some: a resumed run must have the same ones. */
  readonly config?: JsonValue;
  /** The number of an epoch's result that it watches. */
  readonly monitor: string;
  initialState(): JsonValue;
  rateAt(step: number, fit: FitPosition, state: JsonValue): number;
  /** The state after an epoch. */
  afterEpoch(state: JsonValue, result: EpochResult): JsonValue;
}

/** A learning rate: a number, a function of the step, or one that follows a metric. */
export type Schedule = number | ScheduleFunction | MetricSchedule;

export function isMetricSchedule(schedule: Schedule): schedule is MetricSchedule {
  return typeof schedule === 'object' && schedule !== null && typeof schedule.rateAt === 'function';
}

/** The state that a schedule begins with. */
export function initialScheduleState(schedule: Schedule): JsonValue {
  return isMetricSchedule(schedule) ? schedule.initialState() : null;
}

/** Checks a schedule as far as that is possible before it runs. Throws ERR_ARGUMENT. */
export function checkSchedule(value: unknown, name: string): Schedule {
  if (typeof value === 'function' || isMetricSchedule(value as Schedule)) return value as Schedule;
  if (typeof value !== 'number') throw expected('a number of at least 0 or a schedule', name, value);
  return checkNumber(value, name, 0);
}

/** The value for a step. Throws ERR_ARGUMENT when a schedule returns anything but a finite number of at least 0. */
export function scheduleAt(schedule: Schedule, step: number, fit: FitPosition, state: JsonValue): number {
  if (typeof schedule === 'number') return schedule;
  const rate = typeof schedule === 'function' ? schedule(step, fit) : schedule.rateAt(step, fit, state);
  return checkNumber(rate, `the learning rate that the schedule returned for step ${step}`, 0);
}
