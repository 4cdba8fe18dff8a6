import { describe, expect, it } from 'vitest';
import { adam, categoricalCrossentropy, conv2d, dense, dropout, sequential, sgd } from '../../src/index.js';
import { type Augmentation, resolveAugmentation } from '../../src/model/augmentation.js';
import { lowerModel } from '../../src/model/lower.js';
import { buildStack } from '../../src/model/stack.js';
import { fast } from '../../src/recipes/fast.js';
import { makeRecipe } from '../../src/recipes/recipe.js';
import { namesOf, only } from '../helpers/lowering.js';
import { backend, classifier, errorOf, failure, separable } from '../helpers/toy.js';

const SHAPE = [28, 20, 1];
const resolve = (options: unknown, shape: readonly number[] = SHAPE) => resolveAugmentation(options as never, shape);

describe('augmentation', () => {
  it.each([
    [{ shift: 1.5 }, /whole number from 0 to 8 for augmentation\.shift, received 1\.5/],
    [{ shift: 9 }, /for augmentation\.shift, received 9/],
    [{ rotation: 90 }, /from 0 up to 45 for augmentation\.rotation, received 90/],
    [{ rotation: '10' }, /for augmentation\.rotation, received "10"/],
    [{ scale: -0.1 }, /from 0 up to 0\.5 for augmentation\.scale/],
    [{ aspect: 1 }, /for augmentation\.aspect, received 1/],
    [{ shear: Number.NaN }, /for augmentation\.shear, received NaN/],
    [{ elastic: 3 }, /an object for the options of augmentation\.elastic/],
    [{ elastic: { alpha: 2 } }, /for augmentation\.elastic\.spacing, received undefined/],
    [{ elastic: { alpha: 20, spacing: 4 } }, /from 0 up to 16 for augmentation\.elastic\.alpha/],
    [{ elastic: { alpha: 2, spacing: 1 } }, /whole number from 2 to 64 for augmentation\.elastic\.spacing/],
    [{ elastic: { alpha: 2, spacing: 4, sigma: 3 } }, /alpha, spacing for an option of augmentation\.elastic/],
    [{ erase: { size: 3 } }, /for augmentation\.erase\.probability, received undefined/],
    [{ erase: { probability: 2, size: 3 } }, /from 0 up to 1 for augmentation\.erase\.probability/],
    [{ erase: { probability: 1, size: 21 } }, /whole number from 1 to 20 for augmentation\.erase\.size, received 21/],
    [{ Shift: 1 }, /Did you mean "shift"\?/],
    [null, /an object for the options of augmentation/],
  ])('refuses %j', (options, message) => {
    expect(errorOf(() => resolve(options))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('takes images only', () => {
    for (const shape of [[784], [28, 28]]) {
      expect(errorOf(() => resolve({ shift: 1 }, shape))).toEqual(
        failure('ERR_SHAPE', /Expected the input shape \[height, width, channels\] for a model with augmentation/),
      );
    }
  });

  it('is none where nothing is to be changed', () => {
    expect(resolve(undefined, [784])).toBeNull();
    const nothing = { shift: 0, rotation: 0, elastic: { alpha: 0, spacing: 4 }, erase: { probability: 0, size: 3 } };
    expect(resolve(nothing)).toBeNull();
  });

  it.each([
    [{ shift: 8 }],
    [{ rotation: 45 }],
    [{ scale: 0.5 }],
    [{ aspect: 0.1 }],
    [{ shear: 0.1 }],
    [{ elastic: { alpha: 16, spacing: 64 } }],
    [{ erase: { probability: 0.1, size: 20 } }],
  ])('is one at %j', (options) => {
    expect(resolve(options)).toMatchObject({ inputHeight: 28, inputWidth: 20, channels: 1 });
  });

  it('is refused by compile before anything changes', async () => {
    const model = classifier();
    const compile = (augmentation: unknown) => () =>
      model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy', augmentation: augmentation as never });
    expect(errorOf(compile({ shift: -1 }))).toEqual(failure('ERR_ARGUMENT', /augmentation\.shift/));
    await model.fit(separable(10));
    const flat = sequential([dense({ units: 2 })], { inputShape: [4], backend });
    const options = { optimizer: 'sgd', loss: 'categoricalCrossentropy', augmentation: { shift: 1 } } as const;
    expect(errorOf(() => flat.compile(options))).toEqual(failure('ERR_SHAPE', /input shape/));
  });
});

describe('a lowered model with augmentation', () => {
  function lowered(layers: Parameters<typeof buildStack>[0], augmentation: Augmentation | null, seed = 42) {
    const training = { loss: categoricalCrossentropy(), optimizer: sgd(), augmentation };
    return lowerModel(buildStack(layers, [6, 6, 1]), training, { train: 20, evaluate: 8, infer: 2 }, seed);
  }
  const augmentation = resolve({ shift: 1, rotation: 5, erase: { probability: 0.5, size: 2 } }, [6, 6, 1]);

  it('augments what training gathers, and nothing else', () => {
    const { sections, scalars, buffers } = lowered(
      [dropout({ rate: 0.5 }), dense({ units: 3 })],
      augmentation,
      2 ** 32,
    );
    expect(namesOf(sections.train!.ops).slice(0, 5)).toEqual(['gather', 'gather', 'augment', 'dropout', 'dense']);
    const [op] = only(sections.train!.ops, 'augment');
    expect(op).toEqual({
      ...{ op: 'augment', input: 'train/inputs', output: 'train/inputs.augmented' },
      ...{ inputHeight: 6, inputWidth: 6, channels: 1, shift: 1, rotation: 5, scale: 0, aspect: 0, shear: 0 },
      ...{ elasticAlpha: 0, elasticSpacing: 2, eraseProbability: 0.5, eraseSize: 2 },
      ...{ seedLow: 0, seedHigh: 1, epoch: 0 },
    });
    expect(scalars).toEqual(['epoch', 'learningRate']);
    expect(only(sections.train!.ops, 'dropout')[0]).toMatchObject({ input: op.output, epoch: 0 });
    for (const name of ['evaluate', 'infer'] as const) expect(namesOf(sections[name]!.ops)).not.toContain('augment');
    expect(buffers.filter(({ name }) => name === op.input || name === op.output)).toHaveLength(2);
  });

  it('holds what training gathers as it is, since no layer reads it', () => {
    const sparse = (made: ReturnType<typeof lowered>) =>
      made.buffers.filter((buffer) => buffer.sparse).map(({ name }) => name);
    const layers = [dense({ units: 3 })];
    expect(sparse(lowered(layers, null))).toEqual(['train/inputs', 'evaluate/inputs', 'infer/inputs']);
    expect(sparse(lowered(layers, augmentation))).toEqual(['evaluate/inputs', 'infer/inputs']);
  });

  it('has no such op and no epoch without it', () => {
    const { sections, scalars } = lowered([dense({ units: 3 })], null);
    expect(namesOf(sections.train!.ops)).not.toContain('augment');
    expect(scalars).toEqual(['learningRate']);
  });
});

const AUGMENTATION = { shift: 1, rotation: 20, scale: 0.1, elastic: { alpha: 0.5, spacing: 2 } };

function model(augmentation?: object, { seed = 5, learningRate = 0.02 } = {}) {
  const layers = [conv2d({ filters: 4, kernelSize: 2, padding: 'same', activation: 'relu' }), dense({ units: 3 })];
  const made = sequential(layers, { inputShape: [2, 2, 1], seed, backend });
  made.compile({ optimizer: adam({ learningRate }), loss: 'categoricalCrossentropy', augmentation });
  return made;
}

describe('training with augmentation', () => {
  it('predicts and evaluates as if it were not there', async () => {
    const [augmented, plain] = [model(AUGMENTATION), model()];
    expect(augmented.predictSync(separable(9))).toEqual(plain.predictSync(separable(9)));
    await augmented.fit(separable(50));
    await plain.fit(separable(50));
    expect(augmented.weightsSha256()).not.toBe(plain.weightsSha256());
    plain.setWeights(augmented.getWeights());
    expect(augmented.predictSync(separable(9))).toEqual(plain.predictSync(separable(9)));
    expect(await augmented.predict(separable(9))).toEqual(await plain.predict(separable(9)));
    expect(await augmented.evaluate(separable(9))).toEqual(await plain.evaluate(separable(9)));
  });

  it('validates on images as they are', async () => {
    const still = model(AUGMENTATION, { learningRate: 0 });
    const { history } = await still.fit(separable(60), { epochs: 2, validationData: separable(30, 3, 8) });
    const { loss } = await still.evaluate(separable(30, 3, 8));
    expect(history.validationLoss).toEqual([loss, loss]);
  });

  it('two epochs and then one are three, the same seed is the same training, another one is not', async () => {
    const train = async (epochs: number[], seed?: number) => {
      const trained = model(AUGMENTATION, { seed });
      for (const count of epochs) await trained.fit(separable(60), { epochs: count, batchSize: 16 });
      return trained.weightsSha256();
    };
    const whole = await train([3]);
    expect(await train([3])).toBe(whole);
    expect(await train([2, 1])).toBe(whole);
    expect(await train([3], 6)).not.toBe(whole);
  });

  it('sees other images in every epoch, the same ones in batches of any size', async () => {
    // Nothing is learned and nothing shuffled, so that only what is augmented can change the loss.
    const losses = async (batchSize: number) => {
      const still = model({ shift: 1 }, { learningRate: 0 });
      return (await still.fit(separable(60), { epochs: 3, batchSize, shuffle: false })).history.loss;
    };
    const whole = await losses(60);
    expect(new Set(whole).size).toBe(3);
    for (const [epoch, loss] of (await losses(7)).entries()) expect(loss).toBeCloseTo(whole[epoch], 12);
  });

  it('learns', async () => {
    const trained = model({ rotation: 10, scale: 0.1, erase: { probability: 0.1, size: 1 } });
    const { history } = await trained.fit(separable(200), { epochs: 12, batchSize: 16 });
    expect(history.loss.at(-1)).toBeLessThan(history.loss[0] / 2);
    expect((await trained.evaluate(separable(100, 3, 8))).accuracy).toBeGreaterThan(0.97);
  });

  it('ends with a compile that names none', async () => {
    const [once, never] = [model(AUGMENTATION), model()];
    once.compile({ optimizer: adam({ learningRate: 0.02 }), loss: 'categoricalCrossentropy' });
    await once.fit(separable(30));
    await never.fit(separable(30));
    expect(once.weightsSha256()).toBe(never.weightsSha256());
  });

  it('is what a recipe says', () => {
    const { build, ...parts } = fast;
    const opsOf = (recipe: typeof fast) => {
      const built = recipe.build({ inputShape: [6, 6, 1], backend });
      return only(built.program().sections.train!.ops, 'augment');
    };
    expect(opsOf(fast)).toEqual([]);
    const [op] = opsOf(makeRecipe({ ...parts, augmentation: { shift: 2 } }));
    expect(op).toMatchObject({ shift: 2, rotation: 0, inputHeight: 6 });
  });
});
