import type { Activation, Conv2dBackwardOp, Conv2dOp, OpName, Windows } from '../../src/program/ops.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { classes, type Fill, normal, type OpSetupBuilder, positive, sparse } from './op-harness.js';

/** Cases of the ops of images, of batch normalization and of weights; `add` is that of op-cases.ts. */
type AddCase = (op: OpName, options: string, rows: number, declare: (builder: OpSetupBuilder) => void) => void;

type Pair = readonly [number, number];

/** The windows of a layer, padded as TensorFlow does where that is 'same'. */
export function windowsOf(
  [inputHeight, inputWidth, channels]: readonly [number, number, number],
  [kernelHeight, kernelWidth]: Pair,
  [strideY, strideX]: Pair,
  padding: 'valid' | 'same',
): Windows {
  const along = (input: number, kernel: number, stride: number) => {
    if (padding === 'valid') return { count: Math.floor((input - kernel) / stride) + 1, before: 0 };
    const count = Math.ceil(input / stride);
    return { count, before: Math.floor(Math.max((count - 1) * stride + kernel - input, 0) / 2) };
  };
  const vertical = along(inputHeight, kernelHeight, strideY);
  const horizontal = along(inputWidth, kernelWidth, strideX);
  return {
    inputHeight,
    inputWidth,
    channels,
    kernelHeight,
    kernelWidth,
    strideY,
    strideX,
    padTop: vertical.before,
    padLeft: horizontal.before,
    outputHeight: vertical.count,
    outputWidth: horizontal.count,
  };
}

const inputSize = (w: Windows) => w.inputHeight * w.inputWidth * w.channels;
const weightRows = (w: Windows) => w.kernelHeight * w.kernelWidth * w.channels;
/** Values of a sample that a convolution or a pool puts out. */
function outputSize(w: Windows, channels: number, pool = false): number {
  const side = (count: number) => (pool ? Math.floor(count / 2) : count);
  return side(w.outputHeight) * side(w.outputWidth) * channels;
}

function describe(w: Windows, padding: string): string {
  const { inputHeight, inputWidth, channels, kernelHeight, kernelWidth, strideY, strideX } = w;
  return `[${inputHeight}, ${inputWidth}, ${channels}] ${kernelHeight}×${kernelWidth} by ${strideY}, ${strideX} ${padding}`;
}

/** Rows, image, filters, kernel, strides, padding, pool: around lanes and parts, odd sides, and MNIST's first two layers. */
const CONVOLUTIONS = [
  [1, [5, 5, 1], 1, [1, 1], [1, 1], 'valid', false],
  [3, [6, 7, 1], 8, [3, 3], [1, 1], 'valid', true],
  [2, [7, 7, 2], 16, [3, 3], [1, 1], 'same', true],
  [17, [4, 4, 3], 6, [3, 3], [1, 1], 'same', false],
  [16, [5, 4, 5], 17, [2, 3], [1, 1], 'valid', false],
  [3, [9, 8, 1], 24, [5, 5], [1, 1], 'same', true],
  [33, [3, 3, 2], 32, [2, 3], [1, 1], 'same', false],
  [2, [7, 9, 3], 40, [3, 3], [2, 2], 'same', false],
  [1, [6, 6, 16], 64, [3, 3], [1, 1], 'same', true],
  [3, [8, 5, 2], 3, [3, 3], [2, 1], 'valid', false],
  [2, [11, 11, 1], 3, [5, 5], [1, 2], 'same', true],
  [17, [6, 6, 1], 8, [3, 3], [1, 1], 'valid', true],
  [2, [5, 5, 16], 16, [1, 1], [2, 2], 'valid', false],
  [1, [2, 2, 40], 7, [2, 2], [1, 1], 'valid', false],
  [33, [4, 4, 1], 10, [3, 3], [1, 1], 'same', true],
  [3, [4, 6, 17], 24, [3, 3], [1, 1], 'same', true],
  [3, [7, 8, 2], 5, [2, 2], [3, 3], 'valid', false],
  [1, [28, 28, 1], 8, [3, 3], [1, 1], 'valid', true],
  [2, [13, 13, 8], 16, [3, 3], [1, 1], 'valid', true],
  [19, [5, 5, 8], 16, [3, 3], [1, 1], 'same', true],
] as const;

/** Small whole numbers: sums tie. */
const FEW: Fill = (stream) => stream.below(3) - 1;

function addConvolutions(add: AddCase): void {
  for (const [rows, image, filters, kernel, strides, padding, pool] of CONVOLUTIONS) {
    const windows = windowsOf(image, kernel, strides, padding);
    const title = `${rows} × ${describe(windows, padding)} to ${filters}${pool ? ' pooled' : ''}`;
    const forward = (options: string, activation: Activation, hasBias: boolean, hasWinners: boolean, fill: Fill) =>
      add('conv2d', `${options} ${title}`, rows, (builder) => {
        const weightFill = fill === FEW ? FEW : normal;
        const bias = hasBias ? builder.persistent('bias', 'parameter', [filters], weightFill) : null;
        const op: Conv2dOp = {
          op: 'conv2d',
          input: builder.batched('input', inputSize(windows), fill),
          weights: builder.persistent('weights', 'parameter', [weightRows(windows), filters], weightFill),
          bias,
          output: builder.batched('output', outputSize(windows, filters, pool)),
          winners: hasWinners ? builder.integers('winners', outputSize(windows, filters, pool)) : null,
          ...windows,
          activation,
          negativeSlope: 0.2,
          pool,
        };
        builder.add(op);
      });
    forward('relu', 'relu', true, pool, sparse);
    forward('linear without bias', 'linear', false, false, normal);
    if (pool) forward('relu without winners', 'relu', true, false, FEW);
    if (pool) forward('linear with ties', 'linear', true, true, FEW);
    const backward = (options: string, x: Fill, dy: Fill, hasWeights = true, hasBias = true, hasInput = true) =>
      add('conv2dBackward', `${options} ${title}`, rows, (builder) => {
        const outputs = outputSize(windows, filters, pool);
        const weightShape = [weightRows(windows), filters];
        const op: Conv2dBackwardOp = {
          op: 'conv2dBackward',
          input: builder.batched('input', inputSize(windows), x),
          weights: builder.persistent('weights', 'parameter', weightShape, normal),
          dOutput: builder.batched('dOutput', outputs, dy),
          winners: pool ? builder.integers('winners', outputs, classes(4)) : null,
          dWeightParts: hasWeights ? builder.parts('dWeightParts', weightShape) : null,
          dBiasParts: hasBias ? builder.parts('dBiasParts', [filters]) : null,
          dInput: hasInput ? builder.batched('dInput', inputSize(windows)) : null,
          ...windows,
          pool,
        };
        builder.add(op);
      });
    backward('sparse gradients', normal, sparse);
    backward('dense gradients', sparse, normal);
    if (rows < 16) continue;
    backward('without dInput', sparse, sparse, true, true, false);
    backward('without dBias', sparse, sparse, true, false, true);
    backward('dInput only', sparse, sparse, false, false, true);
    backward('dBias only', sparse, sparse, false, true, false);
  }
  addConvolutionActivations(add);
}

function addConvolutionActivations(add: AddCase): void {
  const windows = windowsOf([5, 6, 3], [3, 3], [1, 1], 'same');
  for (const activation of ['leakyRelu', 'sigmoid', 'tanh'] as const) {
    for (const filters of [5, 17, 32]) {
      add('conv2d', `${activation} to ${filters}`, 3, (builder) => {
        builder.add({
          op: 'conv2d',
          input: builder.batched('input', inputSize(windows), normal),
          weights: builder.persistent('weights', 'parameter', [weightRows(windows), filters], normal),
          bias: builder.persistent('bias', 'parameter', [filters], normal),
          output: builder.batched('output', outputSize(windows, filters)),
          winners: null,
          ...windows,
          activation,
          negativeSlope: 0.1,
          pool: false,
        });
      });
    }
  }
}

/** Rows, image, kernel, strides, padding: halving, overlapping, cut off at the edges, with gaps, and the whole image. */
const POOLS = [
  [1, [4, 4, 1], [2, 2], [2, 2], 'valid'],
  [3, [7, 7, 3], [2, 2], [2, 2], 'valid'],
  [3, [7, 7, 8], [2, 2], [2, 2], 'same'],
  [2, [7, 5, 16], [3, 3], [2, 2], 'same'],
  [17, [6, 6, 17], [2, 2], [2, 2], 'valid'],
  [2, [5, 6, 33], [3, 3], [1, 1], 'same'],
  [3, [8, 8, 2], [2, 3], [1, 2], 'valid'],
  [33, [4, 4, 5], [2, 2], [2, 2], 'valid'],
  [2, [9, 9, 1], [5, 5], [4, 4], 'same'],
  [2, [8, 7, 6], [2, 2], [3, 3], 'valid'],
  [17, [7, 7, 24], [7, 7], [1, 1], 'valid'],
  [1, [28, 28, 1], [2, 2], [2, 2], 'valid'],
  [2, [3, 3, 64], [2, 2], [1, 1], 'same'],
  [1, [3, 4, 40], [1, 1], [1, 1], 'valid'],
] as const;

function addPools(add: AddCase): void {
  for (const [rows, image, kernel, strides, padding] of POOLS) {
    const windows = windowsOf(image, kernel, strides, padding);
    const title = `${rows} × ${describe(windows, padding)}`;
    const outputs = outputSize(windows, windows.channels);
    const largest = (builder: OpSetupBuilder, fill: Fill, hasWinners: boolean): string | null => {
      const winners = hasWinners ? builder.integers('winners', outputs) : null;
      const input = builder.batched('input', inputSize(windows), fill);
      builder.add({ op: 'maxPool2d', input, output: builder.batched('output', outputs), winners, ...windows });
      return winners;
    };
    add('maxPool2d', title, rows, (builder) => largest(builder, normal, true));
    add('maxPool2d', `ties ${title}`, rows, (builder) => largest(builder, FEW, true));
    add('maxPool2d', `without winners ${title}`, rows, (builder) => largest(builder, normal, false));
    for (const fill of [normal, sparse]) {
      add('maxPool2dBackward', `${fill === sparse ? 'sparse ' : ''}${title}`, rows, (builder) => {
        const winners = largest(builder, FEW, true)!;
        const dOutput = builder.batched('dOutput', outputs, fill);
        const dInput = builder.batched('dInput', inputSize(windows));
        builder.add({ op: 'maxPool2dBackward', dOutput, winners, dInput, ...windows });
      });
    }
    add('averagePool2d', title, rows, (builder) => {
      const input = builder.batched('input', inputSize(windows), sparse);
      builder.add({ op: 'averagePool2d', input, output: builder.batched('output', outputs), ...windows });
    });
    add('averagePool2dBackward', title, rows, (builder) => {
      const dOutput = builder.batched('dOutput', outputs, normal);
      const dInput = builder.batched('dInput', inputSize(windows));
      builder.add({ op: 'averagePool2dBackward', dOutput, dInput, ...windows });
    });
  }
}

/** [rows, columns] of elementwise ops. */
const ROW_SHAPES = [
  [1, 1],
  [3, 7],
  [16, 16],
  [17, 33],
  [33, 10],
  [2, 130],
] as const;

function addElementwise(add: AddCase): void {
  for (const [rows, columns] of ROW_SHAPES) {
    for (const inPlace of ['', ' into a', ' into b']) {
      add('add', `[${rows}, ${columns}]${inPlace}`, rows, (builder) => {
        const a = builder.batched('a', columns, normal);
        const b = builder.batched('b', columns, normal);
        const output = inPlace === '' ? builder.batched('output', columns) : inPlace === ' into a' ? a : b;
        builder.add({ op: 'add', a, b, output });
      });
    }
    for (const rate of [0, 0.1, 0.5, 0.9]) {
      for (const inPlace of [false, true]) {
        const options = `rate ${rate}${inPlace ? ' in place' : ''} [${rows}, ${columns}]`;
        add('dropout', options, rows, (builder) => dropout(builder, rows, columns, rate, inPlace));
      }
    }
  }
}

function dropout(builder: OpSetupBuilder, rows: number, columns: number, rate: number, inPlace: boolean): void {
  const stream = new RandomStream(rows, RandomPurpose.shuffle);
  const order = Uint32Array.from({ length: rows }, () => stream.uint32());
  builder.data(null, order);
  const input = builder.batched('input', columns, normal);
  const output = inPlace ? input : builder.batched('output', columns);
  builder.scalar('learningRate', 0.1);
  const seed = { seedLow: inPlace ? 42 : 0xdeadbeef, seedHigh: inPlace ? 0 : 0x1f_ffff };
  const epoch = builder.scalar('epoch', inPlace ? 1 : 70001);
  builder.add({ op: 'dropout', input, output, rate, ...seed, layer: columns, epoch });
}

/** Rows and image: one pixel, fewer than a vector, around lanes and parts, several channels, and MNIST's. */
const AUGMENTED = [
  [1, [1, 1, 1]],
  [3, [5, 7, 1]],
  [17, [4, 3, 2]],
  [2, [16, 17, 1]],
  [2, [9, 33, 3]],
  [5, [28, 28, 1]],
] as const;

export const NO_AUGMENTATION = {
  shift: 0,
  rotation: 0,
  scale: 0,
  aspect: 0,
  shear: 0,
  elasticAlpha: 0,
  elasticSpacing: 2,
  eraseProbability: 0,
  eraseSize: 1,
};

const AUGMENTATIONS: Record<string, Partial<typeof NO_AUGMENTATION>> = {
  nothing: {},
  shift: { shift: 3 },
  'shift and erasing': { shift: 8, eraseProbability: 0.5, eraseSize: 3 },
  erasing: { eraseProbability: 1, eraseSize: 1 },
  rotation: { rotation: 30 },
  scale: { scale: 0.2 },
  aspect: { aspect: 0.5 },
  shear: { shear: 0.5, shift: 1 },
  elastic: { elasticAlpha: 1.5, elasticSpacing: 4 },
  'elastic, wide': { elasticAlpha: 16, elasticSpacing: 64 },
  everything: {
    shift: 2,
    rotation: 45,
    scale: 0.5,
    aspect: 0.3,
    shear: 0.2,
    elasticAlpha: 2.5,
    elasticSpacing: 5,
    eraseProbability: 0.3,
    eraseSize: 2,
  },
};

function addAugmentation(add: AddCase): void {
  for (const [rows, [inputHeight, inputWidth, channels]] of AUGMENTED) {
    for (const [title, changes] of Object.entries(AUGMENTATIONS)) {
      add('augment', `${title} of ${rows} × [${inputHeight}, ${inputWidth}, ${channels}]`, rows, (builder) => {
        const stream = new RandomStream(rows, RandomPurpose.shuffle);
        const size = inputHeight * inputWidth * channels;
        builder.data(
          null,
          Uint32Array.from({ length: rows }, () => stream.uint32()),
        );
        const input = builder.batched('input', size, normal);
        const output = builder.batched('output', size);
        builder.scalar('learningRate', 0.1);
        const epoch = builder.scalar('epoch', rows);
        const options = { ...NO_AUGMENTATION, ...changes };
        const eraseSize = Math.min(options.eraseSize, inputHeight, inputWidth);
        const image = { inputHeight, inputWidth, channels };
        const seed = { seedLow: 0xdeadbeef, seedHigh: 0x1f_ffff };
        builder.add({ op: 'augment', input, output, ...image, ...options, eraseSize, ...seed, epoch });
      });
    }
  }
}

function addSums(add: AddCase): void {
  for (const rows of [1, 3, 16, 17, 33, 50]) {
    for (const shape of [[1], [7], [3, 17], [9, 64]]) {
      add('sumParts', `${rows} samples [${shape}]`, rows, (builder) => {
        const parts = builder.parts('parts', shape, normal);
        builder.add({ op: 'sumParts', parts, output: builder.fixed('output', shape) });
      });
    }
  }
}

/** [rows, positions, channels]. */
const NORMALIZED = [
  [1, 1, 1],
  [3, 1, 7],
  [16, 4, 8],
  [17, 9, 3],
  [33, 6, 16],
  [33, 1, 17],
  [18, 25, 1],
  [2, 49, 5],
  [5, 4, 33],
  [35, 2, 64],
] as const;
/** Away from zero, so that a mean is something. */
const offset: Fill = (stream) => Math.fround(3 + stream.normal());

/** The batch's mean and variance, and what of gamma and beta is wanted. */
function statistics(builder: OpSetupBuilder, channels: number, hasGamma: boolean, hasBeta: boolean) {
  return {
    mean: builder.fixed('mean', [channels], offset),
    variance: builder.fixed('variance', [channels], positive),
    gamma: hasGamma ? builder.persistent('gamma', 'parameter', [channels], normal) : null,
    beta: hasBeta ? builder.persistent('beta', 'parameter', [channels], normal) : null,
    epsilon: 0.001,
  };
}

function addBatchNorm(add: AddCase): void {
  for (const [rows, positions, channels] of NORMALIZED) {
    const columns = positions * channels;
    const title = `[${rows}, ${positions}, ${channels}]`;
    add('channelMoments', title, rows, (builder) => {
      const input = builder.batched('input', columns, offset);
      builder.add({ op: 'channelMoments', input, parts: builder.parts('parts', [2, channels]), channels });
    });
    add('batchNormStatistics', title, rows, (builder) => {
      builder.add({
        op: 'batchNormStatistics',
        parts: builder.parts('parts', [2, channels], positive),
        mean: builder.fixed('mean', [channels]),
        variance: builder.fixed('variance', [channels]),
        movingMean: builder.persistent('movingMean', 'parameter', [channels], normal),
        movingVariance: builder.persistent('movingVariance', 'parameter', [channels], positive),
        positions,
        momentum: 0.9,
      });
    });
    addBatchNormalized(add, rows, columns, channels, title);
    for (const inPlace of [false, true]) {
      add('batchNormBackward', `${inPlace ? 'in place ' : ''}${title}`, rows, (builder) => {
        const { mean, variance, gamma, epsilon } = statistics(builder, channels, !inPlace, false);
        const input = builder.batched('input', columns, offset);
        const dOutput = builder.batched('dOutput', columns, normal);
        const dInput = inPlace ? dOutput : builder.batched('dInput', columns);
        const dGamma = builder.fixed('dGamma', [channels], normal);
        const dBeta = builder.fixed('dBeta', [channels], normal);
        const gradients = { dGamma, dBeta, dOutput, dInput };
        builder.add({ op: 'batchNormBackward', input, mean, variance, gamma, ...gradients, epsilon });
      });
    }
    add('batchNormSums', title, rows, (builder) => {
      const { mean, variance, epsilon } = statistics(builder, channels, false, false);
      const input = builder.batched('input', columns, offset);
      const dOutput = builder.batched('dOutput', columns, normal);
      const dGammaParts = builder.parts('dGammaParts', [channels]);
      const dBetaParts = builder.parts('dBetaParts', [channels]);
      builder.add({ op: 'batchNormSums', input, mean, variance, dOutput, dGammaParts, dBetaParts, epsilon });
    });
  }
}

/** batchNorm and foldBatchNorm, with and without gamma, beta and bias. */
function addBatchNormalized(add: AddCase, rows: number, columns: number, channels: number, title: string): void {
  for (const [hasGamma, hasBeta] of [
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ]) {
    const options = `${hasGamma ? 'gamma' : ''} ${hasBeta ? 'beta' : ''}`;
    add('batchNorm', `${options} ${title}`, rows, (builder) => {
      const input = builder.batched('input', columns, offset);
      const output = builder.batched('output', columns);
      builder.add({ op: 'batchNorm', input, output, ...statistics(builder, channels, hasGamma, hasBeta) });
    });
    for (const hasBias of [true, false]) {
      add('foldBatchNorm', `${options} ${hasBias ? 'bias' : ''} [${rows}, ${channels}]`, 1, (builder) => {
        builder.add({
          op: 'foldBatchNorm',
          weights: builder.persistent('weights', 'parameter', [rows, channels], normal),
          bias: hasBias ? builder.persistent('bias', 'parameter', [channels], normal) : null,
          foldedWeights: builder.fixed('foldedWeights', [rows, channels]),
          foldedBias: builder.fixed('foldedBias', [channels]),
          ...statistics(builder, channels, hasGamma, hasBeta),
        });
      });
    }
  }
}

function addWeights(add: AddCase): void {
  for (const shape of [[1], [16, 7], [17, 33], [9, 64], [128, 10]]) {
    for (const [l1, l2] of [
      [0, 0.01],
      [0.02, 0],
      [0.02, 0.01],
    ]) {
      add('regularize', `l1 ${l1} l2 ${l2} [${shape}]`, 1, (builder) => {
        const parameter = builder.persistent('parameter', 'parameter', shape, sparse);
        builder.add({ op: 'regularize', parameter, gradient: builder.fixed('gradient', shape, normal), l1, l2 });
      });
    }
    // Some columns of normal numbers are longer than the square root of their length; all than a tenth, none than 100.
    for (const maxValue of [Math.sqrt(shape.length > 1 ? shape[0] : 1), 0.1, 100]) {
      add('maxNorm', `${maxValue.toFixed(2)} [${shape}]`, 1, (builder) => {
        const parameter = builder.persistent('parameter', 'parameter', shape, normal);
        builder.add({ op: 'maxNorm', parameter, maxValue });
      });
    }
  }
}

export function addImageCases(add: AddCase): void {
  addConvolutions(add);
  addPools(add);
  addElementwise(add);
  addAugmentation(add);
  addSums(add);
  addBatchNorm(add);
  addWeights(add);
}
