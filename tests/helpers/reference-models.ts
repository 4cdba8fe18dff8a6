import type { Backend } from '../../src/backends/backend.js';
import {
  activation,
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
import { namedWeights, type WeightsByName } from '../../src/model/activations.js';
import { buildStack, type Stack } from '../../src/model/stack.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';

/** Small networks that have every kind of layer between them, for what works layer by layer. */
export const NETWORKS: Record<string, { layers: () => Layer[]; inputShape: number[] }> = {
  'dense layers of every activation': {
    inputShape: [3, 3, 1],
    layers: () => [
      dense({ units: 7, activation: 'relu' }),
      dense({ units: 6, activation: 'leakyRelu', negativeSlope: 0.1 }),
      dense({ units: 7, activation: 'sigmoid', useBias: false }),
      dense({ units: 6, activation: 'tanh' }),
      dense({ units: 5, activation: 'gelu' }),
      dense({ units: 4, activation: 'softmax' }),
      dense({ units: 5, activation: 'linear' }),
      dense({ units: 3, activation: 'softmax' }),
    ],
  },
  'a rectifier of dense layers': {
    inputShape: [9],
    layers: () => [
      dense({ units: 8, activation: 'relu' }),
      dropout({ rate: 0 }),
      dense({ units: 5 }),
      activation({ activation: 'relu' }),
      dense({ units: 3 }),
      softmax(),
    ],
  },
  'convolutions and pools': {
    inputShape: [7, 6, 2],
    layers: () => [
      conv2d({ filters: 4, kernelSize: [3, 2], padding: 'same', activation: 'relu' }),
      maxPooling2d({ poolSize: 2, padding: 'same' }),
      conv2d({ filters: 3, kernelSize: 3, strides: [2, 1], padding: 'same', useBias: false }),
      activation({ activation: 'leakyRelu' }),
      averagePooling2d({ poolSize: [2, 2], strides: 1, padding: 'same' }),
      flatten(),
      dense({ units: 3, activation: 'softmax' }),
    ],
  },
  'batch normalization and residuals': {
    inputShape: [5, 5, 1],
    layers: () => [
      conv2d({ filters: 3, kernelSize: 2, useBias: false }),
      maxPooling2d(),
      batchNormalization(),
      activation({ activation: 'relu' }),
      residual({
        layers: [conv2d({ filters: 4, kernelSize: 2, padding: 'same', activation: 'relu' }), batchNormalization()],
        shortcut: [conv2d({ filters: 4, kernelSize: 1 })],
      }),
      residual({ layers: [batchNormalization({ scale: false }), activation({ activation: 'tanh' })] }),
      globalAveragePooling2d(),
      batchNormalization({ center: false }),
      dense({ units: 3, activation: 'softmax' }),
    ],
  },
};

/** Normal numbers, the same ones for the same purpose. */
export function normals(count: number, seed: number): Float32Array {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  return Float32Array.from({ length: count }, () => stream.normal());
}

export interface BuiltNetwork {
  model: Sequential;
  stack: Stack;
  weights: WeightsByName;
}

/** A network with weights, biases and moving statistics all of random numbers. */
export function buildNetwork(name: string, backend: Backend, seed = 5): BuiltNetwork {
  const { layers, inputShape } = NETWORKS[name];
  const stack = buildStack(layers(), inputShape);
  const model = sequential(layers(), { inputShape, seed, backend });
  const weights = model.getWeights().map((values, index) => {
    const { spec } = stack.parameters[index];
    const own = normals(values.length, seed + index);
    if (spec.name.endsWith('running_var')) return own.map((value) => 0.5 + value * value);
    return spec.shape.length > 1 ? values : own.map((value, i) => values[i] + 0.3 * value);
  });
  model.setWeights(weights);
  return { model, stack, weights: namedWeights(stack, weights) };
}
