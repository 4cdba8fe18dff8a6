import { describe, expect, it } from 'vitest';
import { moreIsBetter } from '../../src/epoch-result.js';
import {
  cosineDecay,
  dense,
  exponentialDecay,
  type FitPosition,
  oneCycle,
  reduceOnPlateau,
  type ScheduleFunction,
  sequential,
  sgd,
  stepDecay,
} from '../../src/index.js';
import { cosineOfPi, exponential, naturalLogarithm, power, wholePower } from '../../src/schedules/float64.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

/** Half a unit in the last place of a number in [1, 2). */
const U = 2 ** -53;

/** A fit of three epochs of ten steps. */
const at = (step: number): FitPosition => ({ step, steps: 30, stepsPerEpoch: 10 });
/** A stream of unknown length. */
const STREAM: FitPosition = { step: 0, steps: null, stepsPerEpoch: null };

const ratesOf = (schedule: ScheduleFunction, steps: number, placeOf = at) =>
  Array.from({ length: steps }, (_, step) => schedule(step, placeOf(step)));

describe('float64 functions', () => {
  const grid = (from: number, to: number, points = 4001) =>
    Array.from({ length: points }, (_, i) => from + ((to - from) * i) / (points - 1));
  const worst = (points: readonly number[], error: (x: number) => number) => Math.max(...points.map(error));
  const relative = (ours: number, wanted: number) => Math.abs(ours - wanted) / Math.abs(wanted);

  // Math's own functions are within a unit in the last place, 2 u, of the truth.
  it('cosineOfPi', () => {
    // π t has a rounding of its own in what it is compared with.
    expect(worst(grid(0, 1), (t) => Math.abs(cosineOfPi(t) - Math.cos(Math.PI * t)))).toBeLessThan(8 * U);
    expect(Math.abs(cosineOfPi(0.5))).toBe(0);
  });

  it('exponential', () => {
    expect(worst(grid(-1, 1), (x) => relative(exponential(x), Math.exp(x)))).toBeLessThan(1e-15 - 2 * U);
    expect(worst(grid(-700, 700), (x) => relative(exponential(x), Math.exp(x)))).toBeLessThan(1e-15);
    expect(exponential(0)).toBe(1);
  });

  it('naturalLogarithm', () => {
    const points = [...grid(0.5, 2), ...grid(1e-6, 1e6), ...grid(-700, 700).map((x) => Math.exp(x))];
    const apart = points.filter((x) => x !== 1);
    expect(worst(apart, (x) => relative(naturalLogarithm(x), Math.log(x)))).toBeLessThan(1e-15);
    expect(naturalLogarithm(1)).toBe(0);
  });

  it('wholePower is exact where the result is a float64', () => {
    expect(wholePower(2, 1023)).toBe(2 ** 1023);
    expect(wholePower(3, 33)).toBe(5559060566555523);
    expect([wholePower(0, 0), wholePower(0, 5), wholePower(0.5, 2 ** 40)]).toEqual([1, 0, 0]);
  });

  it.each([0.1, 0.5, 0.96, 0.999, 1.17, 1e7])('power of %d', (base) => {
    for (const exponent of [...grid(0, 1, 101), ...grid(0, 40, 1001)]) {
      const bound = (exponent + 3 + 5 * Math.abs(Math.log(base)) + 2) * U;
      expect(relative(power(base, exponent), base ** exponent), `exponent ${exponent}`).toBeLessThanOrEqual(bound);
    }
  });
});

describe('stepDecay', () => {
  it('counts its stairs in steps since compile, whatever the fit', () => {
    const schedule = stepDecay(1, { stepSize: 4, gamma: 0.5 });
    expect(ratesOf(schedule, 9, () => STREAM)).toEqual([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]);
  });

  it('takes epochs, whole or not', () => {
    expect(ratesOf(stepDecay(1, { stepSize: { epochs: 2 } }), 30)).toEqual(
      Array.from({ length: 30 }, (_, step) => (step < 20 ? 1 : 0.1)),
    );
    const half = stepDecay(1, { stepSize: { epochs: 0.5 }, gamma: 0.5 });
    expect([4, 5, 9, 10].map((step) => half(step, at(step)))).toEqual([1, 0.5, 0.5, 0.25]);
    // Less than a step is a step.
    expect(stepDecay(1, { stepSize: { epochs: 1e-9 }, gamma: 0.5 })(3, at(3))).toBe(0.125);
  });
});

describe('exponentialDecay', () => {
  it('falls by its rate in the course of decaySteps, smoothly or at once', () => {
    const smooth = exponentialDecay(2, { decayRate: 0.25, decaySteps: 4 });
    const rates = [0, 2, 4, 8].map((step) => smooth(step, at(step)));
    expect(rates[0]).toBe(2);
    // Half of the way is a square root, to the roundings of power().
    expect(Math.abs(rates[1] - 1)).toBeLessThan((3 + 5 * 0.5 * Math.log(4)) * U);
    expect(rates.slice(2)).toEqual([0.5, 0.125]);
    const stairs = exponentialDecay(2, { decayRate: 0.25, decaySteps: { epochs: 0.4 }, staircase: true });
    expect(ratesOf(stairs, 9)).toEqual([2, 2, 2, 2, 0.5, 0.5, 0.5, 0.5, 0.125]);
  });

  it('grows with a rate above 1', () => {
    expect(exponentialDecay(1, { decayRate: 2 })(10, at(10))).toBe(1024);
  });
});

describe('cosineDecay', () => {
  it('is one fall for each fit, from the greatest rate towards the least', () => {
    const rates = ratesOf(cosineDecay(1, { minLearningRate: 0.2 }), 30);
    expect(rates[0]).toBe(1);
    expect(Math.abs(rates[15] - 0.6)).toBeLessThan(2 * U);
    expect(rates.every((rate, step) => rate > 0.2 && (step === 0 || rate < rates[step - 1]))).toBe(true);
    // The second fit counts from its own beginning.
    expect(cosineDecay(1)(130, at(15))).toBe(0.5);
  });

  it('counts since compile when it knows its length, and stays at the least', () => {
    const schedule = cosineDecay(1, { totalSteps: { epochs: 4 }, minLearningRate: 0.25 });
    expect(schedule(20, at(0))).toBe(0.625);
    expect([40, 41, 1000].map((step) => schedule(step, at(0)))).toEqual([0.25, 0.25, 0.25]);
    expect(cosineDecay(1, { totalSteps: 4 })(2, STREAM)).toBe(0.5);
  });

  it('rises in a straight line first', () => {
    const rise = (warmup: number | { epochs: number }, initialLearningRate?: number) =>
      ratesOf(cosineDecay(1, { warmup, initialLearningRate }), 30);
    expect(rise(4).slice(0, 5)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(rise({ epochs: 0.4 })).toEqual(rise(4));
    expect(rise(4, 0.5).slice(0, 5)).toEqual([0.5, 0.625, 0.75, 0.875, 1]);
    expect(rise(0)[0]).toBe(1);
    expect(rise({ epochs: 0 })).toEqual(rise(0));
    expect(rise(10)[20]).toBe(0.5);
    expect(rise(29).slice(-1)).toEqual([1]);
  });

  it('falls again and again', () => {
    const restarts = { firstPeriod: 4, periodFactor: 2, peakFactor: 0.5 };
    const rates = ratesOf(cosineDecay(1, { restarts, warmup: 2 }), 30, () => STREAM);
    // 2 steps up, then periods of 4, 8 and 16.
    expect([0, 1, 2, 4, 6, 10, 14, 22].map((step) => rates[step])).toEqual([0, 0.5, 1, 0.5, 0.5, 0.25, 0.25, 0.125]);
    const even = ratesOf(cosineDecay(1, { restarts: { firstPeriod: { epochs: 1 } }, minLearningRate: 0.5 }), 30);
    expect([0, 5, 10, 15, 20].map((step) => even[step])).toEqual([1, 0.75, 1, 0.75, 1]);
    // 2 · 1.5 = 3, · 1.5 = 4.5: the third period begins at step 5, the fourth before step 10.
    const uneven = ratesOf(cosineDecay(1, { restarts: { firstPeriod: 2, periodFactor: 1.5 } }), 12);
    expect([2, 5].map((step) => uneven[step])).toEqual([1, 1]);
    expect(uneven[10]).toBeGreaterThan(uneven[9]);
    expect(uneven[10]).toBeLessThan(1);
  });
});

describe('reduceOnPlateau', () => {
  const result = (values: Record<string, number>) => ({
    epoch: 1,
    loss: 1,
    learningRate: 1,
    seconds: 0,
    ...values,
  });

  it('takes a value that is not finite for no improvement, and its state stays JSON', () => {
    const schedule = reduceOnPlateau(1, { monitor: 'accuracy', factor: 0.5, patience: 1 });
    let state = schedule.initialState();
    for (const accuracy of [Number.NaN, Number.POSITIVE_INFINITY]) {
      state = schedule.afterEpoch(state, result({ accuracy }));
      expect(JSON.parse(JSON.stringify(state))).toEqual(state);
    }
    expect(schedule.rateAt(0, STREAM, state)).toBe(0.5);
    state = schedule.afterEpoch(state, result({ accuracy: 0.3 }));
    state = schedule.afterEpoch(state, result({ accuracy: Number.POSITIVE_INFINITY }));
    expect(state).toEqual({ learningRate: 0.5, best: 0.3, badEpochs: 1, cooldown: 0 });
  });

  it('trains with the rates that the epochs ask for', async () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    // Nothing gets better by a hundred: every epoch but the first is a bad one.
    const learningRate = reduceOnPlateau(0.5, { monitor: 'loss', threshold: 100, thresholdMode: 'abs', patience: 1 });
    model.compile({ optimizer: sgd({ learningRate }), loss: 'meanSquaredError' });
    const data = { inputs: new Float32Array(4), targets: new Float32Array(4).fill(1) };
    const first = await model.fit(data, { epochs: 4 });
    expect(first.history.learningRate).toEqual([0.5, 0.5, 0.5, 0.05]);
    // The state goes on from fit to fit.
    const second = await model.fit(data, { epochs: 2 });
    expect(second.history.learningRate).toEqual([0.05, 0.5 * 0.1 * 0.1]);
  });

  it('refuses a metric that epochs do not have', async () => {
    const schedule = reduceOnPlateau(1);
    const message = /one of epoch, loss, .* for monitor of reduceOnPlateau, received "validationLoss"/;
    expect(errorOf(() => schedule.afterEpoch(schedule.initialState(), result({})))).toEqual(
      failure('ERR_ARGUMENT', message),
    );
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    model.compile({ optimizer: sgd({ learningRate: schedule }), loss: 'meanSquaredError' });
    const fit = model.fit({ inputs: new Float32Array(4), targets: new Float32Array(4) });
    await expect(fit).rejects.toEqual(failure('ERR_ARGUMENT', /validationLoss.*validationSplit or validationData/));
  });

  it.each([
    ['loss', false],
    ['validationLoss', false],
    ['validationExpectedCalibrationError', false],
    ['accuracy', true],
    ['validationTop3Accuracy', true],
    ['validationF1', true],
    ['validationPrecision', true],
  ])('takes more of %s for better: %s', (monitor, more) => {
    expect(moreIsBetter(monitor)).toBe(more);
  });
});

describe('wrong options', () => {
  it.each<[() => unknown, RegExp]>([
    [() => stepDecay(-1, { stepSize: 1 }), /for initialLearningRate, received -1/],
    [() => stepDecay(1, undefined as never), /number of steps or \{ epochs: number \} for stepSize/],
    [() => stepDecay(1, { stepSize: 0 }), /whole number of at least 1 for stepSize, received 0/],
    [() => stepDecay(1, { stepSize: 2.5 }), /for stepSize, received 2.5/],
    [() => stepDecay(1, { stepSize: '5' as never }), /for stepSize, received "5"/],
    [() => stepDecay(1, { stepSize: { epochs: 0 } }), /above 0 for stepSize.epochs, received 0/],
    [() => stepDecay(1, { stepSize: { epochs: Number.NaN } }), /for stepSize.epochs, received NaN/],
    [
      () => stepDecay(1, { stepSize: { epoch: 1 } as never }),
      /one of epochs for an option of stepSize, received "epoch"/,
    ],
    [() => stepDecay(1, { stepSize: 1, gamma: -0.1 }), /for gamma/],
    [() => stepDecay(1, { stepsize: 1 } as never), /Did you mean "stepSize"\?/],
    [() => exponentialDecay(1, {} as never), /for decayRate, received undefined/],
    [() => exponentialDecay(1, { decayRate: 0 }), /above 0 for decayRate/],
    [() => exponentialDecay(1, { decayRate: 0.9, decaySteps: 0 }), /for decaySteps/],
    [() => exponentialDecay(1, { decayRate: 0.9, staircase: 1 as never }), /true or false for staircase/],
    [() => cosineDecay(Number.NaN), /for maxLearningRate, received NaN/],
    [() => cosineDecay(1, { minLearningRate: 2 }), /from 0 up to 1 for minLearningRate, received 2/],
    [() => cosineDecay(1, { initialLearningRate: -1 }), /for initialLearningRate/],
    [() => cosineDecay(1, { warmup: -1 }), /for warmup, received -1/],
    [() => cosineDecay(1, { warmup: { epochs: -1 } }), /of at least 0 for warmup.epochs, received -1/],
    [() => cosineDecay(1, { totalSteps: 0 }), /for totalSteps/],
    [() => cosineDecay(1, { alpha: 0 } as never), /"alpha"/],
    [() => cosineDecay(1, { totalSteps: 9, restarts: { firstPeriod: 3 } }), /no value for totalSteps with restarts/],
    [() => cosineDecay(1, { restarts: {} as never }), /for restarts.firstPeriod/],
    [() => cosineDecay(1, { restarts: { firstPeriod: 3, periodFactor: 0.5 } }), /for restarts.periodFactor/],
    [() => cosineDecay(1, { restarts: { firstPeriod: 3, peakFactor: 1.5 } }), /for restarts.peakFactor/],
    [() => cosineDecay(1, { restarts: { firstPeriod: 3, tMult: 2 } as never }), /"tMult"/],
    [() => cosineDecay(1, { warmup: 30 })(0, at(0)), /fewer than the schedule's 30 steps for warmup.*received 30/],
    [() => cosineDecay(1)(0, STREAM), /totalSteps, or a fit of known length, for cosineDecay, received null/],
    [() => oneCycle(1)(0, STREAM), /totalSteps, or a fit of known length, for oneCycle, received null/],
    [
      () => stepDecay(1, { stepSize: { epochs: 2 } })(0, STREAM),
      /a number of steps for stepSize of stepDecay, received "2 epochs".*give fit stepsPerEpoch/,
    ],
    [() => cosineDecay(1, { totalSteps: { epochs: 2 } })(0, STREAM), /totalSteps of cosineDecay, received "2 epochs"/],
    [() => cosineDecay(1, { totalSteps: 5, warmup: { epochs: 2 } })(0, STREAM), /warmup of cosineDecay/],
    [() => reduceOnPlateau(-1), /for initialLearningRate/],
    [() => reduceOnPlateau(1, { monitor: 1 as never }), /for monitor, received 1/],
    [() => reduceOnPlateau(1, { mode: 'down' as never }), /one of auto, min, max for mode, received "down"/],
    [() => reduceOnPlateau(1, { factor: 1 }), /for factor, received 1/],
    [() => reduceOnPlateau(1, { patience: -1 }), /for patience/],
    [() => reduceOnPlateau(1, { threshold: -1 }), /for threshold/],
    [() => reduceOnPlateau(1, { thresholdMode: 'relative' as never }), /one of rel, abs for thresholdMode/],
    [() => reduceOnPlateau(1, { cooldown: 0.5 }), /for cooldown/],
    [() => reduceOnPlateau(1, { minLearningRate: -1 }), /for minLearningRate/],
    [() => reduceOnPlateau(1, { minLR: 0 } as never), /"minLR"/],
  ])('%s', (make, message) => {
    expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });
});

it('oneCycle takes its length in epochs', () => {
  const cycle = oneCycle(1, { totalSteps: { epochs: 2 } });
  expect(ratesOf(cycle, 25)).toEqual(ratesOf(oneCycle(1, { totalSteps: 20 }), 25));
});
