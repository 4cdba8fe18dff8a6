import { describe, expect, it } from 'vitest';
import {
  adam,
  dense,
  dropout,
  type FindLearningRateOptions,
  type FindLearningRateProgress,
  findLearningRate,
  type Optimizer,
  sequential,
  sgd,
} from '../../src/index.js';
import { backend, classifier, failure, separable } from '../helpers/toy.js';

/** y = w · x with w = 1 on x = 1, target 0: a step is w = (1 - 2 rate) · w, best at 0.5 and diverging above 1. */
function parabola(optimizer: Optimizer = sgd()) {
  const model = sequential([dense({ units: 1, useBias: false })], { inputShape: [1], backend });
  model.setWeights([Float32Array.of(1)]);
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}
const ONES = { inputs: new Float32Array(64).fill(1), targets: new Float32Array(64) };

describe('findLearningRate', () => {
  it('leaves the model as it is: weights, optimizer, epochs', async () => {
    const train = async (search: boolean) => {
      const layers = [dense({ units: 6, activation: 'tanh' }), dropout({ rate: 0.3 }), dense({ units: 3 })];
      const model = sequential(layers, { inputShape: [2, 2, 1], seed: 3, backend });
      model.compile({
        optimizer: adam({ learningRate: (step) => 0.01 / (1 + step) }),
        loss: 'categoricalCrossentropy',
      });
      await model.fit(separable(90), { epochs: 2, batchSize: 16 });
      const before = model.weightsSha256();
      const { optimizer } = model;
      if (search) await findLearningRate(model, { ...separable(90), classNames: ['a', 'b', 'c'] }, { steps: 30 });
      expect(model.weightsSha256()).toBe(before);
      expect(model.optimizer).toBe(optimizer);
      expect(model.classNames).toBeUndefined();
      const { epochs } = await model.fit(separable(90), { epochs: 2, batchSize: 16 });
      return { hash: model.weightsSha256(), epochs: epochs.map(({ epoch, loss }) => [epoch, loss]) };
    };
    expect(await train(true)).toEqual(await train(false));
  });

  it('trains on mini-batches with rates that rise by the same factor', async () => {
    const options = { minLearningRate: 1e-5, maxLearningRate: 0.1, steps: 21, batchSize: 8 };
    const { learningRates, losses, smoothedLosses, stopped } = await findLearningRate(parabola(), ONES, options);
    expect(stopped).toBe('completed');
    expect(learningRates).toHaveLength(21);
    let w = 1;
    let sum = 0;
    learningRates.forEach((rate, step) => {
      const wanted = 1e-5 * 1e4 ** (step / 20);
      expect(Math.abs(rate / wanted - 1)).toBeLessThan(1e-14);
      // The loss is that of the weights before the step, in float32: a handful of roundings a step.
      expect(Math.abs(losses[step] - w ** 2)).toBeLessThan(8 * (step + 1) * 2 ** -24);
      w *= 1 - 2 * rate;
      sum = 0.9 * sum + 0.1 * losses[step];
      expect(Math.abs(smoothedLosses[step] - sum / (1 - 0.9 ** (step + 1)))).toBeLessThan(1e-14);
    });
  });

  it('suggests a rate that works, less than where the loss is least', async () => {
    const { suggestion, steepest, minimum, stopped } = await findLearningRate(parabola(), ONES);
    expect(stopped).toBe('diverged');
    expect(steepest).toBeGreaterThan(0.005);
    expect(suggestion).toBeGreaterThan(steepest!);
    expect(suggestion).toBeLessThan(0.5);
    expect(minimum).toBeGreaterThan(suggestion!);
    expect(minimum).toBeLessThan(10);
  });

  it.each([{ optimizer: adam() }, { optimizer: sgd({ momentum: 0.9, nesterov: true }) }])(
    'finds a rate with which a classifier learns: $optimizer.name',
    async ({ optimizer }) => {
      const data = separable(300);
      const model = classifier({ optimizer });
      const { suggestion } = await findLearningRate(model, data, { batchSize: 16 });
      const trained = model.copy({ optimizer: { ...optimizer, learningRate: suggestion! } });
      await trained.fit(data, { epochs: 5, batchSize: 16 });
      expect((await trained.evaluate(data)).accuracy).toBe(1);
    },
  );

  it('gives the same numbers again, and goes over the data as often as it takes', async () => {
    const search = () => findLearningRate(classifier(), separable(50), { batchSize: 40, steps: 50 });
    const first = await search();
    expect(first.losses.length).toBeGreaterThan(20);
    expect(await search()).toEqual(first);
  });

  it('stops where the loss grows beyond bounds', async () => {
    // No weight has a loss below 1, so that it does not fly up within a step.
    const noise = { inputs: ONES.inputs, targets: Float32Array.from(ONES.targets, (_, sample) => (-1) ** sample) };
    const { smoothedLosses, learningRates, stopped } = await findLearningRate(parabola(), noise, { steps: 200 });
    expect(stopped).toBe('diverged');
    expect(learningRates.length).toBeLessThan(200);
    const before = smoothedLosses.slice(0, -1);
    expect(smoothedLosses.at(-1)).toBeGreaterThan(4 * Math.min(...before));
    expect(before.at(-1)).toBeLessThanOrEqual(4 * Math.min(...before));
  });

  it('stops where the loss is not finite, with what it has', async () => {
    const steep = { minLearningRate: 1e20, maxLearningRate: 1e30, steps: 10 };
    const { learningRates, losses, suggestion, stopped } = await findLearningRate(parabola(), ONES, steep);
    expect(stopped).toBe('diverged');
    expect(losses).toEqual([1]);
    expect(learningRates).toHaveLength(1);
    expect(suggestion).toBeNull();
  });

  it('suggests nothing where no rate makes the loss fall', async () => {
    const small = await findLearningRate(parabola(), ONES, { maxLearningRate: 1e-5 });
    expect(small).toMatchObject({ suggestion: null, steepest: null, stopped: 'completed' });
    const solved = parabola();
    solved.setWeights([Float32Array.of(0)]);
    expect(await findLearningRate(solved, ONES)).toMatchObject({ suggestion: null, stopped: 'completed' });
  });

  it('tells of every step, and ends with what the listener throws', async () => {
    const seen: FindLearningRateProgress[] = [];
    const options = { steps: 12, maxLearningRate: 1e-3, onProgress: (p: FindLearningRateProgress) => seen.push(p) };
    const { learningRates, losses } = await findLearningRate(parabola(), ONES, options as FindLearningRateOptions);
    expect(seen).toEqual(
      losses.map((loss, index) => ({ step: index + 1, steps: 12, learningRate: learningRates[index], loss })),
    );
    const onProgress = () => {
      throw new Error('enough');
    };
    await expect(findLearningRate(parabola(), ONES, { onProgress })).rejects.toThrow('enough');
  });

  it('ends when the signal comes, and the model stays usable', async () => {
    const model = parabola();
    const controller = new AbortController();
    const options = { signal: controller.signal, onProgress: () => controller.abort() };
    await expect(findLearningRate(model, ONES, options)).rejects.toEqual(failure('ERR_ABORTED', /search was aborted/));
    await expect(findLearningRate(model, ONES, options)).rejects.toEqual(failure('ERR_ABORTED', /search was aborted/));
    expect((await model.fit(ONES)).stopped).toBe('completed');
  });

  it.each<[unknown, RegExp]>([
    [{ minLearningRate: 0 }, /from 1e-30 for minLearningRate, received 0/],
    [{ minLearningRate: Number.NaN }, /for minLearningRate/],
    [{ maxLearningRate: Number.POSITIVE_INFINITY }, /for maxLearningRate/],
    [{ minLearningRate: 0.1, maxLearningRate: 0.1 }, /above minLearningRate 0.1 for maxLearningRate, received 0.1/],
    [{ steps: 9 }, /for steps, received 9/],
    [{ steps: 20.5 }, /for steps/],
    [{ batchSize: 0 }, /for batchSize/],
    [{ smoothing: 1 }, /below 1 for smoothing/],
    [{ signal: true }, /an AbortSignal for signal/],
    [{ onProgress: 1 }, /a function for onProgress/],
    [{ learningRate: 1 }, /an option of findLearningRate, received "learningRate"/],
  ])('refuses %j', async (options, message) => {
    await expect(findLearningRate(parabola(), ONES, options as never)).rejects.toEqual(
      failure('ERR_ARGUMENT', message),
    );
  });

  it('needs a compiled model and data that fit', async () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend });
    expect(model.optimizer).toBeNull();
    const search = findLearningRate(model, ONES);
    await expect(search).rejects.toEqual(failure('ERR_STATE', /Call compile .* before findLearningRate/));
    const wrong = { inputs: ONES.inputs, targets: new Float32Array(3) };
    await expect(findLearningRate(parabola(), wrong)).rejects.toEqual(failure('ERR_SHAPE', /data\.targets/));
  });
});

describe('copy', () => {
  it('is a model of its own, compiled likewise', async () => {
    const data = separable(60);
    const model = classifier({ seed: 5 });
    await model.fit(data, { epochs: 1 });
    const copy = model.copy();
    expect(copy.toConfig()).toEqual(model.toConfig());
    expect(copy.optimizer).toBe(model.optimizer);
    const hash = model.weightsSha256();
    expect(copy.weightsSha256()).toBe(hash);
    const { epochs } = await copy.fit(data);
    expect(epochs[0].epoch).toBe(1);
    expect(copy.weightsSha256()).not.toBe(hash);
    expect(model.weightsSha256()).toBe(hash);
    copy.dispose();
    expect((await model.evaluate(data)).count).toBe(60);
  });

  it('takes changes, and is not compiled where the model is not', async () => {
    const copy = classifier().copy({ optimizer: sgd({ learningRate: 0 }) });
    const hash = copy.weightsSha256();
    await copy.fit(separable(60));
    expect(copy.weightsSha256()).toBe(hash);
    const plain = sequential([dense({ units: 1 })], { inputShape: [1], backend }).copy();
    await expect(plain.fit(ONES)).rejects.toEqual(failure('ERR_STATE', /Call compile/));
  });
});
