import { describe, expect, it } from 'vitest';
import { activation, adam, conv2d, dense, dropout, globalAveragePooling2d, sequential } from '../../src/index.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { backend, errorOf, failure, separable } from '../helpers/toy.js';

describe('dropout', () => {
  it.each([
    [{}, /for rate, received undefined/],
    [{ rate: 1 }, /below 1 for rate, received 1/],
    [{ rate: -0.1 }, /for rate, received -0\.1/],
    [{ rate: 0.5, seed: 3 }, /"seed"/],
  ])('refuses %j', (options, message) => {
    expect(errorOf(() => dropout(options as never))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('survives in the configuration', () => {
    expect(layerFromConfig({ ...dropout({ rate: 0.25 }).config }).config).toEqual({ type: 'dropout', rate: 0.25 });
  });

  it('is there in training only, each layer with numbers of its own', () => {
    const layers = [
      dropout({ rate: 0.125 }),
      conv2d({ filters: 2, kernelSize: 2 }),
      dropout({ rate: 0 }),
      activation({ activation: 'tanh' }),
      dropout({ rate: 0.25 }),
      globalAveragePooling2d(),
      dropout({ rate: 0.5 }),
      dense({ units: 2 }),
    ];
    const { train, evaluate, infer, program } = opsOf(layers, [3, 3, 1]);
    expect(namesOf(infer)).toEqual(['conv2d', 'averagePool2d', 'dense']);
    expect(namesOf(evaluate)).not.toContain('dropout');
    expect(program.scalars).toEqual(['epoch', 'learningRate']);
    const ops = only(train, 'dropout');
    expect(ops.map(({ rate, layer, epoch, seedLow, seedHigh }) => [rate, layer, epoch, seedLow, seedHigh])).toEqual([
      [0.125, 0, 0, 42, 0],
      [0.25, 1, 0, 42, 0],
      [0.5, 2, 0, 42, 0],
      // The way back, with the same numbers; nothing learns before the first one.
      [0.5, 2, 0, 42, 0],
      [0.25, 1, 0, 42, 0],
    ]);
    expect(ops[3]).toMatchObject({ input: 'train/7.dInput', output: 'train/7.dInput' });
  });

  it('needs no epoch where nothing is dropped', () => {
    expect(opsOf([dropout({ rate: 0 }), dense({ units: 2 })], [4]).program.scalars).toEqual(['learningRate']);
  });
});

const model = (rate: number, seed = 5) => {
  const layers = [dense({ units: 16, activation: 'relu' }), dropout({ rate }), dense({ units: 3 })];
  const made = sequential(layers, { inputShape: [2, 2, 1], seed, backend });
  made.compile({ optimizer: adam({ learningRate: 0.02 }), loss: 'categoricalCrossentropy' });
  return made;
};

describe('training with dropout', () => {
  it('predicts and evaluates as if it were not there', async () => {
    const [dropping, plain] = [model(0.5), model(0)];
    expect(dropping.predictSync(separable(9))).toEqual(plain.predictSync(separable(9)));
    expect(await dropping.evaluate(separable(9))).toEqual(await plain.evaluate(separable(9)));
    await dropping.fit(separable(50));
    await plain.fit(separable(50));
    expect(dropping.weightsSha256()).not.toBe(plain.weightsSha256());
    plain.setWeights(dropping.getWeights());
    expect(dropping.predictSync(separable(9))).toEqual(plain.predictSync(separable(9)));
  });

  it('learns', async () => {
    const trained = model(0.3);
    const { history } = await trained.fit(separable(200), { epochs: 12, batchSize: 16 });
    expect(history.loss.at(-1)).toBeLessThan(history.loss[0] / 2);
    expect((await trained.evaluate(separable(100, 3, 8))).accuracy).toBeGreaterThan(0.97);
  });

  it('two epochs and then one are three, the same seed is the same training, another one is not', async () => {
    const train = async (epochs: number[], seed?: number) => {
      const trained = model(0.5, seed);
      for (const count of epochs) await trained.fit(separable(60), { epochs: count, batchSize: 16 });
      return trained.weightsSha256();
    };
    const whole = await train([3]);
    expect(await train([3])).toBe(whole);
    expect(await train([2, 1])).toBe(whole);
    expect(await train([3], 6)).not.toBe(whole);
  });

  it('drops other values in every epoch', async () => {
    // Nothing is learned and nothing shuffled, so that only what is dropped can change the loss.
    const still = model(0.5);
    still.compile({ optimizer: adam({ learningRate: 0 }), loss: 'categoricalCrossentropy' });
    const { history } = await still.fit(separable(60), { epochs: 3, batchSize: 60, shuffle: false });
    expect(new Set(history.loss).size).toBe(3);
  });
});
