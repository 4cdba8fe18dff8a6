import type { JsonValue } from '../json.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName, ScalarIndex } from '../program/ops.js';
import type { Schedule } from '../schedules/schedule.js';

/** What the host carries from step to step. A new one per step: an interrupted run goes back to the last that counted. */
export interface OptimizerState {
  /** Steps done since `compile`. */
  readonly step: number;
  /** Powers of the optimizer's constants, in float64, grown by one multiplication a step. */
  readonly powers: readonly number[];
}

/** How gradients are kept small before the rule takes them: each element by itself, or all of them by their norm. */
export interface Clipping {
  readonly by: 'value' | 'globalNorm';
  readonly limit: number;
}

/** An update rule. It holds settings only; a model keeps the slots and the state, so it may serve several models. */
export interface Optimizer {
  readonly name: string;
  /** The options under which it was made, without the learning rate: a resumed run must have the same ones. */
  readonly config: Readonly<Record<string, JsonValue>>;
  readonly learningRate: Schedule;
  readonly clipping: Clipping | null;
  /** Whether weights are averaged; the rate of the averages is then the last of `scalarNames`. */
  readonly averages: boolean;
  /** The values that every step needs from the host. */
  readonly scalarNames: readonly string[];
  /** Appends the update of a parameter; declares its slots. `scalars` are the indices of `scalarNames`. */
  lower(builder: ProgramBuilder, parameter: BufferName, gradient: BufferName, scalars: readonly ScalarIndex[]): void;
  initialState(): OptimizerState;
  advance(state: OptimizerState): OptimizerState;
  /** The values of `scalarNames` for the step that led to `state`, in float64; they are rounded to float32 once. */
  scalarsAt(state: OptimizerState, learningRate: number): number[];
}
