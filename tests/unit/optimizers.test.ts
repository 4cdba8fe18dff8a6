import { describe, expect, it } from 'vitest';
import {
  adagrad,
  adam,
  adamw,
  dense,
  lion,
  type Optimizer,
  oneCycle,
  rmsprop,
  sequential,
  sgd,
} from '../../src/index.js';
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

describe.each([
  ['adam', adam, 0],
  ['adamw', adamw, 0.01],
] as const)('%s', (name, make, defaultDecay) => {
  it.each([[{}], [{ learningRate: 0.05, beta1: 0.8, beta2: 0.9 }], [{ learningRate: 0.05, weightDecay: 0.5 }]])(
    'follows its rule with %j',
    async (options) => {
      const given = options as Record<string, number>;
      const { learningRate = 0.001, beta1 = 0.9, beta2 = 0.999, weightDecay = defaultDecay } = given;
      let [w, m, v] = [1, 0, 0];
      for (let t = 1; t <= 10; t++) {
        const g = 2 * w + (name === 'adam' ? weightDecay * w : 0);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        if (name === 'adamw') w *= 1 - learningRate * weightDecay;
        w -= ((learningRate / (1 - beta1 ** t)) * m) / (Math.sqrt(v / (1 - beta2 ** t)) + 1e-8);
      }
      expect(Math.abs((await descend(make(options), 10)) - w)).toBeLessThan(bound(10));
    },
  );

  it('gives the host values of a step: stepSize, correction, decay', () => {
    const optimizer = make({ beta1: 0.5, beta2: 0.75, weightDecay: 0.5 });
    const second = optimizer.advance(optimizer.advance(optimizer.initialState()));
    expect(second.step).toBe(2);
    const decay = name === 'adamw' ? 0.875 : 1;
    expect(optimizer.scalarsAt(second, 0.25)).toEqual([0.25 / 0.75, 1 / Math.sqrt(1 - 0.75 * 0.75), decay]);
  });
});

describe('rmsprop', () => {
  it.each([
    [{}],
    [{ learningRate: 0.02, alpha: 0.9, weightDecay: 0.2 }],
    [{ learningRate: 0.02, alpha: 0.9, momentum: 0.5, epsilon: 0.01 }],
    [{ learningRate: 0.02, alpha: 0.9, centered: true }],
    [{ learningRate: 0.02, alpha: 0.9, centered: true, momentum: 0.5 }],
  ])('follows its rule with %j', async (options) => {
    const { learningRate = 0.01, alpha = 0.99, epsilon = 1e-8, ...others } = options as Record<string, number>;
    const { momentum = 0, centered = false, weightDecay = 0 } = others;
    let [w, v, a, b] = [1, 0, 0, 0];
    for (let step = 0; step < 10; step++) {
      const g = 2 * w + weightDecay * w;
      v = alpha * v + (1 - alpha) * g * g;
      a = alpha * a + (1 - alpha) * g;
      b = momentum * b + g / (Math.sqrt(centered ? v - a * a : v) + epsilon);
      w -= learningRate * b;
    }
    expect(Math.abs((await descend(rmsprop(options), 10)) - w)).toBeLessThan(bound(10));
  });
});

describe('adagrad', () => {
  it.each([
    [{}],
    [{ learningRate: 0.1, learningRateDecay: 0.5, weightDecay: 0.2 }],
    [{ learningRate: 0.1, initialAccumulatorValue: 0.3, epsilon: 0.01 }],
  ])('follows its rule with %j', async (options) => {
    const { learningRate = 0.01, learningRateDecay = 0, ...others } = options as Record<string, number>;
    const { initialAccumulatorValue = 0, epsilon = 1e-10, weightDecay = 0 } = others;
    let [w, s] = [1, initialAccumulatorValue];
    for (let t = 1; t <= 10; t++) {
      const g = 2 * w + weightDecay * w;
      s += g * g;
      w -= ((learningRate / (1 + (t - 1) * learningRateDecay)) * g) / (Math.sqrt(s) + epsilon);
    }
    expect(Math.abs((await descend(adagrad(options), 10)) - w)).toBeLessThan(bound(10));
  });
});

describe('lion', () => {
  // With 0.3 the weight swings around 0, so that signs change and momentum and gradient disagree.
  it.each([[{}], [{ learningRate: 0.3 }], [{ learningRate: 0.3, beta1: 0.6, beta2: 0.7, weightDecay: 0.5 }]])(
    'follows its rule with %j',
    async (options) => {
      const { learningRate = 1e-4, beta1 = 0.9, beta2 = 0.99, weightDecay = 0 } = options as Record<string, number>;
      let [w, m] = [1, 0];
      for (let step = 0; step < 20; step++) {
        const g = 2 * w;
        const c = beta1 * m + (1 - beta1) * g;
        w = w * (1 - learningRate * weightDecay) - learningRate * Math.sign(c);
        m = beta2 * m + (1 - beta2) * g;
      }
      expect(Math.abs((await descend(lion(options), 20)) - w)).toBeLessThan(bound(20));
    },
  );

  it('leaves weights without gradient alone', async () => {
    const model = sequential([dense({ units: 1, useBias: false })], { inputShape: [1], backend });
    model.compile({ optimizer: 'lion', loss: 'meanSquaredError' });
    const [before] = model.getWeights();
    await model.fit({ inputs: new Float32Array(4), targets: new Float32Array(4) }, { batchSize: 1 });
    expect(model.getWeights()[0]).toEqual(before);
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
    [() => adamw({ weightDecay: -1 }), /for weightDecay/],
    [() => adamw({ decay: 0.1 } as never), /an option of adamw, received "decay"/],
    [() => rmsprop({ alpha: 1 }), /below 1 for alpha, received 1/],
    [() => rmsprop({ rho: 0.9 } as never), /an option of rmsprop, received "rho"/],
    [() => rmsprop({ epsilon: 0 }), /for epsilon/],
    [() => rmsprop({ momentum: 1 }), /for momentum/],
    [() => rmsprop({ centered: 1 as never }), /true or false for centered/],
    [() => rmsprop({ weightDecay: -1 }), /for weightDecay/],
    [() => adagrad({ learningRateDecay: -1 }), /for learningRateDecay/],
    [() => adagrad({ initialAccumulatorValue: -1 }), /for initialAccumulatorValue/],
    [() => adagrad({ epsilon: 0 }), /for epsilon/],
    [() => adagrad({ weightDecay: Number.NaN }), /for weightDecay/],
    [() => adagrad({ momentum: 0.9 } as never), /an option of adagrad, received "momentum"/],
    [() => lion({ beta1: 1 }), /for beta1/],
    [() => lion({ beta2: -1 }), /for beta2/],
    [() => lion({ weightDecay: -1 }), /for weightDecay/],
    [() => lion({ epsilon: 1e-8 } as never), /an option of lion, received "epsilon"/],
    [() => oneCycle(-1), /for maxLearningRate/],
    [() => oneCycle(1, { warmupFraction: 2 }), /for warmupFraction/],
    [() => oneCycle(1, { totalSteps: 0 }), /for totalSteps/],
    [() => oneCycle(1, { divFactor: 25 } as never), /"divFactor"/],
  ])('are checked: %s', (make, message) => {
    expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it.each([
    ['sgd', sgd],
    ['adam', adam],
    ['adamw', adamw],
    ['rmsprop', rmsprop],
    ['adagrad', adagrad],
    ['lion', lion],
  ] as const)('that all have in common are options of %s, and in its config', (name, make) => {
    for (const learningRate of [-1, Number.NaN, '0.1' as never]) {
      expect(errorOf(() => make({ learningRate }))).toEqual(failure('ERR_ARGUMENT', /for learningRate/));
    }
    expect(errorOf(() => make({ clipValue: 0 }))).toEqual(failure('ERR_ARGUMENT', /above 0 for clipValue, received 0/));
    expect(errorOf(() => make({ globalClipNorm: -1 }))).toEqual(failure('ERR_ARGUMENT', /above 0 for globalClipNorm/));
    const both = () => make({ clipValue: 1, globalClipNorm: 1 });
    expect(errorOf(both)).toEqual(failure('ERR_ARGUMENT', /globalClipNorm with clipValue.*Choose one/));
    expect(errorOf(() => make({ useEma: 1 as never }))).toEqual(failure('ERR_ARGUMENT', /true or false for useEma/));
    const always = () => make({ useEma: true, emaMomentum: 1 });
    expect(errorOf(always)).toEqual(failure('ERR_ARGUMENT', /below 1 for emaMomentum, received 1/));
    const unused = () => make({ emaMomentum: 0.9 });
    expect(errorOf(unused)).toEqual(failure('ERR_ARGUMENT', /useEma: true for the options with emaMomentum/));

    const plain = { clipValue: null, globalClipNorm: null, useEma: false, emaMomentum: null };
    expect(make()).toMatchObject({ name, config: plain, clipping: null, averages: false });
    const { config, averages, scalarNames } = make({ globalClipNorm: 2, useEma: true });
    expect(config).toMatchObject({ ...plain, globalClipNorm: 2, useEma: true, emaMomentum: 0.99 });
    expect([averages, scalarNames.at(-1)]).toEqual([true, 'averageRate']);
    expect(make({ clipValue: 2 }).config).toMatchObject({ ...plain, clipValue: 2 });
    // All options but the learning rate: a resumed run compares them.
    const own = Object.keys(make().config).filter((option) => !(option in plain));
    for (const option of own) expect(() => make({ [option]: make().config[option] })).not.toThrow();
  });

  it('keeps all that a rule was made with in its config', () => {
    const rms = { alpha: 0.5, epsilon: 0.1, momentum: 0.25, centered: true, weightDecay: 0.5 };
    expect(rmsprop(rms).config).toMatchObject(rms);
    const ada = { learningRateDecay: 0.5, initialAccumulatorValue: 0.25, epsilon: 0.125, weightDecay: 0.5 };
    expect(adagrad(ada).config).toMatchObject(ada);
    const other = { beta1: 0.5, beta2: 0.25, weightDecay: 0.125 };
    expect(lion(other).config).toMatchObject(other);
    expect(adamw({ ...other, epsilon: 0.5 }).config).toMatchObject({ ...other, epsilon: 0.5 });
  });

  it('refuses an optimizer it does not know', () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    const compile = () => model.compile({ optimizer: 'nadam' as never, loss: 'meanSquaredError' });
    expect(errorOf(compile)).toEqual(
      failure('ERR_ARGUMENT', /one of sgd, adam, adamw, rmsprop, adagrad, lion .*"nadam"/),
    );
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
