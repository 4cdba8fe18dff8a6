import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { moreIsBetter } from '../../src/epoch-result.js';
import { cosineDecay, exponentialDecay, oneCycle, reduceOnPlateau, stepDecay } from '../../src/index.js';
import { scheduleAt } from '../../src/schedules/schedule.js';
import { expectClose, type Numbers } from '../helpers/golden.js';

const FUNCTIONS = { stepDecay, exponentialDecay, cosineDecay, oneCycle };

interface Golden {
  schedules: { function: keyof typeof FUNCTIONS; rate: number; options: object; rates: Numbers }[];
  plateaus: { rate: number; options: { monitor?: string; mode?: 'max' }; values: Numbers; rates: Numbers }[];
}

/** Made by make-golden-schedules.py. */
const golden: Golden = JSON.parse(readFileSync(new URL('golden-schedules.json', import.meta.url), 'utf8'));

/** Both sides round in float64: we a few times a rate, PyTorch a few times a step. All rates are below `rate`. */
const tolerance = (rate: number) => (step: number) => 4 * (step + 2) * 2 ** -53 * rate;

describe('schedules have the rates of PyTorch', () => {
  it.each(golden.schedules)('$function $options', ({ function: name, rate, options, rates }) => {
    const schedule = FUNCTIONS[name](rate, options as never);
    // A fit of another length: the options say all.
    const fit = { step: 0, steps: 1, stepsPerEpoch: 1 };
    const ours = rates.map((_, step) => scheduleAt(schedule, step, fit, null));
    expectClose(ours, rates, tolerance(rate), name);
  });
});

describe('reduceOnPlateau has the rates of PyTorch', () => {
  it.each(golden.plateaus)('$options', ({ rate, options, values, rates }) => {
    const schedule = reduceOnPlateau(rate, options as never);
    const fit = { step: 0, steps: null, stepsPerEpoch: null };
    let state = schedule.initialState();
    expect(schedule.rateAt(0, fit, state)).toBe(rate);
    const ours = values.map((value, index) => {
      const monitored = { [schedule.monitor]: value };
      const result = { epoch: index + 1, loss: Number.NaN, learningRate: rate, seconds: 0, ...monitored };
      // A checkpoint keeps the state as JSON.
      state = JSON.parse(JSON.stringify(schedule.afterEpoch(state, result)));
      return schedule.rateAt(index, fit, state);
    });
    expectClose(ours, rates, tolerance(rate), 'reduceOnPlateau');
    // Rates that never fall would show nothing.
    expect(new Set(ours).size).toBeGreaterThan(1);
    expect(moreIsBetter(schedule.monitor)).toBe(options.monitor === 'validationAccuracy');
  });
});
