import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  adam,
  batchNormalization,
  categoricalCrossentropy,
  dense,
  loadModel,
  type Optimizer,
  type Sequential,
  sequential,
  sgd,
} from '../../src/index.js';
import { buffersOf } from '../../src/program/op-fields.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { opsOf } from '../helpers/lowering.js';
import { separable, softmaxLayers } from '../helpers/toy.js';

const data = separable(24);
const STEP = { batchSize: 24, shuffle: false } as const;
const averaging = (emaMomentum: number, learningRate = 0.5) => sgd({ learningRate, useEma: true, emaMomentum });

describe('averages of weights', () => {
  it('stand for trainable parameters in evaluation and inference, not in training', () => {
    const layers = [
      dense({ units: 3, useBias: false }),
      batchNormalization(),
      dense({ units: 3, activation: 'softmax' }),
    ];
    const { program, train, evaluate, infer } = opsOf(layers, [4], categoricalCrossentropy(), averaging(0.9));
    const read = (ops: typeof train) =>
      [...new Set(ops.flatMap(buffersOf).map(({ name }) => name))].filter((name) => /^\d/.test(name)).sort();
    const averages = ['0.weight', '1.bias', '1.weight', '2.bias', '2.weight'].map((name) => `${name}.average`);
    const shown = [...averages, '1.running_mean', '1.running_var'].sort();
    expect(read(evaluate)).toEqual(shown);
    expect(read(infer)).toEqual(shown);
    const made = program.buffers.filter(({ name }) => name.endsWith('.average'));
    expect(made.map(({ name }) => name).sort()).toEqual(averages);
    for (const { name, role, initial } of made) {
      expect(role).toBe('parameter');
      expect(initial).toBe(name.replace('.average', ''));
    }
    const averaged = train.filter((op) => buffersOf(op).some(({ name }) => name.endsWith('.average')));
    expect(new Set(averaged.map(({ op }) => op))).toEqual(new Set(['average']));
    expect(averaged).toEqual(train.slice(-5));
  });
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_title, backend) => {
  const make = (optimizer: Optimizer, seed = 3) => compiled(backend, optimizer, seed);

  it('follow weights that are trained as without them', async () => {
    const momentum = 0.75;
    const [plain, model] = [make(sgd({ learningRate: 0.5 })), make(averaging(momentum))];
    let wanted: number[][] = [];
    for (let step = 0; step < 5; step++) {
      await plain.fit(data, STEP);
      await model.fit(data, STEP);
      const weights = plain.getWeights().map((values) => [...values]);
      wanted =
        step === 0
          ? weights
          : wanted.map((values, place) =>
              values.map((value, i) => momentum * value + (1 - momentum) * weights[place][i]),
            );
      // The first are the weights themselves; each step after it rounds numbers below 2 a few times.
      const bound = step * 4 * 2 ** -24;
      model.getWeights().forEach((values, place) => {
        values.forEach((value, i) => {
          expect(Math.abs(value - wanted[place][i])).toBeLessThanOrEqual(bound);
        });
      });
    }
    expect(model.weightsSha256()).not.toBe(plain.weightsSha256());
  });

  it('are what evaluation, validation, prediction and files show', async () => {
    const model = make(averaging(0.9));
    const { epochs } = await model.fit(data, { ...STEP, epochs: 4, validationData: data });
    const other = make(sgd());
    other.setWeights(model.getWeights());
    const evaluation = await other.evaluate(data);
    expect(await model.evaluate(data)).toEqual(evaluation);
    expect(epochs.at(-1)!.validationLoss).toBe(evaluation.loss);
    expect(await model.predict(data.inputs)).toEqual(await other.predict(data.inputs));
    expect(model.predictSync(data.inputs)).toEqual(other.predictSync(data.inputs));
    expect(model.weightsSha256()).toBe(other.weightsSha256());
    const folder = mkdtempSync(join(tmpdir(), 'averages-'));
    try {
      const path = join(folder, 'model.safetensors');
      await model.save(path);
      const loaded = await loadModel(path, { backend });
      expect(loaded.weightsSha256()).toBe(other.weightsSha256());
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('are the weights before the first step, those that were set included', async () => {
    const model = make(averaging(0.9));
    const plain = make(sgd());
    expect(model.weightsSha256()).toBe(plain.weightsSha256());
    const others = make(sgd(), 4).getWeights();
    for (const each of [model, plain]) each.setWeights(others);
    expect(model.getWeights()).toEqual(others);
    expect(await model.predict(data.inputs)).toEqual(await plain.predict(data.inputs));
    // Now in a session.
    const third = make(sgd(), 5).getWeights();
    model.setWeights(third);
    expect(model.getWeights()).toEqual(third);
    plain.setWeights(third);
    expect(await model.evaluate(data)).toEqual(await plain.evaluate(data));
  });

  it('are set together with the weights', async () => {
    const weights = make(sgd(), 4).getWeights();
    const model = make(averaging(0.5));
    await model.fit(data, { ...STEP, epochs: 3 });
    model.setWeights(weights);
    expect(model.getWeights()).toEqual(weights);
    await model.fit(data, STEP);
    const plain = make(sgd({ learningRate: 0.5 }));
    plain.setWeights(weights);
    await plain.fit(data, STEP);
    const trained = plain.getWeights();
    model.getWeights().forEach((values, place) => {
      values.forEach((value, i) => {
        expect(Math.abs(value - (weights[place][i] + trained[place][i]) / 2)).toBeLessThan(4 * 2 ** -24);
      });
    });
  });

  it.each([
    ['without', sgd({ learningRate: 0.5 })],
    ['with', averaging(0.75)],
  ])('become the weights when the model is compiled again %s averages', async (_, optimizer) => {
    const model = make(averaging(0.75));
    await model.fit(data, { ...STEP, epochs: 3 });
    const averages = model.getWeights();
    model.compile({ optimizer, loss: 'categoricalCrossentropy' });
    expect(model.getWeights()).toEqual(averages);
    const other = make(sgd({ learningRate: 0.5 }));
    other.setWeights(averages);
    for (const each of [model, other]) await each.fit(data, STEP);
    // The first step since compile makes the averages the weights.
    expect(model.weightsSha256()).toBe(other.weightsSha256());
  });

  it('go on over sessions that take over from each other', async () => {
    const optimizer = adam({ learningRate: 0.05, useEma: true, emaMomentum: 0.9 });
    const [once, often] = [make(optimizer), make(optimizer)];
    await once.fit(data, { batchSize: 8, epochs: 3 });
    await often.predict(data.inputs);
    await often.fit(data, { batchSize: 8 });
    await often.evaluate(data);
    await often.fit(data, { batchSize: 8 });
    await often.evaluate(separable(300), { batchSize: 300 });
    await often.fit(data, { batchSize: 8 });
    expect(often.weightsSha256()).toBe(once.weightsSha256());
    expect(await often.evaluate(data)).toEqual(await once.evaluate(data));
  });
});

function compiled(backend: Backend, optimizer: Optimizer, seed: number): Sequential {
  const model = sequential(softmaxLayers(), { inputShape: [2, 2, 1], seed, backend });
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  return model;
}
