// Cases of kernels.mjs: single operations of convolutional networks, pooled layers of digits and behind them as recipes have
// them, and what stands between layers.
import { syntheticImages } from '../build-ts/cli/bench/data.js';
import { ramp } from '../build-ts/cli/bench/matmul.js';
import { windowsOf } from '../build-ts/layers/windows.js';
import { partsOf } from '../build-ts/program/ops.js';

export function imageCases(rows) {
  const first = { image: [28, 28, 1], kernel: 5, filters: 24, pool: true };
  const second = { image: [12, 12, 24], kernel: 3, filters: 32, pool: true };
  const third = { image: [5, 5, 32], kernel: 3, filters: 64, pool: false };
  return [
    conv2d(rows, first, syntheticPixels(rows), 'digits'),
    conv2d(rows, second),
    conv2d(rows, third),
    conv2dBackward(rows, first, false),
    conv2dBackward(rows, second, true),
    conv2dBackward(rows, third, true),
    maxPool2d(rows, [24, 24, 64]),
    averagePool2d(rows, [8, 8, 64]),
    channelMoments(rows, [10, 10, 32]),
    batchNorm(rows, [10, 10, 32]),
    batchNormSums(rows, [10, 10, 32]),
    batchNormBackward(rows, [10, 10, 32]),
    dropout(rows, 12 * 12 * 64),
    add(rows, 10 * 10 * 32),
    augment(rows, 'shift', { shift: 2 }),
    augment(rows, 'all but erasing', { shift: 2, rotation: 10, scale: 0.1, elasticAlpha: 3, elasticSpacing: 7 }),
  ];
}

const sizeOf = (shape) => shape.reduce((product, dimension) => product * dimension);

function syntheticPixels(rows) {
  return Float32Array.from(syntheticImages(rows).inputs, (value) => value / 255);
}

/** Windows without padding. */
const windows = (image, kernel, stride = 1) =>
  windowsOf('a benchmark', image, { kernel: [kernel, kernel], strides: [stride, stride], padding: 'valid' });

/** What a convolution's forward and backward ops have in common. */
function convolution(builder, { image, kernel, filters, pool }) {
  const geometry = windows(image, kernel);
  const side = (positions) => (pool ? positions >> 1 : positions);
  const outputShape = [side(geometry.outputHeight), side(geometry.outputWidth), filters];
  const weightShape = [kernel, kernel, image[2], filters];
  const op = {
    input: builder.batched('input', image),
    weights: builder.persistent('weights', 'parameter', weightShape),
    winners: pool ? builder.batched('winners', outputShape, 'activation', 'int32') : null,
    ...geometry,
    pool,
  };
  return { op, outputShape, weightShape };
}

const titleOf = (rows, { image, kernel, filters, pool }) =>
  `${rows}x${image.join('x')}, ${kernel}x${kernel} to ${filters}${pool ? ', pooled' : ''}`;

function conv2d(rows, layer, input = ramp(rows * sizeOf(layer.image)), what = 'without zeros') {
  return {
    name: `conv2d ${titleOf(rows, layer)}, relu, input ${what}`,
    declare: (builder) => {
      const { op, outputShape, weightShape } = convolution(builder, layer);
      const bias = builder.persistent('bias', 'parameter', [layer.filters]);
      const output = builder.batched('output', outputShape);
      return {
        op: { op: 'conv2d', ...op, bias, output, activation: 'relu', negativeSlope: 0 },
        values: { [op.input]: input, weights: ramp(sizeOf(weightShape)), bias: ramp(layer.filters) },
      };
    },
  };
}

function conv2dBackward(rows, layer, wantsInput) {
  return {
    name: `conv2dBackward ${titleOf(rows, layer)}${wantsInput ? ', with dInput' : ', digits'}`,
    declare: (builder) => {
      const { op, outputShape, weightShape } = convolution(builder, layer);
      const parts = (name, shape) => builder.fixed(name, [partsOf(rows), ...shape], 'gradient');
      const dOutput = builder.batched('dOutput', outputShape);
      const outputs = rows * sizeOf(outputShape);
      const input = wantsInput ? ramp(rows * sizeOf(layer.image)) : syntheticPixels(rows);
      // A quarter of the pools have each winner.
      const winners = op.winners && { [op.winners]: Float32Array.from({ length: outputs }, (_, i) => (i * 7) % 4) };
      return {
        op: {
          op: 'conv2dBackward',
          ...op,
          dOutput,
          dWeightParts: parts('dWeightParts', weightShape),
          dBiasParts: parts('dBiasParts', [layer.filters]),
          dInput: wantsInput ? builder.batched('dInput', layer.image) : null,
        },
        values: { [op.input]: input, weights: ramp(sizeOf(weightShape)), [dOutput]: ramp(outputs), ...winners },
      };
    },
  };
}

function maxPool2d(rows, image) {
  return {
    name: `maxPool2d ${rows}x${image.join('x')}, 2x2`,
    declare: (builder) => {
      const geometry = windows(image, 2, 2);
      const shape = [geometry.outputHeight, geometry.outputWidth, image[2]];
      const input = builder.batched('input', image);
      const winners = builder.batched('winners', shape, 'activation', 'int32');
      const op = { op: 'maxPool2d', input, output: builder.batched('output', shape), winners, ...geometry };
      return { op, values: { [input]: ramp(rows * sizeOf(image)) } };
    },
  };
}

function averagePool2d(rows, image) {
  return {
    name: `averagePool2d ${rows}x${image.join('x')}, whole image`,
    declare: (builder) => {
      const input = builder.batched('input', image);
      const output = builder.batched('output', [image[2]]);
      return {
        op: { op: 'averagePool2d', input, output, ...windows(image, image[0]) },
        values: { [input]: ramp(rows * sizeOf(image)) },
      };
    },
  };
}

function channelMoments(rows, image) {
  const [, , channels] = image;
  return {
    name: `channelMoments ${rows}x${image.join('x')}`,
    declare: (builder) => {
      const input = builder.batched('input', image);
      const parts = builder.fixed('parts', [partsOf(rows), 2, channels]);
      return {
        op: { op: 'channelMoments', input, parts, channels },
        values: { [input]: ramp(rows * sizeOf(image)) },
      };
    },
  };
}

/** The input, mean, variance and gamma of a batch normalization, with their values. */
function normalized(builder, rows, image) {
  const [, , channels] = image;
  const input = builder.batched('input', image);
  const mean = builder.fixed('mean', [channels]);
  const variance = builder.fixed('variance', [channels]);
  const gamma = builder.persistent('gamma', 'parameter', [channels]);
  const ones = new Float32Array(channels).fill(1);
  const values = { [input]: ramp(rows * sizeOf(image)), [mean]: ramp(channels), [variance]: ones, gamma: ones };
  return { channels, op: { input, mean, variance, epsilon: 0.001 }, gamma, values };
}

function batchNorm(rows, image) {
  return {
    name: `batchNorm ${rows}x${image.join('x')}`,
    declare: (builder) => {
      const { op, channels, gamma, values } = normalized(builder, rows, image);
      const beta = builder.persistent('beta', 'parameter', [channels]);
      const output = builder.batched('output', image);
      return { op: { op: 'batchNorm', ...op, gamma, beta, output }, values: { ...values, beta: ramp(channels) } };
    },
  };
}

function batchNormSums(rows, image) {
  return {
    name: `batchNormSums ${rows}x${image.join('x')}`,
    declare: (builder) => {
      const { op, channels, values } = normalized(builder, rows, image);
      const dOutput = builder.batched('dOutput', image);
      const parts = (name) => builder.fixed(name, [partsOf(rows), channels]);
      const sums = { dGammaParts: parts('dGammaParts'), dBetaParts: parts('dBetaParts') };
      return {
        op: { op: 'batchNormSums', ...op, dOutput, ...sums },
        values: { ...values, [dOutput]: ramp(rows * sizeOf(image)) },
      };
    },
  };
}

function batchNormBackward(rows, image) {
  return {
    name: `batchNormBackward ${rows}x${image.join('x')}`,
    declare: (builder) => {
      const { op, channels, gamma, values } = normalized(builder, rows, image);
      const [dOutput, dInput] = [builder.batched('dOutput', image), builder.batched('dInput', image)];
      const sums = { dGamma: builder.fixed('dGamma', [channels]), dBeta: builder.fixed('dBeta', [channels]) };
      const given = {
        [dOutput]: ramp(rows * sizeOf(image)),
        [sums.dGamma]: ramp(channels),
        [sums.dBeta]: ramp(channels),
      };
      return {
        op: { op: 'batchNormBackward', ...op, gamma, ...sums, dOutput, dInput },
        values: { ...values, ...given },
      };
    },
  };
}

function dropout(rows, columns) {
  return {
    name: `dropout ${rows}x${columns}, rate 0.25`,
    declare: (builder) => {
      const [input, output] = [builder.batched('input', [columns]), builder.batched('output', [columns])];
      const draw = { rate: 0.25, seedLow: 42, seedHigh: 0, layer: 0, epoch: builder.scalar('epoch') };
      return {
        op: { op: 'dropout', input, output, ...draw },
        values: { [input]: ramp(rows * columns) },
        scalars: [1],
      };
    },
  };
}

function add(rows, columns) {
  return {
    name: `add ${rows}x${columns}`,
    declare: (builder) => {
      const [a, b, output] = ['a', 'b', 'output'].map((name) => builder.batched(name, [columns]));
      return {
        op: { op: 'add', a, b, output },
        values: { [a]: ramp(rows * columns), [b]: ramp(rows * columns) },
      };
    },
  };
}

/** Digits, moved by whole pixels alone or resampled. */
function augment(rows, title, options) {
  const off = { shift: 0, rotation: 0, scale: 0, aspect: 0, shear: 0, elasticAlpha: 0, elasticSpacing: 7 };
  return {
    name: `augment ${rows}x28x28x1, ${title}`,
    declare: (builder) => {
      const [input, output] = ['input', 'output'].map((name) => builder.batched(name, [28, 28, 1]));
      const geometry = { inputHeight: 28, inputWidth: 28, channels: 1, ...off, ...options };
      const draw = { eraseProbability: 0, eraseSize: 1, seedLow: 42, seedHigh: 0, epoch: builder.scalar('epoch') };
      return {
        op: { op: 'augment', input, output, ...geometry, ...draw },
        values: { [input]: syntheticPixels(rows) },
        scalars: [1],
      };
    },
  };
}
