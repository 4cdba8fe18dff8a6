import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { syntheticImages } from '../../src/cli/bench/data.js';
import {
  type Activation,
  type AugmentationOptions,
  activation,
  adagrad,
  adam,
  adamw,
  averagePooling2d,
  batchNormalization,
  conv2d,
  dense,
  dropout,
  globalAveragePooling2d,
  type Layer,
  l2,
  lion,
  maxPooling2d,
  type Optimizer,
  residual,
  rmsprop,
  sequential,
  sgd,
} from '../../src/index.js';
import { nativeBackends, titleOf } from '../helpers/backends.js';

interface Images {
  inputs: Uint8Array;
  targets: Uint8Array;
  shape: [number, number, number];
}

interface Network {
  layers: readonly Layer[];
  optimizer: Optimizer;
  batchSize: number;
  augmentation?: AugmentationOptions;
}

const large: Images = { ...syntheticImages(150), shape: [28, 28, 1] };
/** Every other pixel of every other row, of as many images as fill a few steps and leave a short one. */
const small: Images = {
  inputs: Uint8Array.from({ length: 75 * 196 }, (_, place) => {
    const [image, y, x] = [Math.floor(place / 196), Math.floor(place / 14) % 14, place % 14];
    return large.inputs[image * 784 + 56 * y + 2 * x];
  }),
  targets: large.targets.slice(0, 75),
  shape: [14, 14, 1],
};
const withoutZeros = (images: Images): Images => ({
  ...images,
  inputs: images.inputs.map((value, place) => value || 1 + (place % 97)),
});

const softmax10 = dense({ units: 10, activation: 'softmax' });

function denseNetwork(widths: readonly number[], activation: Activation, optimizer: Optimizer): Network {
  const hidden = widths.map((units) => dense({ units, activation, kernelInitializer: 'heNormal' }));
  return { layers: [...hidden, softmax10], optimizer, batchSize: 64 };
}

const averaged = { useEma: true, emaMomentum: 0.75 };

/**
 * Whole networks, wide enough for panels of weights to be divided among threads in every way and for activations to be
 * made into lists. Batches are ragged at the end, so shares of rows change from step to step.
 */
const denseNetworks: Record<string, Network> = {
  '784-128-10': denseNetwork([128], 'relu', adam({ learningRate: 0.003 })),
  '784-80-10': denseNetwork([80], 'relu', sgd({ learningRate: 0.1, momentum: 0.9, nesterov: true })),
  '784-300-130-10': denseNetwork([300, 130], 'relu', adamw({ learningRate: 0.003, weightDecay: 0.01 })),
  '784-256-256-40-10': denseNetwork([256, 256, 40], 'relu', sgd({ learningRate: 0.05, momentum: 0.9 })),
  '784-70-33-10 gelu': denseNetwork([70, 33], 'gelu', adam()),
  '784-160-96-10 tanh': denseNetwork([160, 96], 'tanh', sgd({ learningRate: 0.1 })),
  '784-80-33-10 rmsprop': denseNetwork(
    [80, 33],
    'relu',
    rmsprop({ learningRate: 0.001, centered: true, momentum: 0.5 }),
  ),
  '784-80-33-10 adagrad, averaged': denseNetwork([80, 33], 'relu', adagrad({ weightDecay: 0.001, ...averaged })),
  '784-80-33-10 lion': denseNetwork([80, 33], 'relu', lion({ learningRate: 0.0003, weightDecay: 0.1 })),
  // The norm is about 2 at the beginning.
  '784-130-40-10, clipped by norm and averaged': denseNetwork(
    [130, 40],
    'relu',
    adamw({ learningRate: 0.003, globalClipNorm: 0.5, ...averaged }),
  ),
  '784-80-33-10, clipped by value': denseNetwork([80, 33], 'relu', sgd({ learningRate: 0.1, clipValue: 0.002 })),
};

const lenet: readonly Layer[] = [
  conv2d({ filters: 6, kernelSize: 5, padding: 'same', activation: 'relu' }),
  maxPooling2d(),
  conv2d({ filters: 16, kernelSize: 5, activation: 'relu' }),
  maxPooling2d(),
  dense({ units: 120, activation: 'relu' }),
  dense({ units: 84, activation: 'relu' }),
  softmax10,
];

const normalized = (filters: number, strides = 1): Layer[] => [
  conv2d({ filters, kernelSize: 3, strides, padding: 'same', useBias: false, kernelInitializer: 'heNormal' }),
  batchNormalization({ momentum: 0.9 }),
];

const residualNetwork: readonly Layer[] = [
  ...normalized(16, 2),
  activation({ activation: 'relu' }),
  residual({ layers: [...normalized(16), activation({ activation: 'relu' }), ...normalized(16)] }),
  activation({ activation: 'relu' }),
  averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  dropout({ rate: 0.25 }),
  residual({ layers: normalized(24), shortcut: [conv2d({ filters: 24, kernelSize: 1 })] }),
  activation({ activation: 'leakyRelu', negativeSlope: 0.1 }),
  globalAveragePooling2d(),
  softmax10,
];

const everythingElse: readonly Layer[] = [
  conv2d({ filters: 20, kernelSize: [3, 5], activation: 'tanh', kernelRegularizer: l2(0.001) }),
  maxPooling2d({ poolSize: 3, strides: 2 }),
  conv2d({ filters: 33, kernelSize: 2, strides: [1, 2], activation: 'gelu', kernelConstraint: { maxNorm: 1 } }),
  averagePooling2d(),
  dense({ units: 40, useBias: false }),
  batchNormalization(),
  activation({ activation: 'relu' }),
  dropout({ rate: 0.5 }),
  softmax10,
];

/** Batches of more than one part of 16 samples, the last part and the last step short. */
const convolutionalNetworks: Record<string, Network> = {
  'LeNet-5, batch 20': { layers: lenet, optimizer: adam({ learningRate: 0.003 }), batchSize: 20 },
  'LeNet-5, batch 33': { layers: lenet, optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }), batchSize: 33 },
  'a residual network, batch 33': { layers: residualNetwork, optimizer: adam({ learningRate: 0.01 }), batchSize: 33 },
  'a network of everything else, batch 20': {
    layers: everythingElse,
    optimizer: sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.001 }),
    batchSize: 20,
  },
  'a network of everything else, clipped by norm and averaged, batch 20': {
    layers: everythingElse,
    optimizer: rmsprop({ learningRate: 0.001, globalClipNorm: 0.5, ...averaged }),
    batchSize: 20,
  },
};

const augmentation: AugmentationOptions = {
  shift: 2,
  rotation: 10,
  scale: 0.1,
  elastic: { alpha: 2, spacing: 7 },
  erase: { probability: 0.3, size: 9 },
};
/** A dense layer reads images that were divided by parts; a convolution takes over the parts. */
const augmentedNetworks: Record<string, Network> = {
  'dense, augmented': { ...denseNetwork([128], 'relu', adam({ learningRate: 0.003 })), augmentation },
  'convolutional, augmented': {
    layers: [conv2d({ filters: 8, kernelSize: 3, activation: 'relu' }), maxPooling2d(), softmax10],
    optimizer: adam({ learningRate: 0.003 }),
    batchSize: 64,
    augmentation,
  },
};

/** All that a user sees of a training: weights, losses and answers. */
async function train(
  { layers, optimizer, batchSize, augmentation }: Network,
  data: Images,
  backend: Backend,
  threads?: number,
) {
  const model = sequential(layers, { inputShape: data.shape, seed: 11, backend, threads });
  try {
    model.compile({ optimizer, loss: 'categoricalCrossentropy', augmentation });
    const history = await model.fit(data, { epochs: 2, batchSize });
    const { loss } = await model.evaluate(data);
    const answers = await model.predict(data.inputs.subarray(0, data.shape[0] * data.shape[1] * 20));
    return JSON.stringify([model.weightsSha256(), history.epochs.map((epoch) => epoch.loss), loss, [...answers]]);
  } finally {
    model.dispose();
  }
}

const natives = nativeBackends();
const everywhere = [
  ...Object.entries(denseNetworks).map(([title, network]) => [title, network, large] as const),
  ...Object.entries(augmentedNetworks).map(([title, network]) => [title, network, large] as const),
  ...Object.entries(convolutionalNetworks).map(([title, network]) => [title, network, small] as const),
];

describe.each(everywhere)('%s', (_, network, images) => {
  it.each([
    ['mostly zeros', images],
    ['without zeros', withoutZeros(images)],
  ])('has the same weights, losses and answers on every instruction set and number of threads: %s', async (_, data) => {
    const wanted = await train(network, data, natives[0], 1);
    // How work is divided does not depend on the instruction set: all divisions are tried with the fastest.
    for (const [index, backend] of natives.entries()) {
      for (const threads of index === 0 ? [2, 3, 5] : [1, 3]) {
        const got = await train(network, data, backend, threads);
        expect(got === wanted, `${titleOf(backend)}, ${threads} threads`).toBe(true);
      }
    }
  });
});

// As short as the operation parity: TypeScript rounds a float32 chain twice, which shows about once in 2^29 operations.
it.each(Object.entries(convolutionalNetworks))('%s: the bits of TypeScript', async (_, network) => {
  const wanted = await train(network, small, createJsBackend());
  expect(await train(network, small, natives[0], 2)).toBe(wanted);
});
