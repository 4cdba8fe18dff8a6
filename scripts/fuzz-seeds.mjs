// Programs for the fuzzer to begin with: small models of every layer, loss and optimizer, lowered as fit lowers them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const built = (file) => import(new URL(`../build-ts/${file}`, import.meta.url));
const api = await built('index.js');
const { encodeProgram } = await built('backends/native/encode.js');
const { resolveAugmentation } = await built('model/augmentation.js');
const { lowerModel } = await built('model/lower.js');
const { buildStack } = await built('model/stack.js');
const { planMemory } = await built('program/plan.js');

const { activation, averagePooling2d, batchNormalization, conv2d, dense, dropout, flatten } = api;
const { globalAveragePooling2d, maxPooling2d, residual, softmax } = api;

const mlp = (units = 5, name = 'relu') => [
  dense({ units, activation: name }),
  dense({ units: 3, activation: 'softmax' }),
];
const IMAGE = [6, 6, 1];
const BENT = { elastic: { alpha: 2, spacing: 3 }, erase: { probability: 0.5, size: 2 } };

/** Layers, the shape of their inputs and how they are trained; capacities of 3 are steps of one part, of 20 of two. */
const MODELS = {
  mlp: { layers: mlp() },
  wide: { layers: mlp(64), capacity: 20 },
  'mlp-tanh': { layers: mlp(7, 'tanh'), optimizer: api.sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.01 }) },
  'mlp-gelu': { layers: mlp(7, 'gelu'), optimizer: api.adam() },
  'mlp-leaky': { layers: mlp(7, 'leakyRelu'), optimizer: api.adamw() },
  'mlp-sigmoid': { layers: mlp(7, 'sigmoid'), optimizer: api.rmsprop({ centered: true, momentum: 0.5 }) },
  adagrad: { layers: mlp(), optimizer: api.adagrad() },
  lion: { layers: mlp(), optimizer: api.lion() },
  ema: { layers: mlp(), optimizer: api.adam({ useEma: true }) },
  clipped: { layers: mlp(), optimizer: api.sgd({ globalClipNorm: 1 }) },
  'clipped-values': { layers: mlp(), optimizer: api.sgd({ clipValue: 0.5 }) },
  penalties: {
    layers: [
      dense({ units: 5, kernelRegularizer: api.l1l2({ l1: 0.1, l2: 0.1 }), kernelConstraint: { maxNorm: 1 } }),
      softmax(),
    ],
  },
  'float-targets': { layers: mlp(), targets: 'float32', loss: api.categoricalCrossentropy({ labelSmoothing: 0.1 }) },
  'binary-crossentropy': { layers: [dense({ units: 2, activation: 'sigmoid' })], loss: api.binaryCrossentropy() },
  huber: { layers: [dense({ units: 2 })], loss: api.huber() },
  'squared-error': { layers: [dense({ units: 2 })], loss: api.meanSquaredError() },
  'absolute-error': { layers: [dense({ units: 2 }), softmax()], loss: api.meanAbsoluteError() },
  'batch-norm': {
    layers: [
      dense({ units: 5 }),
      batchNormalization(),
      activation({ activation: 'relu' }),
      dropout({ rate: 0.5 }),
      ...mlp(),
    ],
  },
  conv: {
    layers: [
      conv2d({ filters: 2, kernelSize: 3, activation: 'relu' }),
      maxPooling2d({ poolSize: 2 }),
      flatten(),
      ...mlp(),
    ],
    shape: IMAGE,
    capacity: 20,
  },
  'conv-same': {
    layers: [
      conv2d({ filters: 2, kernelSize: 3, padding: 'same' }),
      batchNormalization(),
      activation({ activation: 'relu' }),
      averagePooling2d({ poolSize: 2 }),
      conv2d({ filters: 3, kernelSize: 2, strides: 2, activation: 'tanh' }),
      globalAveragePooling2d(),
      dense({ units: 3, activation: 'softmax' }),
    ],
    shape: IMAGE,
    optimizer: api.adam(),
  },
  'conv-pooled': {
    layers: [
      conv2d({ filters: 2, kernelSize: 3, padding: 'same', activation: 'relu' }),
      maxPooling2d({ poolSize: 2 }),
      conv2d({ filters: 3, kernelSize: 2, activation: 'relu' }),
      maxPooling2d({ poolSize: 2 }),
      flatten(),
      dense({ units: 3, activation: 'softmax' }),
    ],
    shape: IMAGE,
  },
  'overlapping-pools': {
    layers: [
      maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
      averagePooling2d({ poolSize: 2, strides: 1 }),
      flatten(),
      ...mlp(),
    ],
    shape: [5, 4, 2],
  },
  residual: {
    layers: [
      residual({ layers: [conv2d({ filters: 2, kernelSize: 3, padding: 'same' }), batchNormalization()] }),
      activation({ activation: 'relu' }),
      flatten(),
      dense({ units: 3, activation: 'softmax' }),
    ],
    shape: [4, 4, 2],
    optimizer: api.sgd({ momentum: 0.9 }),
  },
  augmented: {
    layers: [flatten(), ...mlp()],
    shape: IMAGE,
    augmentation: { shift: 1, rotation: 10, scale: 0.1, aspect: 0.1, shear: 0.1, ...BENT },
  },
};

/** Writes a file of words for each into the folder; `operations` are the addon's ops in the order of their codes. */
export function writeSeeds(folder, operations) {
  for (const [name, model] of Object.entries(MODELS)) {
    const { layers, shape = [7], capacity = 3, targets = 'int32', augmentation } = model;
    const { loss = api.categoricalCrossentropy(), optimizer = api.sgd() } = model;
    const stack = buildStack(layers, shape);
    const capacities = { train: capacity, evaluate: 4, infer: 2, targets: { train: targets, evaluate: targets } };
    const training = { loss, optimizer, augmentation: resolveAugmentation(augmentation, shape) };
    const program = lowerModel(stack, training, capacities, 42);
    const words = encodeProgram(program, planMemory(program), operations);
    writeFileSync(join(folder, name), new Uint8Array(words.buffer));
  }
}
