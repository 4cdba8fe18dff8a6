import { describe, expect, it } from 'vitest';
import { adam, dense, type Optimizer, oneCycle, sequential, sgd } from '../../src/index.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

/**
 * Weights after training y = w · x on x = 1, target 0 with meanSquaredError: the gradient is 2 w. One step a sample.
 */
async function descend(optimizer: Optimizer, steps: number): Promise<number> {
  const model = sequential([dense({ units: 1, useBias: false })], { inputShape: [1], backend });
  model.setWeights([Float32Array.of(1)]);
  model.compile({ optimizer, loss: 'meanSquaredError' });
  await model.fit({ inputs: new Float32Array(steps).fill(1), targets: new Float32Array(steps) }, { batchSize: 1 });
  return model.getWeights()[0][0];
}

/** Each step is a handful of roundings of numbers near 1. */
const bound = (steps: number) => steps * 16 * 2 ** -24;

describe('sgd', () => {
  it.each([
    [{}],
    [{ learningRate: 0.1, momentum: 0.9 }],
    [{ learningRate: 0.1, momentum: 0.9, nesterov: true }],
    [{ learningRate: 0.1, momentum: 0.5, weightDecay: 0.2 }],
  ])('follows its rule with %j', async (options) => {
    const {
      learningRate = 0.01,
      momentum = 0,
      nesterov = false,
      weightDecay = 0,
    } = options as never as Record<string, number> & { nesterov?: boolean };
    let w = 1;
    let v = 0;
    for (let step = 0; step < 10; step++) {
      const g = 2 * w + weightDecay * w;
      v = momentum * v + g;
      w -= learningRate * (nesterov ? g + momentum * v : v);
    }
    expect(Math.abs((await descend(sgd(options), 10)) - w)).toBeLessThan(bound(10));
  });
});

describe('adam', () => {
  it.each([[{}], [{ learningRate: 0.05, beta1: 0.8, beta2: 0.9 }], [{ learningRate: 0.05, weightDecay: 0.5 }]])(
    'follows its rule with %j',
    async (options) => {
      const { learningRate = 0.001, beta1 = 0.9, beta2 = 0.999, weightDecay = 0 } = options as Record<string, number>;
      let [w, m, v] = [1, 0, 0];
      for (let t = 1; t <= 10; t++) {
        const g = 2 * w;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        w *= 1 - learningRate * weightDecay;
        w -= ((learningRate / (1 - beta1 ** t)) * m) / (Math.sqrt(v / (1 - beta2 ** t)) + 1e-8);
      }
      expect(Math.abs((await descend(adam(options), 10)) - w)).toBeLessThan(bound(10));
    },
  );

  it('gives the host values of a step: stepSize, correction, decay', () => {
    const optimizer = adam({ beta1: 0.5, beta2: 0.75, weightDecay: 0.5 });
    const second = optimizer.advance(optimizer.advance(optimizer.initialState()));
    expect(second.step).toBe(2);
    expect(optimizer.scalarsAt(second, 0.25)).toEqual([0.25 / 0.75, 1 / Math.sqrt(1 - 0.75 * 0.75), 0.875]);
  });
});

describe('options', () => {
  it.each<[() => unknown, RegExp]>([
    [() => sgd({ learningRate: -1 }), /from 0 for learningRate, received -1/],
    [() => sgd({ learningRate: Number.NaN }), /for learningRate, received NaN/],
    [() => sgd({ learningRate: '0.1' as never }), /a number of at least 0 or a schedule for learningRate/],
    [() => sgd({ learningrate: 0.1 } as never), /"learningrate"\. Did you mean "learningRate"\?/],
    [() => sgd({ momentum: 1 }), /below 1 for momentum, received 1/],
    [() => sgd({ nesterov: true }), /momentum with nesterov/],
    [() => adam({ beta1: 1 }), /for beta1/],
    [() => adam({ beta2: -0.1 }), /for beta2/],
    [() => adam({ epsilon: 0 }), /for epsilon/],
    [() => adam({ weightDecay: -1 }), /for weightDecay/],
    [() => adam({ amsgrad: true } as never), /"amsgrad"/],
    [() => oneCycle(-1), /for maxLearningRate/],
    [() => oneCycle(1, { warmupFraction: 2 }), /for warmupFraction/],
    [() => oneCycle(1, { totalSteps: 0 }), /for totalSteps/],
    [() => oneCycle(1, { divFactor: 25 } as never), /"divFactor"/],
  ])('are checked: %s', (make, message) => {
    expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses an optimizer it does not know', () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    const compile = () => model.compile({ optimizer: 'lion' as never, loss: 'meanSquaredError' });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /one of sgd, adam.*"lion"/));
  });
});

describe('schedules', () => {
  it('oneCycle has the rates of PyTorch', () => {
    const steps = 10;
    // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10): phase 1 ends at step 0.3 * 10 - 1 = 2.
    const rates = Array.from({ length: steps }, (_, step) => oneCycle(1)(step, { step, steps, stepsPerEpoch: steps }));
    const cosine = (start: number, end: number, t: number) => end + ((start - end) / 2) * (1 + Math.cos(Math.PI * t));
    const wanted = rates.map((_, step) =>
      step <= 2 ? cosine(0.04, 1, step / 2) : cosine(1, 0.04 / 1e4, (step - 2) / 7),
    );
    rates.forEach((rate, step) => {
      expect(Math.abs(rate - wanted[step]), `step ${step}`).toBeLessThan(1e-14);
    });
    expect(Math.max(...rates)).toBe(1);
  });

  it('oneCycle counts since compile when it knows its length, and stays at its end', () => {
    const cycle = oneCycle(1, { totalSteps: 10 });
    expect(cycle(2, { step: 0, steps: 4, stepsPerEpoch: 4 })).toBe(1);
    expect(cycle(50, { step: 0, steps: 4, stepsPerEpoch: 4 })).toBe(cycle(9, { step: 3, steps: 4, stepsPerEpoch: 4 }));
  });

  it.each([1, 2, 3])('oneCycle of %i steps stays within its bounds', (steps) => {
    for (let step = 0; step < steps; step++) {
      const rate = oneCycle(1)(step, { step, steps, stepsPerEpoch: steps });
      expect(rate).toBeGreaterThan(0);
      expect(rate).toBeLessThanOrEqual(1);
    }
  });

  it('a function gets every step once, over several fits', async () => {
    const seen: [number, number, number | null][] = [];
    const optimizer = sgd({
      learningRate: (step, fit) => {
        seen.push([step, fit.step, fit.steps]);
        return 0.1;
      },
    });
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    model.compile({ optimizer, loss: 'meanSquaredError' });
    const data = { inputs: new Float32Array(3), targets: new Float32Array(3) };
    await model.fit(data, { batchSize: 2 });
    await model.fit(data, { batchSize: 2, epochs: 2 });
    const wanted = [
      [0, 0, 2],
      [1, 1, 2],
      [2, 0, 4],
      [3, 1, 4],
      [4, 2, 4],
      [5, 3, 4],
    ];
    expect(seen).toEqual(wanted);
  });

  it('refuses what a function returns wrongly, and the model stays usable', async () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    model.compile({
      optimizer: sgd({ learningRate: (step) => (step === 2 ? Number.NaN : 0.1) }),
      loss: 'meanSquaredError',
    });
    const data = { inputs: new Float32Array(3), targets: new Float32Array(3) };
    await expect(model.fit(data, { batchSize: 1 })).rejects.toEqual(
      failure('ERR_ARGUMENT', /learning rate that the schedule returned for step 2, received NaN/),
    );
    await model.fit({ inputs: new Float32Array(1), targets: new Float32Array(1) });
  });
});
