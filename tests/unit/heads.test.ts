/** Models whose outputs are no classes: numbers, and answers of yes or no, from training to a file and back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNativeBackend } from '../../src/backends/native/backend.js';
import {
  adam,
  binaryCrossentropy,
  conv2d,
  dense,
  globalAveragePooling2d,
  huber,
  type Layer,
  type Loss,
  type LossName,
  loadModel,
  type Sequential,
  sequential,
} from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { backend as js } from '../helpers/toy.js';

const native = createNativeBackend();
const COUNT = 200;

/** Points of a square, each with two numbers that follow from it. */
function points(seed: number) {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  const inputs = Float32Array.from({ length: 2 * COUNT }, () => 2 * stream.uniform() - 1);
  const each = <T>(of: (x: number, y: number) => T) =>
    Array.from({ length: COUNT }, (_, i) => of(inputs[2 * i], inputs[2 * i + 1]));
  const values = Float32Array.from(each((x, y) => [x * y, 3 * x - y + 0.5]).flat());
  const insideCircle = Uint8Array.from(each((x, y) => (x * x + y * y < 0.6 ? 1 : 0)));
  const labels = Uint8Array.from(each((x, y) => [x > y, x + y > 0.2, y > 0].map(Number)).flat());
  return { inputs, values, insideCircle, labels };
}

const [training, test] = [points(1), points(2)];
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mnist-train-heads-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function modelOf(backend: typeof js, loss: LossName | Loss, last: Layer): Sequential {
  const layers = [dense({ units: 24, activation: 'tanh' }), last];
  const model = sequential(layers, { inputShape: [2], seed: 11, backend });
  model.compile({ optimizer: adam({ learningRate: 0.02 }), loss });
  return model;
}

/** The same model on both backends, trained: with the same bits. */
async function trainBoth(loss: LossName | Loss, last: Layer, targets: Float32Array | Uint8Array, epochs: number) {
  const models = [js, native].map((backend) => modelOf(backend, loss, last));
  const histories = [];
  for (const model of models) {
    histories.push(await model.fit({ inputs: training.inputs, targets }, { epochs, batchSize: 16 }));
  }
  expect(models[1].weightsSha256()).toBe(models[0].weightsSha256());
  expect(histories[1].history.loss).toEqual(histories[0].history.loss);
  expect(histories[1].history.accuracy).toEqual(histories[0].history.accuracy);
  models[0].dispose();
  return { model: models[1], history: histories[1].history };
}

/** What it predicts and how it is measured stays the same through a file. */
async function expectSurvives(model: Sequential, loss: LossName | Loss, targets: Float32Array | Uint8Array) {
  const path = join(folder, 'model.safetensors');
  await model.save(path);
  const loaded = await loadModel(path, { backend: js });
  loaded.compile({ optimizer: 'sgd', loss });
  const data = { inputs: test.inputs, targets };
  expect(await loaded.evaluate(data)).toEqual(await model.evaluate(data));
  expect(await loaded.predict(test.inputs)).toEqual(await model.predict(test.inputs));
  expect(loaded.predictSync(test.inputs)).toEqual(model.predictSync(test.inputs));
  expect(loaded.summary()).toBe(model.summary());
  loaded.dispose();
}

describe.each(['meanSquaredError', 'meanAbsoluteError', 'huber'] as const)('regression by %s', (loss) => {
  it('learns two numbers, without any accuracy, and survives a file', async () => {
    const { model, history } = await trainBoth(loss, dense({ units: 2 }), training.values, 60);
    expect(history).not.toHaveProperty('accuracy');
    expect(history.loss.at(-1)).toBeLessThan(history.loss[0] / 10);
    const { loss: measured, ...rest } = await model.evaluate({ inputs: test.inputs, targets: test.values });
    expect(rest).toEqual({ count: COUNT });
    expect(measured).toBeLessThan(0.1);
    const predictions = await model.predict(test.inputs);
    expect(predictions).toHaveLength(2 * COUNT);
    const errors = predictions.map((value, i) => Math.abs(value - test.values[i]));
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(0.15);
    await expectSurvives(model, loss, test.values);
  });
});

describe('a binary head', () => {
  it('of one unit learns what is in a circle, and survives a file', async () => {
    const last = dense({ units: 1, activation: 'sigmoid' });
    const { model, history } = await trainBoth('binaryCrossentropy', last, training.insideCircle, 80);
    expect(history.accuracy?.at(-1)).toBeGreaterThan(0.95);
    const data = { inputs: test.inputs, targets: test.insideCircle };
    const { accuracy, loss } = await model.evaluate(data);
    expect(accuracy).toBeGreaterThan(0.93);
    const probabilities = await model.predict(test.inputs);
    expect(probabilities.every((p) => p >= 0 && p <= 1)).toBe(true);
    const right = probabilities.filter((p, i) => p > 0.5 === (test.insideCircle[i] === 1)).length;
    expect(right / COUNT).toBe(accuracy);
    const entropies = probabilities.map((p, i) => -Math.log(test.insideCircle[i] ? p : 1 - p));
    expect(Math.abs(entropies.reduce((sum, each) => sum + each, 0) / COUNT - loss)).toBeLessThan(1e-5);
    expect(model.summary()).toMatch(/dense \(sigmoid\)/);
    await expectSurvives(model, 'binaryCrossentropy', test.insideCircle);
  });

  it('of three units learns three labels at once, smoothed or not', async () => {
    const last = dense({ units: 3, activation: 'sigmoid' });
    for (const loss of [binaryCrossentropy(), binaryCrossentropy({ labelSmoothing: 0.1 })]) {
      const { model } = await trainBoth(loss, last, training.labels, 40);
      const { accuracy } = await model.evaluate({ inputs: test.inputs, targets: test.labels });
      expect(accuracy).toBeGreaterThan(0.95);
      await expectSurvives(model, loss, test.labels);
    }
  });

  it('ends in logits where the last layer is linear, trained alike', async () => {
    const targets = training.insideCircle;
    const { model: logits } = await trainBoth('binaryCrossentropy', dense({ units: 1 }), targets, 5);
    const { model } = await trainBoth('binaryCrossentropy', dense({ units: 1, activation: 'sigmoid' }), targets, 5);
    expect(logits.weightsSha256()).toBe(model.weightsSha256());
    expect((await logits.predict(test.inputs)).some((x) => x < 0)).toBe(true);
  });

  it('takes no class names from data, which have one for each class and not for each output', async () => {
    const model = modelOf(js, 'binaryCrossentropy', dense({ units: 1, activation: 'sigmoid' }));
    const data = { inputs: training.inputs, targets: training.insideCircle, classNames: ['outside', 'inside'] };
    await model.fit(data);
    expect(model.classNames).toBeUndefined();
  });

  it('sits on images as well, behind a pool or as an image itself', async () => {
    const inputs = Uint8Array.from({ length: 40 * 16 }, (_, i) => (Math.floor(i / 16) % 2 === 0 ? 200 : 20));
    const targets = Uint8Array.from({ length: 40 }, (_, i) => (i + 1) % 2);
    for (const [layers, repeated] of [
      [
        [conv2d({ filters: 2, kernelSize: 3 }), globalAveragePooling2d(), dense({ units: 1, activation: 'sigmoid' })],
        1,
      ],
      // A probability for each of 2 x 2 places.
      [[conv2d({ filters: 1, kernelSize: 3, activation: 'linear' })], 4],
    ] as const) {
      const hashes = [];
      for (const backend of [js, native]) {
        const model = sequential(layers, { inputShape: [4, 4, 1], seed: 3, backend });
        model.compile({ optimizer: adam({ learningRate: 0.05 }), loss: 'binaryCrossentropy' });
        const wide = Uint8Array.from({ length: 40 * repeated }, (_, i) => targets[Math.floor(i / repeated)]);
        await model.fit({ inputs, targets: wide }, { epochs: 80, batchSize: 8 });
        expect((await model.evaluate({ inputs, targets: wide })).accuracy).toBe(1);
        hashes.push(model.weightsSha256());
      }
      expect(hashes[1]).toBe(hashes[0]);
    }
  });
});

it('huber with a small delta shrugs off outliers that draw the mean away', async () => {
  const inputs = new Float32Array(100).fill(1);
  const targets = new Float32Array(100).fill(2);
  for (let i = 0; i < 20; i++) targets[5 * i] = 50;
  const answers = [];
  for (const loss of ['meanSquaredError', huber({ delta: 0.5 })] as const) {
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend: js });
    model.compile({ optimizer: adam({ learningRate: 0.1 }), loss });
    await model.fit({ inputs, targets }, { epochs: 200, batchSize: 100 });
    answers.push((await model.predict([1]))[0]);
  }
  // The mean is 11.6; Huber's answer is a quarter of delta above 2, where 80 pulls back weigh 20 pulls up.
  expect(answers[0]).toBeGreaterThan(10);
  expect(Math.abs(answers[1] - 2.125)).toBeLessThan(0.1);
});
