import type { OptimizerState } from '../../optimizers/optimizer.js';
import { scheduleAt } from '../../schedules/schedule.js';
import { EPOCH } from '../lower.js';
import type { Training } from './state.js';

/** Where the steps of a run stand. */
export interface StepPlace {
  /** Counted from 1 since the model was made. */
  epoch: number;
  /** The first step's place in the fit. */
  fitStep: number;
  fitSteps: number | null;
  stepsPerEpoch: number | null;
}

/** What the host supplies to a run's steps, and how the optimizer stands after each of them. */
export interface StepScalars {
  /** Learning rate of each step. */
  rates: Float64Array;
  /** A row per step, in the order of the program's names. */
  rows(names: readonly string[]): Float32Array;
  stateAfter(steps: number): OptimizerState;
}

/** Works out the scalars of so many steps from the optimizer's state on. */
export function stepScalars(
  { optimizer, state, scheduleState }: Training,
  { epoch, fitStep, fitSteps, stepsPerEpoch }: StepPlace,
  steps: number,
): StepScalars {
  const rates = new Float64Array(steps);
  const values: number[][] = [];
  for (let step = 0, current = state; step < steps; step++) {
    const position = { step: fitStep + step, steps: fitSteps, stepsPerEpoch };
    rates[step] = scheduleAt(optimizer.learningRate, current.step, position, scheduleState);
    current = optimizer.advance(current);
    values.push(optimizer.scalarsAt(current, rates[step]));
  }
  return {
    rates,
    rows: (names) => {
      const rows = new Float32Array(steps * names.length);
      const places = optimizer.scalarNames.map((name) => names.lastIndexOf(name));
      const epochPlace = names.indexOf(EPOCH);
      for (let step = 0; step < steps; step++) {
        const row = rows.subarray(step * names.length, (step + 1) * names.length);
        if (epochPlace >= 0) row[epochPlace] = epoch;
        values[step].forEach((value, index) => {
          row[places[index]] = value;
        });
      }
      return rows;
    },
    stateAfter: (count) => {
      let current = state;
      for (let step = 0; step < count; step++) current = optimizer.advance(current);
      return current;
    },
  };
}
