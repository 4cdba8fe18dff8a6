/** The step that `explain` shows is a step of training, to the bit. */
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  adam,
  conv2d,
  dense,
  explain,
  l2,
  lion,
  type Optimizer,
  rmsprop,
  type Sequential,
  sequential,
  sgd,
  stepDecay,
} from '../../src/index.js';
import { categoricalCrossentropy } from '../../src/losses/categorical-crossentropy.js';
import { parameterWords } from '../../src/model/explain/places.js';
import { trainingStep } from '../../src/model/explain/step.js';
import { buildStack } from '../../src/model/stack.js';
import { trainingGradients } from '../../src/model/training-gradients.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { buildNetwork, NETWORKS, normals } from '../helpers/reference-models.js';
import { backend as js } from '../helpers/toy.js';

const OPTIMIZERS: Record<string, () => Optimizer> = {
  sgd: () => sgd({ learningRate: 0.01 }),
  'sgd with momentum, decay and clipping': () =>
    sgd({ learningRate: stepDecay(0.1, { stepSize: 5 }), momentum: 0.9, weightDecay: 0.01, globalClipNorm: 0.5 }),
  adam: () => adam({ learningRate: 0.003 }),
  'adam with averages': () => adam({ useEma: true }),
  rmsprop: () => rmsprop(),
  lion: () => lion(),
};
const sampleOf = (name: string) =>
  normals(
    NETWORKS[name].inputShape.reduce((a, b) => a * b, 1),
    99,
  );

/** What a user's own fit makes of the weights. */
async function fitted(model: Sequential, inputs: Float32Array, label: number, optimizer: Optimizer) {
  const own = model.copy();
  own.compile({ optimizer, loss: 'categoricalCrossentropy' });
  const lossBefore = (await own.evaluate({ inputs, targets: [label] })).loss;
  const history = await own.fit({ inputs, targets: [label] }, { batchSize: 1, epochs: 1 });
  const lossAfter = (await own.evaluate({ inputs, targets: [label] })).loss;
  const made = { weights: own.getWeights(), probabilities: own.predictSync(inputs), loss: history.epochs[0].loss };
  own.dispose();
  return { ...made, lossBefore, lossAfter };
}

/** A step with every number of every parameter. */
async function stepOf(name: string, backend: Backend, label: number, optimizer: Optimizer) {
  const { model, stack } = buildNetwork(name, backend);
  const context = { model, stack, seed: model.seed, weights: model.getWeights(), choice: { backend } };
  const inputs = sampleOf(name);
  const samples = { inputs, targets: Int32Array.of(label), count: 1 };
  return { model, stack, inputs, step: await trainingStep(context, samples, optimizer, undefined) };
}

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))(
  'a step with $title',
  ({ backend }) => {
    it.each(Object.keys(NETWORKS))('makes the weights that fit makes, of %s', async (name) => {
      for (const make of Object.values(OPTIMIZERS)) {
        const { model, stack, inputs, step } = await stepOf(name, backend, 1, make());
        const wanted = await fitted(model, inputs, 1, make());
        stack.parameters.forEach((parameter, place) => {
          expect(step.after.get(parameter.name)).toEqual(wanted.weights[place]);
        });
        expect(step.probabilitiesAfter).toEqual(wanted.probabilities);
        const { trainingLoss, lossBefore, lossAfter } = step;
        expect([trainingLoss, lossBefore, lossAfter]).toEqual([wanted.loss, wanted.lossBefore, wanted.lossAfter]);
        model.dispose();
      }
    });

    it.each(Object.keys(NETWORKS))('has gradients that the rule of sgd takes, of %s', async (name) => {
      const { model, stack, step } = await stepOf(name, backend, 2, sgd({ learningRate: 0.01 }));
      const before = model.getWeights();
      const rate = Math.fround(0.01);
      let moved = 0;
      stack.parameters.forEach((parameter, place) => {
        const gradient = step.gradients.get(parameter.name);
        expect(gradient !== undefined, parameter.name).toBe(parameter.spec.trainable);
        if (!gradient) return;
        const after = before[place].map((w, i) => Math.fround(w - Math.fround(rate * gradient[i])));
        expect(step.after.get(parameter.name), parameter.name).toEqual(after);
        moved += after.filter((w, i) => w !== before[place][i]).length;
      });
      // Behind normalization of one sample's row, nothing but the last biases learns.
      expect(moved).toBeGreaterThan(name.startsWith('batch') ? 2 : 20);
      model.dispose();
    });
  },
);

it.each(Object.keys(NETWORKS))('gradients are those of the fused program, of %s', async (name) => {
  const { model, stack, inputs, step } = await stepOf(name, js, 0, sgd());
  const { weights } = buildNetwork(name, js);
  const setup = { stack, weights, loss: categoricalCrossentropy(), seed: model.seed, choice: { backend: js } };
  const { gradients } = await trainingGradients(setup, { inputs, targets: Int32Array.of(0), count: 1 });
  expect([...step.gradients.keys()]).toEqual([...gradients.keys()]);
  for (const [parameter, gradient] of gradients) {
    // The velocity that they come from has no subnormals.
    const own = step.gradients.get(parameter)!.map((value) => (Math.abs(value) < 2 ** -126 ? 0 : value));
    expect(
      own.map((value) => value + 0),
      parameter,
    ).toEqual(gradient.map((value) => value + 0));
  }
});

describe('the step of an explanation', () => {
  const NAME = 'convolutions and pools';

  it('shows the largest gradients with the weights of a real step', async () => {
    const { model, stack, inputs, step } = await stepOf(NAME, js, 1, sgd({ learningRate: 0.05 }));
    const explained = (await explain(model, inputs, { label: 1, learningRate: 0.05, neurons: 4 })).step;
    const before = model.getWeights();
    expect(explained).toMatchObject({ label: 1, optimizer: 'sgd', learningRate: 0.05, lossAfter: step.lossAfter });
    expect(explained.parameters.map(({ name }) => name)).toEqual(stack.parameters.map(({ name }) => name));
    explained.parameters.forEach(({ name, shape, norm, zeros, largest }, place) => {
      const gradient = step.gradients.get(name)!;
      expect(shape).toEqual(stack.parameters[place].spec.shape);
      expect(norm).toBeCloseTo(Math.hypot(...gradient), 12);
      expect(zeros).toBe(gradient.filter((value) => value === 0).length);
      const sizes = [...gradient].map(Math.abs).sort((a, b) => b - a);
      expect(largest.map((each) => Math.abs(each.gradient))).toEqual(sizes.slice(0, Math.min(4, gradient.length)));
      for (const { index, gradient: own, before: old, after } of largest) {
        expect([own, old, after]).toEqual([gradient[index], before[place][index], step.after.get(name)![index]]);
        expect(after).toBe(Math.fround(old - Math.fround(Math.fround(0.05) * own)));
      }
    });
    model.dispose();
  });

  it('is of sgd at 0.01 and teaches the answer where nothing is said', async () => {
    const { model } = buildNetwork(NAME, js);
    const { answer, step } = await explain(model, sampleOf(NAME));
    expect(step).toMatchObject({ label: answer, optimizer: 'sgd', learningRate: 0.01 });
    expect(step.lossAfter).toBeLessThan(step.lossBefore);
    const other = await explain(model, sampleOf(NAME), { optimizer: 'adam' });
    expect(other.step).toMatchObject({ optimizer: 'adam', learningRate: 0.001 });
  });

  it('has penalties of regularizers in its gradients, and counts as a step of training', async () => {
    const layers = [dense({ units: 3, activation: 'softmax', kernelRegularizer: l2(0.5) })];
    const model = sequential(layers, { inputShape: [4], seed: 4, backend: js });
    const { step } = await explain(model, [0, 0, 0, 1], { neurons: 12 });
    // A weight of a dark pixel has the penalty's gradient alone: 2 · 0.5 · w.
    const dark = step.parameters[0].largest.filter(({ index }) => index < 9);
    for (const { gradient, before } of dark) expect(gradient).toBe(before);
    expect(dark).toHaveLength(9);
  });

  it('has one loss in training and another one elsewhere with batch normalization', async () => {
    const { model } = buildNetwork('batch normalization and residuals', js);
    const { step } = await explain(model, sampleOf('batch normalization and residuals'));
    expect(step.trainingLoss).not.toBe(step.lossBefore);
  });

  it('is refused where the model makes no finite numbers of the sample', async () => {
    const { model } = buildNetwork(NAME, js);
    model.setWeights(model.getWeights().map((values) => values.fill(1e38)));
    const refused = { code: 'ERR_NON_FINITE', message: expect.stringMatching(/Expected finite logits for the sample/) };
    await expect(explain(model, sampleOf(NAME))).rejects.toMatchObject(refused);
  });
});

describe('places in words', () => {
  it('say rows and columns of pixels, neurons, filters, channels and classes', () => {
    const words = parameterWords(
      buildStack(
        [
          conv2d({ filters: 3, kernelSize: [2, 3] }),
          dense({ units: 5, activation: 'relu' }),
          dense({ units: 4, activation: 'softmax' }),
        ],
        [6, 5, 2],
      ),
    );
    const say = (name: string, index: number) => `${words.get(name)!.title}: ${words.get(name)!.placeOf(index)}`;
    // [2, 3, 2, 3] weights: row 1, column 2, channel 0, filter 1.
    expect(say('0.weight', ((1 * 3 + 2) * 2 + 0) * 3 + 1)).toBe(
      'weights of layer 0: row 1 column 2 channel 0 of filter 1',
    );
    expect(say('0.bias', 2)).toBe('biases of layer 0: filter 2');
    // Behind images of [5, 3, 3].
    expect(say('1.weight', ((4 * 3 + 1) * 3 + 2) * 5 + 3)).toBe(
      'weights of layer 1: row 4 column 1 channel 2 to neuron 3',
    );
    expect(say('2.weight', 3 * 4 + 1)).toBe('weights of layer 2: neuron 3 to class 1');
    expect(say('2.bias', 3)).toBe('biases of layer 2: class 3');
  });

  it('say pixels of an image in a row, and inputs of fewer numbers', () => {
    const layers = () => [dense({ units: 2, activation: 'softmax' })];
    const ofImage = parameterWords(buildStack(layers(), [784])).get('0.weight')!;
    expect(ofImage.placeOf((12 * 28 + 9) * 2 + 1)).toBe('pixel row 12 column 9 to class 1');
    const ofNumbers = parameterWords(buildStack(layers(), [3])).get('0.weight')!;
    expect(ofNumbers.placeOf(2 * 2)).toBe('input 2 to class 0');
  });

  it('say what is inside a residual and of batch normalization', () => {
    const { stack } = buildNetwork('batch normalization and residuals', js);
    const words = parameterWords(stack);
    expect([...words.keys()]).toEqual(stack.parameters.map(({ name }) => name));
    expect(words.get('2.weight')).toMatchObject({ title: 'gamma of layer 2' });
    expect(words.get('2.bias')!.placeOf(1)).toBe('channel 1');
    expect(words.get('4.0.weight')).toMatchObject({ title: 'weights of layer 4.0' });
    expect(words.get('4.shortcut.0.bias')!.placeOf(3)).toBe('filter 3');
    expect(words.get('7.weight')!.placeOf(2)).toBe('neuron 2');
  });
});
