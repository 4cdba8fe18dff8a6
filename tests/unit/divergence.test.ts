import { describe, expect, it } from 'vitest';
import {
  categoricalCrossentropy,
  dense,
  type EpochResult,
  earlyStopping,
  type Sequential,
  sequential,
  sgd,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { failure, separable } from '../helpers/toy.js';

/** Learns for `steps` steps at a rate that is fine, and then at one that is not. */
const explodesAfter = (steps: number, then = 1e30) => sgd({ learningRate: (step) => (step < steps ? 0.05 : then) });

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'divergence, %s',
  (_, backend) => {
    function network(): Sequential {
      return sequential([dense({ units: 8, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })], {
        inputShape: [2, 2, 1],
        seed: 4,
        backend,
      });
    }
    const compiled = (optimizer: ReturnType<typeof sgd>) => {
      const model = network();
      model.compile({ optimizer, loss: 'categoricalCrossentropy' });
      return model;
    };
    const data = separable(80);
    const options = { batchSize: 8, shuffle: false };

    /** The weights after so many steps at the rate that is fine. */
    async function trained(steps: number): Promise<string> {
      const model = compiled(sgd({ learningRate: 0.05 }));
      const whole = { epochs: Math.floor(steps / 10), ...options };
      if (whole.epochs > 0) await model.fit(data, whole);
      const rest = (steps % 10) * 8;
      if (rest > 0)
        await model.fit({ inputs: data.inputs.slice(0, rest * 4), targets: data.targets.slice(0, rest) }, options);
      return model.weightsSha256();
    }

    it('goes back to the weights with which the loss was finite last, and names step and layer', async () => {
      // Step 14, counted from 0, ruins the weights; step 15 shows it. It went in with the weights of 14 steps.
      const model = compiled(explodesAfter(14));
      const fitting = model.fit(data, { epochs: 5, ...options });
      await expect(fitting).rejects.toEqual(
        failure(
          'ERR_NON_FINITE',
          /epoch 2, step 6 of 10, received NaN\. It began in layer \d \(dense\).*learning rate \(it was 1e\+30\).*globalClipNorm.*after 14 steps/,
        ),
      );
      expect(model.weightsSha256()).toBe(await trained(14));
    });

    it('also when the last step of an epoch ruined them', async () => {
      const model = compiled(explodesAfter(19));
      await expect(model.fit(data, { epochs: 5, ...options })).rejects.toEqual(
        failure('ERR_NON_FINITE', /epoch 3, step 1 of 10.*after 19 steps/),
      );
      expect(model.weightsSha256()).toBe(await trained(19));
    });

    it('and when no step came after the one that ruined them', async () => {
      // So great a rate that the update itself is infinite.
      const model = compiled(explodesAfter(19, 1e300));
      await expect(model.fit(data, { epochs: 2, ...options })).rejects.toEqual(
        failure('ERR_NON_FINITE', /epoch 2, step 10 of 10, received weights that are not finite.*after 19 steps/),
      );
      expect(model.weightsSha256()).toBe(await trained(19));
    });

    it('keeps the first weights when the first step fails', async () => {
      const model = compiled(sgd({ learningRate: 0.05 }));
      const huge = Float32Array.from(data.inputs, (value) => value * 1e36);
      model.setWeights(model.getWeights().map((values) => values.fill(10)));
      const before = model.weightsSha256();
      await expect(model.fit({ inputs: huge, targets: data.targets }, options)).rejects.toEqual(
        failure(
          'ERR_NON_FINITE',
          /epoch 1, step 1 of 10.*began in layer 0 \(dense\): its outputs are the first.*before this fit/,
        ),
      );
      expect(model.weightsSha256()).toBe(before);
    });

    it('the optimizer goes on from those weights', async () => {
      const momentum = (learningRate: (step: number) => number) => sgd({ learningRate, momentum: 0.9 });
      const straight = compiled(momentum(() => 0.05));
      await straight.fit(data, options);
      const failing = compiled(momentum((step) => (step < 10 ? 0.05 : 1e30)));
      await expect(failing.fit(data, { epochs: 2, ...options })).rejects.toEqual(
        failure('ERR_NON_FINITE', /after 10 steps/),
      );
      expect(failing.weightsSha256()).toBe(straight.weightsSha256());
    });

    it('and so do the steps that schedules count', async () => {
      const steps: number[] = [];
      const learningRate = (step: number) => {
        steps.push(step);
        return step === 14 ? 1e30 : 0.05;
      };
      const model = compiled(sgd({ learningRate }));
      await expect(model.fit(data, { epochs: 2, ...options })).rejects.toEqual(
        failure('ERR_NON_FINITE', /after 14 steps/),
      );
      steps.length = 0;
      await expect(model.fit(data, options)).rejects.toThrow(/step 2 of 10/);
      expect(steps.slice(0, 10)).toEqual([14, 15, 16, 17, 18, 19, 20, 21, 22, 23]);
    });

    it('with functions called between steps, weights that they set included', async () => {
      const model = compiled(explodesAfter(5));
      const zeros = network()
        .getWeights()
        .map((values) => values.fill(0.01));
      const callback = {
        onTrainBatchEnd: (batch: number) => {
          if (batch === 4) model.setWeights(zeros);
        },
      };
      await expect(model.fit(data, { ...options, callbacks: [callback] })).rejects.toEqual(
        failure('ERR_NON_FINITE', /step 7 of 10.*after 5 steps/),
      );
      const wanted = compiled(sgd({ learningRate: 0.05 }));
      wanted.setWeights(zeros);
      await wanted.fit(
        { inputs: data.inputs.slice(128, 160), targets: data.targets.slice(32, 40) },
        { batchSize: 8, shuffle: false },
      );
      expect(model.weightsSha256()).toBe(wanted.weightsSha256());
    });
  },
);

describe('beside somebody who evaluates', () => {
  const data = separable(2000);
  /** Evaluates without a pause while `fit` runs. */
  async function evaluatingBeside<T>(model: Sequential, fitting: Promise<T>): Promise<T> {
    let done = false;
    const end = () => {
      done = true;
    };
    fitting.then(end, end);
    while (!done) await model.evaluate(separable(300));
    return fitting;
  }
  const build = (learningRate: (step: number) => number) => {
    const model = sequential([dense({ units: 8, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })], {
      inputShape: [2, 2, 1],
      seed: 4,
    });
    model.compile({ optimizer: sgd({ learningRate }), loss: 'categoricalCrossentropy' });
    return model;
  };

  it('a fit ends as by itself, and early stopping gets its weights', async () => {
    const callbacks = () => [earlyStopping({ monitor: 'loss', patience: 9, restoreBestWeights: true })];
    const alone = build(() => 0.05);
    await alone.fit(data, { epochs: 4, callbacks: callbacks() });
    const model = build(() => 0.05);
    await evaluatingBeside(model, model.fit(data, { epochs: 4, callbacks: callbacks() }));
    expect(model.weightsSha256()).toBe(alone.weightsSha256());
  });

  it('one that diverges finds its way back, and one that does not learn gets its hint', async () => {
    const model = build((step) => (step < 200 ? 0.05 : 1e30));
    await expect(evaluatingBeside(model, model.fit(data, { epochs: 9 }))).rejects.toEqual(
      failure('ERR_NON_FINITE', /after 200 steps/),
    );
    const hints: string[] = [];
    const slow = build(() => 0);
    slow.setWeights(slow.getWeights().map((values) => values.fill(0)));
    const fitting = slow.fit(data, { batchSize: 8, onWarning: (text) => hints.push(text) });
    await evaluatingBeside(slow, fitting);
    expect(hints).toHaveLength(1);
  });
});

describe('going back', () => {
  const data = separable(80);

  it('takes the rates of then where a schedule follows a metric', async () => {
    // The first epoch at 0.1; the plateau then lets the rate go up beyond all bounds.
    const climbing = (first: number) => ({
      monitor: 'loss',
      initialState: () => first,
      rateAt: (_step: number, _fit: unknown, state: unknown) => state as number,
      afterEpoch: () => 1e300,
    });
    const build = (learningRate: number | ReturnType<typeof climbing>) => {
      const model = sequential([dense({ units: 3, activation: 'softmax' })], {
        inputShape: [2, 2, 1],
        seed: 1,
        backend: 'js',
      });
      model.compile({ optimizer: sgd({ learningRate }), loss: 'categoricalCrossentropy' });
      return model;
    };
    const straight = build(0.1);
    await straight.fit(data, { batchSize: 8, shuffle: false });
    const model = build(climbing(0.1));
    await expect(model.fit(data, { batchSize: 8, epochs: 2, shuffle: false })).rejects.toEqual(
      failure('ERR_NON_FINITE', /epoch 2.*after 10 steps/),
    );
    expect(model.weightsSha256()).toBe(straight.weightsSha256());
  });

  it('comes before anybody sees what the last step of an epoch ruined', async () => {
    const model = sequential([dense({ units: 3, activation: 'softmax' })], {
      inputShape: [2, 2, 1],
      seed: 1,
      backend: 'js',
    });
    const learningRate = (step: number) => (step === 9 ? 1e300 : 0.1);
    model.compile({ optimizer: sgd({ learningRate }), loss: 'categoricalCrossentropy' });
    let seen = 0;
    const callback = {
      onEpochEnd: () => {
        seen++;
      },
    };
    await expect(model.fit(data, { batchSize: 8, epochs: 2, callbacks: [callback] })).rejects.toEqual(
      failure('ERR_NON_FINITE', /epoch 1, step 10 of 10, received weights that are not finite/),
    );
    expect(seen).toBe(0);
    expect(model.getWeights().every((values) => values.every(Number.isFinite))).toBe(true);
  });
});

describe('a model that does not learn', () => {
  const data = separable(400);
  const classifier = (units: number, learningRate: number) => {
    const model = sequential([dense({ units, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })], {
      inputShape: [2, 2, 1],
      backend: 'js',
    });
    model.compile({ optimizer: sgd({ learningRate }), loss: 'categoricalCrossentropy' });
    return model;
  };

  it('gets a hint, once', async () => {
    const hints: string[] = [];
    const shuffled = { ...data, targets: data.targets.map((_, index) => (index * 7919) % 3) };
    await classifier(4, 0).fit(shuffled, { batchSize: 4, epochs: 4, onWarning: (text) => hints.push(text) });
    expect(hints).toEqual([expect.stringMatching(/does not learn: after epoch 1.*ln 3 = 1\.0986.*find-lr/)]);
  });

  it('is told of a layer through which nothing passes', async () => {
    const hints: string[] = [];
    const model = classifier(4, 0);
    const [weights, bias, ...others] = model.getWeights();
    model.setWeights([weights, bias.fill(-1e3), ...others.map((values) => values.fill(0))]);
    await model.fit(data, { batchSize: 4, onWarning: (text) => hints.push(text) });
    expect(hints).toEqual([expect.stringMatching(/Every output of layer 0 \(dense\) is zero/)]);
  });

  it('one that learns gets none', async () => {
    const hints: string[] = [];
    const results: EpochResult[] = [];
    const model = classifier(16, 0.1);
    await model.fit(data, {
      batchSize: 4,
      epochs: 2,
      onWarning: (text) => hints.push(text),
      onEpochEnd: (result) => {
        results.push(result);
      },
    });
    expect(results[1].accuracy).toBeGreaterThan(0.9);
    expect(hints).toEqual([]);
  });

  it('one whose classes have weights is not compared with plain guessing', async () => {
    const hints: string[] = [];
    const model = classifier(16, 0.01);
    const loss = categoricalCrossentropy({ classWeights: [20, 20, 20] });
    model.compile({ optimizer: sgd({ learningRate: 0.01 }), loss });
    await model.fit(data, { batchSize: 4, onWarning: (text) => hints.push(text) });
    expect(hints).toEqual([]);
  });

  it('warns where nobody listens', async () => {
    const warnings: string[] = [];
    const listener = ({ name, message }: Error) => warnings.push(`${name}: ${message}`);
    process.on('warning', listener);
    await classifier(4, 0).fit(data, { batchSize: 4 });
    await new Promise(setImmediate);
    process.off('warning', listener);
    expect(warnings).toEqual([expect.stringMatching(/^MnistTrainWarning: The model does not learn/)]);
  });
});
