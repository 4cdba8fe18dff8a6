import { describe, expect, it } from 'vitest';
import {
  activation,
  adam,
  averagePooling2d,
  batchNormalization,
  conv2d,
  dense,
  dropout,
  flatten,
  globalAveragePooling2d,
  type Layer,
  maxPooling2d,
  residual,
  type Sequential,
  sequential,
  softmax,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, errorOf, failure, backend as js, separable } from '../helpers/toy.js';

/** Every kind of layer, each with something behind it that could be folded or fused into it. */
const everything = (): Layer[] => [
  dropout({ rate: 0.2 }),
  conv2d({ filters: 4, kernelSize: 3, padding: 'same', useBias: false }),
  maxPooling2d(),
  batchNormalization(),
  activation({ activation: 'relu' }),
  residual({ layers: [conv2d({ filters: 4, kernelSize: 3, padding: 'same', activation: 'tanh' })] }),
  averagePooling2d({ poolSize: 2, strides: 1 }),
  conv2d({ filters: 6, kernelSize: 2, activation: 'gelu' }),
  flatten(),
  dense({ units: 7 }),
  batchNormalization(),
  activation({ activation: 'leakyRelu' }),
  dropout({ rate: 0.5 }),
  dense({ units: 3 }),
  softmax(),
];
const SHAPE = [8, 8, 1];
const images = Uint8Array.from({ length: 3 * 64 }, (_, i) => (i * 89 + (i >> 4) * 31) % 256);

/** Moves batch normalization off its first values, where it does nothing. */
function stir(model: Sequential): Sequential {
  model.setWeights(model.getWeights().map((values, k) => values.map((v, i) => v + 0.1 + ((i * 7 + k) % 5) / 20)));
  return model;
}

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))(
  'activations with $title',
  ({ backend }) => {
    it('are what the layers up to each one give as a model of their own, in every kind of layer', () => {
      const model = stir(sequential(everything(), { inputShape: SHAPE, seed: 5, backend }));
      const shown = model.activations(images);
      expect(shown.map(({ type }) => type)).toEqual(everything().map(({ type }) => type));
      expect(shown.map(({ layer }) => layer)).toEqual(shown.map((_, index) => index));
      expect(shown[1]).toMatchObject({ name: '1 conv2d', shape: [8, 8, 4] });
      expect(shown[4]).toMatchObject({ name: '4 activation (relu)', shape: [4, 4, 4] });
      // Dropout and flatten pass on what they get; the first layer gets the pixels.
      expect(shown[0].values).toEqual(Float32Array.from(images, (pixel) => pixel / 255));
      expect(shown[8].values).toEqual(shown[7].values);
      expect(shown[12].values).toEqual(shown[11].values);
      let parameters = 0;
      everything().forEach((_, index) => {
        const prefix = everything().slice(0, index + 1);
        if (index === 0) return;
        const own = sequential(prefix, { inputShape: SHAPE, seed: 5, backend });
        const weights = own.getWeights();
        own.setWeights(model.getWeights().slice(0, weights.length));
        parameters = weights.length;
        expect(shown[index].values, shown[index].name).toEqual(own.predictSync(images));
        own.dispose();
      });
      expect(parameters).toBe(model.getWeights().length);
      expect(shown.at(-1)!.values).toEqual(model.predictSync(images));
      model.dispose();
    });

    it('follow the weights: training, setWeights, another optimizer with averages', async () => {
      const data = separable(60);
      const model = classifier({ backend });
      const last = () => model.activations(data).at(-1)!.values;
      expect(last()).toEqual(model.predictSync(data));
      const first = last();
      await model.fit(data, { epochs: 1 });
      expect(last()).toEqual(model.predictSync(data));
      expect(last()).not.toEqual(first);
      model.setWeights(model.getWeights().map((values) => values.map((v) => v / 2)));
      expect(last()).toEqual(model.predictSync(data));
      const running = model.fit(data, { epochs: 2, onProgress: () => void last() });
      expect(last()).toHaveLength(60 * 3);
      await running;
      expect(last()).toEqual(model.predictSync(data));
      model.compile({ optimizer: adam({ useEma: true }), loss: 'categoricalCrossentropy' });
      await model.fit(data, { epochs: 1 });
      expect(last()).toEqual(model.predictSync(data));
      model.dispose();
      expect(errorOf(() => model.activations(data))).toEqual(failure('ERR_STATE', /disposed of/));
    });

    it('of a snapshot stay', async () => {
      const data = separable(20);
      const model = classifier({ backend });
      const predictor = model.snapshot();
      const before = predictor.activations(data);
      await model.fit(data, { epochs: 1 });
      expect(predictor.activations(data)).toEqual(before);
      expect(before.at(-1)!.values).toEqual(predictor.predictSync(data));
      expect(predictor.layerOutputs).toEqual(before.map(({ values: _, ...output }) => output));
      predictor.dispose();
      expect(errorOf(() => predictor.activations(data))).toEqual(failure('ERR_STATE', /disposed of/));
    });
  },
);

describe('activations', () => {
  it('take one sample or several, in every form that predict takes, and refuse the others', () => {
    const model = classifier();
    const floats = [0.1, 0.2, 0.3, 0.4];
    expect(model.activations(floats)[0].values).toHaveLength(5);
    expect(model.activations(Float32Array.from(floats))).toEqual(model.activations(floats));
    const many = model.activations(Float32Array.from({ length: 4 * 40 }, (_, i) => floats[i % 4]));
    expect(many[0].values.subarray(39 * 5)).toEqual(model.activations(floats)[0].values);
    expect(errorOf(() => model.activations([1, 2, 3]))).toEqual(failure('ERR_SHAPE', /multiple of 4/));
  });

  it('go with a model that is compiled for another backend', () => {
    const model = classifier();
    const before = model.activations(separable(5));
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy', backend: 'auto' });
    expect(model.activations(separable(5))).toEqual(before);
  });
});

const weightsOf = (model: Sequential) => model.getWeights().map((values) => Float32Array.from(values));

describe('the weights of a neuron', () => {
  it('of the first dense layer are an image of its column', () => {
    const model = sequential([dense({ units: 5 }), dense({ units: 3 })], { inputShape: [2, 3, 1], backend: js });
    const [first] = weightsOf(model);
    const shown = model.neuronWeights(0, 4)!;
    const column = Float32Array.from({ length: 6 }, (_, input) => first[input * 5 + 4]);
    expect(shown).toEqual({
      layer: 0,
      type: 'dense',
      unit: 4,
      weights: { shape: [2, 3, 1], values: column },
      bias: 0,
      pixels: { shape: [2, 3, 1], values: column },
      through: [0],
    });
  });

  it('of deeper dense layers are those to the neurons before, and the product back to the pixels', () => {
    const layers = [
      dense({ units: 4, activation: 'linear' }),
      dropout({ rate: 0.1 }),
      dense({ units: 3, useBias: false }),
    ];
    const model = sequential(layers, { inputShape: [2, 2], seed: 3, backend: js });
    const [first, , second] = weightsOf(model);
    const shown = model.neuronWeights(2, 1)!;
    expect(shown.weights).toEqual({
      shape: [4],
      values: Float32Array.from({ length: 4 }, (_, unit) => second[unit * 3 + 1]),
    });
    expect(shown).toMatchObject({ bias: null, through: [2, 0], pixels: { shape: [2, 2] } });
    // Without biases and activations the network is linear: the product is what a pixel changes of the output.
    for (let pixel = 0; pixel < 4; pixel++) {
      const lit = new Float32Array(4);
      lit[pixel] = 1;
      const change = model.predictSync(lit)[1] - model.predictSync(new Float32Array(4))[1];
      expect(Math.abs(shown.pixels!.values[pixel] - change)).toBeLessThan(8 * 4 * 2 ** -24);
    }
    expect([...first].some((value) => value !== 0)).toBe(true);
  });

  it('go through activations and batch normalization, which scales', () => {
    const layers = [
      dense({ units: 4 }),
      batchNormalization(),
      activation({ activation: 'relu' }),
      dense({ units: 2 }),
      softmax(),
    ];
    const model = stir(sequential(layers, { inputShape: [3], backend: js }));
    const [first, , gamma, , , variance] = weightsOf(model);
    const shown = model.neuronWeights(2, 3)!;
    expect(shown).toMatchObject({ layer: 0, unit: 3, through: [0] });
    shown.pixels!.values.forEach((value, input) => {
      const wanted = (first[input * 4 + 3] * gamma[3]) / Math.sqrt(variance[3] + 0.001);
      expect(value).toBe(Math.fround(wanted));
    });
    expect(model.neuronWeights(4, 1)).toEqual(model.neuronWeights(3, 1));
    expect(model.neuronWeights(4, 1)).toMatchObject({ layer: 3, unit: 1, through: [3, 0] });
  });

  it('of convolutions are the window of the filter, also seen from a pool behind it', () => {
    const model = sequential(everything(), { inputShape: SHAPE, backend: js });
    const [kernel] = weightsOf(model);
    const window = Float32Array.from({ length: 9 }, (_, place) => kernel[place * 4 + 2]);
    const shown = model.neuronWeights(1, 5 * 4 + 2)!;
    expect(shown).toMatchObject({ layer: 1, type: 'conv2d', unit: 2, pixels: null, bias: null, through: [] });
    expect(shown.weights).toEqual({ shape: [3, 3, 1], values: window });
    for (const layer of [2, 3, 4]) expect(model.neuronWeights(layer, 4 + 2)).toEqual(shown);
    expect(model.neuronWeights(7, 1)!.weights.shape).toEqual([2, 2, 4]);
  });

  it('of a dense layer behind images have the shape of these, and no pixels', () => {
    const model = sequential(everything(), { inputShape: SHAPE, backend: js });
    const shown = model.neuronWeights(9, 6)!;
    expect(shown).toMatchObject({ layer: 9, pixels: null, weights: { shape: [2, 2, 6] } });
    expect(shown.weights.values).toHaveLength(24);
    const pooled = [conv2d({ filters: 3, kernelSize: 3 }), globalAveragePooling2d(), dense({ units: 2 })];
    expect(sequential(pooled, { inputShape: SHAPE, backend: js }).neuronWeights(1, 2)).toMatchObject({
      type: 'conv2d',
      unit: 2,
    });
  });

  it('are none where there is no single set of them', () => {
    const model = sequential(everything(), { inputShape: SHAPE, backend: js });
    for (const layer of [0, 5, 6]) expect(model.neuronWeights(layer, 0)).toBeNull();
  });

  it('are those of a snapshot as well; other layers and neurons are refused', () => {
    const model = classifier();
    expect(model.snapshot().neuronWeights(1, 2)).toEqual(model.neuronWeights(1, 2));
    for (const [layer, neuron, message] of [
      [2, 0, /from 0 to 1 for layer/],
      [-1, 0, /for layer/],
      [0, 5, /from 0 to 4 for neuron/],
      [0, 0.5, /for neuron/],
    ] as const) {
      expect(errorOf(() => model.neuronWeights(layer, neuron))).toEqual(failure('ERR_ARGUMENT', message));
    }
  });
});
