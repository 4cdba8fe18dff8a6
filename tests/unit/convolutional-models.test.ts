/** Convolutional networks as a whole: their gradients, their training, and their files. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeSafetensors } from '../../src/formats/safetensors.js';
import {
  activation,
  adam,
  averagePooling2d,
  batchNormalization,
  conv2d,
  type Dataset,
  dense,
  dropout,
  globalAveragePooling2d,
  type Layer,
  l2,
  loadModel,
  maxPooling2d,
  residual,
  sequential,
  softmax,
} from '../../src/index.js';
import { categoricalCrossentropy } from '../../src/losses/categorical-crossentropy.js';
import { lowerModel } from '../../src/model/lower.js';
import { buildStack, initialWeights } from '../../src/model/stack.js';
import { sgd } from '../../src/optimizers/sgd.js';
import { atOnce } from '../../src/pieces.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { writeNow } from '../helpers/sessions.js';
import { backend } from '../helpers/toy.js';

/** Images of 8 x 8 with a bar: class 0 lies, class 1 stands, class 2 goes down; anywhere, in noise. */
function bars(count: number, seed = 7): Dataset {
  const random = new RandomStream(seed, RandomPurpose.augment);
  const inputs = new Uint8Array(count * 64);
  const targets = new Uint8Array(count);
  for (let sample = 0; sample < count; sample++) {
    const kind = random.below(3);
    targets[sample] = kind;
    const image = inputs.subarray(sample * 64, (sample + 1) * 64);
    for (let pixel = 0; pixel < 64; pixel++) image[pixel] = random.below(60);
    const [top, left] = [random.below(4), random.below(4)];
    for (let step = 0; step < 5; step++) {
      const y = top + (kind === 0 ? 0 : Math.min(step, 7 - top));
      const x = left + (kind === 1 ? 0 : Math.min(step, 7 - left));
      image[y * 8 + x] = 200 + random.below(56);
    }
  }
  return { inputs, targets, count, shape: [8, 8, 1] };
}

const everything = (): Layer[] => [
  conv2d({ filters: 4, kernelSize: 3, padding: 'same', useBias: false, kernelInitializer: 'heNormal' }),
  batchNormalization({ momentum: 0.8 }),
  activation({ activation: 'relu' }),
  maxPooling2d(),
  residual({
    layers: [
      conv2d({ filters: 6, kernelSize: 3, padding: 'same', kernelInitializer: 'orthogonal' }),
      batchNormalization({ momentum: 0.8, scale: false }),
    ],
    shortcut: [conv2d({ filters: 6, kernelSize: 1, kernelRegularizer: l2(1e-4) })],
  }),
  activation({ activation: 'leakyRelu', negativeSlope: 0.1 }),
  dropout({ rate: 0.1 }),
  globalAveragePooling2d(),
  dense({ units: 3, kernelConstraint: { maxNorm: 4 } }),
  softmax(),
];

const compiled = (seed = 11) => {
  const model = sequential(everything(), { inputShape: [8, 8, 1], seed, backend });
  model.compile({ optimizer: adam({ learningRate: 0.02 }), loss: 'categoricalCrossentropy' });
  return model;
};

describe('training', () => {
  it('learns what a convolution can see anywhere', async () => {
    const model = compiled();
    const { history } = await model.fit(bars(240), { epochs: 12, batchSize: 24 });
    expect(history.loss.at(-1)).toBeLessThan(history.loss[0] / 4);
    expect((await model.evaluate(bars(100, 8))).accuracy).toBeGreaterThan(0.95);
  });

  it('the same seed gives the same weights, whatever happens between; another seed others', async () => {
    const train = async (seed: number, epochs: number[]) => {
      const model = compiled(seed);
      for (const count of epochs) {
        await model.fit(bars(50), { epochs: count, batchSize: 17 });
        await model.predict(bars(3));
      }
      return model.weightsSha256();
    };
    const whole = await train(11, [3]);
    expect(await train(11, [1, 2])).toBe(whole);
    expect(await train(12, [3])).not.toBe(whole);
  });
});

describe('files', () => {
  it("restore a model to the bit, with PyTorch's names and layouts", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'mnist-train-conv-'));
    try {
      const path = join(folder, 'model.safetensors');
      const model = compiled();
      await model.fit(bars(40), { batchSize: 16 });
      await model.save(path);
      const loaded = await loadModel(path, { backend });
      expect(loaded.weightsSha256()).toBe(model.weightsSha256());
      expect(loaded.toConfig()).toEqual(model.toConfig());
      expect(loaded.predictSync(bars(5))).toEqual(model.predictSync(bars(5)));

      const { tensors } = atOnce(decodeSafetensors(await readFile(path), path));
      const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
      expect(shapes).toEqual({
        '0.weight': [4, 1, 3, 3],
        '1.weight': [4],
        '1.bias': [4],
        '1.running_mean': [4],
        '1.running_var': [4],
        '4.0.weight': [6, 4, 3, 3],
        '4.0.bias': [6],
        '4.1.bias': [6],
        '4.1.running_mean': [6],
        '4.1.running_var': [6],
        '4.shortcut.0.weight': [6, 4, 1, 1],
        '4.shortcut.0.bias': [6],
        '8.weight': [3, 6],
        '8.bias': [3],
      });
      const memory = model.getWeights()[5];
      const file = tensors.get('4.0.weight')!.data;
      for (let ky = 0; ky < 3; ky++) {
        for (let kx = 0; kx < 3; kx++) {
          for (let c = 0; c < 4; c++) {
            for (let f = 0; f < 6; f++) {
              expect(file[((f * 4 + c) * 3 + ky) * 3 + kx]).toBe(memory[((ky * 3 + kx) * 4 + c) * 6 + f]);
            }
          }
        }
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('gradients through whole networks', () => {
  const ROWS = 18;
  const U = 2 ** -24;
  const STEP = 2 ** -6;

  /** The lowered training step with a learning rate of 0: its loss, and the gradients that it makes. */
  function stepOf(layers: readonly Layer[], inputShape: readonly number[]) {
    const stack = buildStack(layers, inputShape);
    const set = { loss: categoricalCrossentropy(), optimizer: sgd() };
    const program = lowerModel(stack, set, { train: ROWS, evaluate: 0, infer: 1 }, 3);
    const session = backend.open(program, {});
    const random = new RandomStream(3, RandomPurpose.augment);
    const inputs = Float32Array.from({ length: ROWS * stack.inputSize }, () => random.normal());
    const targets = Uint8Array.from({ length: ROWS }, () => random.below(3));
    const data = atOnce(backend.bind({ inputs, targets, count: ROWS }));
    const order = Uint32Array.from({ length: ROWS }, (_, i) => i);
    const scalars = Float32Array.from(program.scalars, (name) => Number(name === 'epoch'));
    const weights = initialWeights(stack, 3).map((values) => values.map((value) => value + 0.1 * random.normal()));
    const run = async () => {
      stack.parameters.forEach(({ name }, i) => {
        writeNow(session, name, weights[i]);
      });
      const { lossSum } = await session.run('train', data, order, { batchSize: ROWS, scalars });
      return lossSum / ROWS;
    };
    const gradient = (name: string) => atOnce(session.read(`train/${name}.gradient`));
    return { parameters: stack.parameters, weights, run, gradient };
  }

  it.each<[string, number[], () => Layer[]]>([
    [
      'convolutions, pools and a dense layer',
      [6, 5, 2],
      () => [
        conv2d({ filters: 3, kernelSize: [3, 2], activation: 'tanh' }),
        averagePooling2d({ poolSize: 2, strides: 1 }),
        conv2d({ filters: 2, kernelSize: 2, padding: 'same', strides: 2, activation: 'gelu' }),
        dense({ units: 3, activation: 'softmax' }),
      ],
    ],
    [
      'residual layers',
      [4, 4, 1],
      () => [
        conv2d({ filters: 2, kernelSize: 2, activation: 'sigmoid' }),
        residual({
          layers: [conv2d({ filters: 3, kernelSize: 3, padding: 'same' }), activation({ activation: 'tanh' })],
          shortcut: [conv2d({ filters: 3, kernelSize: 1 })],
        }),
        residual({ layers: [activation({ activation: 'gelu' })] }),
        residual({ layers: [dropout({ rate: 0.25 })], shortcut: [activation({ activation: 'tanh' })] }),
        globalAveragePooling2d(),
      ],
    ],
    [
      'batch normalization',
      [4, 4, 1],
      () => [
        conv2d({ filters: 2, kernelSize: 3, useBias: false }),
        batchNormalization({ epsilon: 0.1 }),
        activation({ activation: 'tanh' }),
        dense({ units: 4 }),
        batchNormalization({ epsilon: 0.1, scale: false }),
        residual({ layers: [batchNormalization({ epsilon: 0.1, center: false }), activation({ activation: 'tanh' })] }),
        dropout({ rate: 0.5 }),
        dense({ units: 3 }),
      ],
    ],
    [
      // Each filter grows with its pixel, so that the steps change no winner: the function has no kink there.
      'the winners of pools',
      [7, 7, 1],
      () => [
        conv2d({ filters: 3, kernelSize: 1, activation: 'tanh', kernelInitializer: { constant: 0.75 } }),
        maxPooling2d({ poolSize: 3, strides: 2 }),
        maxPooling2d({ poolSize: 2, strides: 1 }),
        dense({ units: 3 }),
      ],
    ],
  ])('%s: as central differences of the loss', async (_, inputShape, layers) => {
    const { parameters, weights, run, gradient } = stepOf(layers(), inputShape);
    const loss = await run();
    const gradients = parameters.map(({ name, spec }) => (spec.trainable ? gradient(name) : null));
    let checked = 0;
    for (const [p, values] of gradients.entries()) {
      if (!values) continue;
      for (let i = 0; i < values.length; i++) {
        const weight = weights[p][i];
        const difference = async (step: number) => {
          weights[p][i] = weight + step;
          const above = await run();
          const up = weights[p][i];
          weights[p][i] = weight - step;
          const slope = (above - (await run())) / (up - weights[p][i]);
          weights[p][i] = weight;
          return slope;
        };
        const [near, far] = [await difference(STEP), await difference(2 * STEP)];
        // Truncation grows with the square of the step, so it is a third of the difference; sums of some ten terms each
        // through some ten layers round the loss.
        const bound = Math.abs(far - near) + (64 * U * (1 + loss)) / STEP;
        const error = Math.abs(values[i] - near);
        expect(error, `${parameters[p].name}[${i}]: ${values[i]}, differences ${near}`).toBeLessThan(bound);
        if (Math.abs(values[i]) > 10 * bound) checked++;
      }
    }
    // Most gradients stand out from what the bound forgives.
    expect(checked).toBeGreaterThan(gradients.reduce((sum, values) => sum + (values?.length ?? 0), 0) / 3);
  });
});
