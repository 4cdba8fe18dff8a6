import { describe, expect, it } from 'vitest';
import { syntheticImages } from '../../src/cli/bench/data.js';
import { adam, conv2d, dense, type Layer, maxPooling2d, type Optimizer, sequential, sgd } from '../../src/index.js';
import { nativeBackends, titleOf } from '../helpers/backends.js';

/**
 * Whole networks, wide enough for panels of weights to be divided among threads in every way and for activations to be
 * made into lists. Batches are ragged at the end, so shares of rows change from step to step.
 */
const images = syntheticImages(150);
const noise = { ...images, inputs: images.inputs.map((value, place) => value || 1 + (place % 97)) };
const FIT = { epochs: 2, batchSize: 64 };

const networks: Record<string, { widths: number[]; activation?: 'relu' | 'gelu' | 'tanh'; optimizer: Optimizer }> = {
  '128': { widths: [128], optimizer: adam({ learningRate: 0.003 }) },
  '80': { widths: [80], optimizer: sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true }) },
  '300-130': { widths: [300, 130], optimizer: adam({ learningRate: 0.003, weightDecay: 0.01 }) },
  '256-256-40': { widths: [256, 256, 40], optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }) },
  '70-33 gelu': { widths: [70, 33], activation: 'gelu', optimizer: adam() },
  '160-96 tanh': { widths: [160, 96], activation: 'tanh', optimizer: sgd({ learningRate: 0.1 }) },
};

const natives = nativeBackends();

describe.each(Object.entries(networks))('784-%s-10', (_, { widths, activation = 'relu', optimizer }) => {
  async function train(backend: (typeof natives)[number], threads: number, data: typeof images): Promise<string> {
    const layers: Layer[] = widths.map((units) => dense({ units, activation, kernelInitializer: 'heNormal' }));
    layers.push(dense({ units: 10, activation: 'softmax' }));
    const model = sequential(layers, { inputShape: [28, 28, 1], seed: 11, backend, threads });
    try {
      model.compile({ optimizer, loss: 'categoricalCrossentropy' });
      const history = await model.fit(data, FIT);
      const { loss } = await model.evaluate(data);
      const answers = await model.predict(data.inputs.subarray(0, 784 * 20));
      return JSON.stringify([model.weightsSha256(), history.epochs.map((epoch) => epoch.loss), loss, [...answers]]);
    } finally {
      model.dispose();
    }
  }

  it.each([
    ['mostly zeros', images],
    ['without zeros', noise],
  ])('has the same weights, losses and answers on every instruction set and number of threads: %s', async (_, data) => {
    const wanted = await train(natives[0], 1, data);
    for (const backend of natives) {
      for (const threads of [1, 2, 3, 5]) {
        const got = await train(backend, threads, data);
        expect(got === wanted, `${titleOf(backend)}, ${threads} threads`).toBe(true);
      }
    }
  });
});

describe('with augmentation', () => {
  const augmentation = {
    ...{ shift: 2, rotation: 10, scale: 0.1, elastic: { alpha: 2, spacing: 7 } },
    erase: { probability: 0.3, size: 9 },
  };
  // A dense layer reads images that were divided by parts; a convolution takes over the parts.
  const before: Record<string, Layer[]> = {
    dense: [dense({ units: 128, activation: 'relu' })],
    convolutional: [conv2d({ filters: 8, kernelSize: 3, activation: 'relu' }), maxPooling2d()],
  };

  it.each(Object.entries(before))('a %s network has the same weights everywhere', async (_, layers) => {
    async function train(backend: (typeof natives)[number], threads: number): Promise<string> {
      const all = [...layers, dense({ units: 10, activation: 'softmax' })];
      const model = sequential(all, { inputShape: [28, 28, 1], seed: 11, backend, threads });
      try {
        model.compile({ optimizer: adam({ learningRate: 0.003 }), loss: 'categoricalCrossentropy', augmentation });
        const history = await model.fit(images, FIT);
        return JSON.stringify([model.weightsSha256(), history.epochs.map((epoch) => epoch.loss)]);
      } finally {
        model.dispose();
      }
    }
    const wanted = await train(natives[0], 1);
    for (const backend of natives) {
      for (const threads of [1, 2, 3, 5]) {
        const got = await train(backend, threads);
        expect(got === wanted, `${titleOf(backend)}, ${threads} threads`).toBe(true);
      }
    }
  });
});
