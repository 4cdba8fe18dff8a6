/**
 * The instruction set that both backends implement. `docs/numerics.md` states the order of arithmetic of each op.
 *
 * Shapes below: `rows` is the number of samples in the running step, at most the section's capacity. Matrices are
 * row-major; dense weights are [inputs, units] in memory (files hold them transposed, as PyTorch does).
 */

export const ACTIVATIONS = ['linear', 'relu', 'leakyRelu', 'sigmoid', 'tanh', 'gelu'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** The name of a buffer of the program. */
export type BufferName = string;
/** An index into the step's row of scalars (learning rates and the like, see `Program.scalars`). */
export type ScalarIndex = number;

/** output[rows, columns] = the bound data's samples of this step: pixels / 255, or floats and class indices as they are. */
export interface GatherOp {
  op: 'gather';
  source: 'inputs' | 'targets';
  output: BufferName;
}

/** output[m, n] = a[m, k] · b[k, n], where a transposed operand is stored the other way round. */
export interface MatmulOp {
  op: 'matmul';
  a: BufferName;
  b: BufferName;
  output: BufferName;
  transposeA: boolean;
  transposeB: boolean;
}

/** output[rows, units] = activation(input[rows, inputs] · weights[inputs, units] + bias[units]); not for gelu, see ActivationOp. */
export interface DenseOp {
  op: 'dense';
  input: BufferName;
  weights: BufferName;
  bias: BufferName | null;
  output: BufferName;
  activation: Activation;
  /** The slope of leakyRelu below zero. */
  negativeSlope: number;
}

/**
 * From dOutput, the gradient with respect to the weighted sum: dWeights, dBias and dInput, each where wanted.
 *
 * With `update`, the next ops are the optimizer's for the weights and, where there is a dBias, for the bias, and nobody
 * else reads the gradients: a backend may update as it computes and leave dWeights and dBias unwritten. Not with dInput,
 * which needs the weights as they were.
 */
export interface DenseBackwardOp {
  op: 'denseBackward';
  input: BufferName;
  weights: BufferName;
  dOutput: BufferName;
  dWeights: BufferName | null;
  dBias: BufferName | null;
  dInput: BufferName | null;
  update: boolean;
}

/**
 * output[rows, inputHeight, inputWidth, channels] = the images of input, each moved, turned, stretched, bent and partly
 * erased by numbers that depend on (seed, epoch, the sample's index in the data) alone. Fields are those of
 * `AugmentationOptions`, within AUGMENT_LIMITS; 0 of any but `elasticSpacing` and `eraseSize` leaves it out. output is not
 * input.
 */
export interface AugmentOp {
  op: 'augment';
  input: BufferName;
  output: BufferName;
  inputHeight: number;
  inputWidth: number;
  channels: number;
  /** Whole pixels. */
  shift: number;
  /** Degrees. */
  rotation: number;
  scale: number;
  aspect: number;
  shear: number;
  /** Pixels, both of them. */
  elasticAlpha: number;
  elasticSpacing: number;
  eraseProbability: number;
  /** Whole pixels, at most the image's shorter side. */
  eraseSize: number;
  /** The seed's lower 32 bits and the rest. */
  seedLow: number;
  seedHigh: number;
  epoch: ScalarIndex;
}

/** The greatest value of each field of AugmentOp that has one of its own, and the least spacing. */
export const AUGMENT_LIMITS = {
  shift: 8,
  rotation: 45,
  scale: 0.5,
  aspect: 0.5,
  shear: 0.5,
  elasticAlpha: 16,
  elasticSpacing: 64,
  leastSpacing: 2,
} as const;

/** output[rows, columns] = activation(input). Stands by itself for gelu, whose derivative needs the input. */
export interface ActivationOp {
  op: 'activation';
  input: BufferName;
  output: BufferName;
  activation: Activation;
  negativeSlope: number;
}

/**
 * dInput = dOutput · activation'. `reference` is the activation's output, for gelu its input. dInput may be dOutput:
 * elements are independent.
 */
export interface ActivationBackwardOp {
  op: 'activationBackward';
  reference: BufferName;
  dOutput: BufferName;
  dInput: BufferName;
  activation: Activation;
  negativeSlope: number;
}

/** output[rows, classes] = softmax over each row. */
export interface SoftmaxOp {
  op: 'softmax';
  input: BufferName;
  output: BufferName;
}

/** dInput = output · (dOutput - Σ dOutput · output), row by row. */
export interface SoftmaxBackwardOp {
  op: 'softmaxBackward';
  output: BufferName;
  dOutput: BufferName;
  dInput: BufferName;
}

/**
 * Softmax, categorical cross-entropy and its gradient in one. `targets` holds class indices (int32).
 * Metrics: 0 += the summed loss, 1 += the samples whose largest logit (the first of equals) is the target's.
 * dLogits = (softmax - smoothed target) / rows; null in evaluation.
 */
export interface SoftmaxCrossEntropyOp {
  op: 'softmaxCrossEntropy';
  logits: BufferName;
  targets: BufferName;
  dLogits: BufferName | null;
  /** ε in (1 - ε) · one-hot + ε / classes. */
  labelSmoothing: number;
}

/**
 * The same against class indices (int32 [rows]) or rows of shares (float32 [rows, classes]), with a weight per class.
 * With t' = (1 - ε) · target + ε / classes, metric 0 += Σ over samples of -Σ_j weights_j t'_j log softmax_j, and
 * dLogits_j = (softmax_j · Σ_k weights_k t'_k - weights_j t'_j) / rows. Metric 1 as above; of rows, the first largest share is
 * the target.
 */
export interface CrossEntropyOp {
  op: 'crossEntropy';
  logits: BufferName;
  targets: BufferName;
  /** [classes]; null for 1 throughout. */
  weights: BufferName | null;
  dLogits: BufferName | null;
  /** ε, from 0 to below 1. */
  labelSmoothing: number;
}

/**
 * Sigmoid, binary cross-entropy and its gradient in one. With t' = (1 - ε) · target + ε / 2, metric 0 += Σ over samples of
 * mean_j (max(x, 0) - x t' + log(1 + e^-|x|)); metric 1 += the part of a sample's outputs where x > 0 as target > 0.5.
 * dLogits = (sigmoid(x) - t') / (rows · columns); null in evaluation.
 */
export interface BinaryCrossEntropyOp {
  op: 'binaryCrossEntropy';
  logits: BufferName;
  /** float32, of the logits' shape. */
  targets: BufferName;
  dLogits: BufferName | null;
  /** ε, from 0 to below 1. */
  labelSmoothing: number;
}

/** Metric 0 += Σ over samples of mean_j (p - t)²; dPredictions = 2 (p - t) / (rows · columns), null in evaluation. */
export interface MeanSquaredErrorOp {
  op: 'meanSquaredError';
  predictions: BufferName;
  targets: BufferName;
  dPredictions: BufferName | null;
}

/** Metric 0 += Σ over samples of mean_j |p - t|; dPredictions = sign(p - t) / (rows · columns), null in evaluation. */
export interface MeanAbsoluteErrorOp {
  op: 'meanAbsoluteError';
  predictions: BufferName;
  targets: BufferName;
  dPredictions: BufferName | null;
}

/**
 * Metric 0 += Σ over samples of mean_j of d² / 2 where |d| <= δ and δ (|d| - δ / 2) elsewhere, d = p - t;
 * dPredictions = d kept within ±δ / (rows · columns), null in evaluation.
 */
export interface HuberOp {
  op: 'huber';
  predictions: BufferName;
  targets: BufferName;
  dPredictions: BufferName | null;
  /** δ, above 0 in float32. */
  delta: number;
}

/**
 * Which windows of images an op looks at: window (y, x) covers input rows y · strideY - padTop and the kernelHeight - 1
 * after it, and columns likewise; what lies outside the image counts as absent. Images are [height, width, channels]
 * row by row, a sample after the other (channels last).
 */
export interface Windows {
  inputHeight: number;
  inputWidth: number;
  channels: number;
  kernelHeight: number;
  kernelWidth: number;
  strideY: number;
  strideX: number;
  padTop: number;
  padLeft: number;
  /** The number of windows. */
  outputHeight: number;
  outputWidth: number;
}

/**
 * output[rows, outputHeight, outputWidth, filters] = activation(Σ over a window of input · weights + bias), with weights
 * [kernelHeight · kernelWidth · channels, filters] and bias [filters].
 *
 * With `pool`, the 2×2 max-pool of stride 2 that follows: output is [rows, ⌊outputHeight / 2⌋, ⌊outputWidth / 2⌋, filters],
 * the activation (linear or relu) of the pools' maxima, and winners, where wanted, says which of the four was the first
 * largest: 0, 1, 2, 3 in row-major order.
 */
export interface Conv2dOp extends Windows {
  op: 'conv2d';
  input: BufferName;
  weights: BufferName;
  bias: BufferName | null;
  output: BufferName;
  winners: BufferName | null;
  activation: Activation;
  negativeSlope: number;
  pool: boolean;
}

/**
 * From dOutput, the gradient with respect to the weighted sums or, with `pool`, to their pools' maxima: dInput, and the
 * gradients of weights and bias in parts, each where wanted. A part is the sum over SAMPLES_PER_PART samples; sumParts
 * adds them up. `winners` is there with `pool`, and only then.
 */
export interface Conv2dBackwardOp extends Windows {
  op: 'conv2dBackward';
  input: BufferName;
  weights: BufferName;
  dOutput: BufferName;
  winners: BufferName | null;
  /** [parts, kernelHeight · kernelWidth · channels, filters] */
  dWeightParts: BufferName | null;
  /** [parts, filters] */
  dBiasParts: BufferName | null;
  dInput: BufferName | null;
  pool: boolean;
}

/** output[...] = Σ over parts, in order, of parts[part, ...]: as many as this step's samples fill. */
export interface SumPartsOp {
  op: 'sumParts';
  parts: BufferName;
  output: BufferName;
}

/** output[rows, y, x, channels] = the largest value of a window; winners its place there in row-major order. */
export interface MaxPool2dOp extends Windows {
  op: 'maxPool2d';
  input: BufferName;
  output: BufferName;
  winners: BufferName | null;
}

/** dInput = dOutput where a window's largest value was, 0 elsewhere; summed where windows overlap. */
export interface MaxPool2dBackwardOp extends Windows {
  op: 'maxPool2dBackward';
  dOutput: BufferName;
  winners: BufferName;
  dInput: BufferName;
}

/** output[rows, y, x, channels] = the mean of a window, over what lies inside the image. */
export interface AveragePool2dOp extends Windows {
  op: 'averagePool2d';
  input: BufferName;
  output: BufferName;
}

export interface AveragePool2dBackwardOp extends Windows {
  op: 'averagePool2dBackward';
  dOutput: BufferName;
  dInput: BufferName;
}

/**
 * output = input / (1 - rate), or 0 with probability `rate`: by a number that depends on (seed, layer, epoch, the sample's
 * index in the data, the element) alone. The backward pass is the same op on the gradient. output may be input.
 */
export interface DropoutOp {
  op: 'dropout';
  input: BufferName;
  output: BufferName;
  rate: number;
  /** The seed's lower 32 bits and the rest. */
  seedLow: number;
  seedHigh: number;
  layer: number;
  epoch: ScalarIndex;
}

/** output = a + b, all of one shape; output may be a or b. */
export interface AddOp {
  op: 'add';
  a: BufferName;
  b: BufferName;
  output: BufferName;
}

/**
 * Moments of each channel over SAMPLES_PER_PART samples: parts[part, 0, c] the mean, parts[part, 1, c] the sum of squared
 * deviations from it. A sample's row is [positions, channels].
 */
export interface ChannelMomentsOp {
  op: 'channelMoments';
  input: BufferName;
  parts: BufferName;
  channels: number;
}

/** mean[c] and variance[c] of the whole batch from the moments of its parts; the moving ones follow. */
export interface BatchNormStatisticsOp {
  op: 'batchNormStatistics';
  parts: BufferName;
  mean: BufferName;
  variance: BufferName;
  movingMean: BufferName;
  movingVariance: BufferName;
  /** Values of a channel in one sample. */
  positions: number;
  /** moving = momentum · moving + (1 - momentum) · the batch's. */
  momentum: number;
}

/** output = (input - mean) / sqrt(variance + epsilon) · gamma + beta, channel by channel. */
export interface BatchNormOp {
  op: 'batchNorm';
  input: BufferName;
  mean: BufferName;
  variance: BufferName;
  gamma: BufferName | null;
  beta: BufferName | null;
  output: BufferName;
  epsilon: number;
}

/** The gradients of gamma and beta in parts: Σ dOutput · normalized input and Σ dOutput, [parts, channels] each. */
export interface BatchNormSumsOp {
  op: 'batchNormSums';
  input: BufferName;
  mean: BufferName;
  variance: BufferName;
  dOutput: BufferName;
  dGammaParts: BufferName;
  dBetaParts: BufferName;
  epsilon: number;
}

/** dInput of batchNorm, from dOutput and those gradients; dInput may be dOutput. */
export interface BatchNormBackwardOp {
  op: 'batchNormBackward';
  input: BufferName;
  mean: BufferName;
  variance: BufferName;
  gamma: BufferName | null;
  dGamma: BufferName;
  dBeta: BufferName;
  dOutput: BufferName;
  dInput: BufferName;
  epsilon: number;
}

/** Weights and bias of a layer that does what it and a batchNorm behind it do. Columns of weights are channels. */
export interface FoldBatchNormOp {
  op: 'foldBatchNorm';
  weights: BufferName;
  bias: BufferName | null;
  mean: BufferName;
  variance: BufferName;
  gamma: BufferName | null;
  beta: BufferName | null;
  foldedWeights: BufferName;
  foldedBias: BufferName;
  epsilon: number;
}

/** gradient += the gradient of l1 · Σ |w| + l2 · Σ w². */
export interface RegularizeOp {
  op: 'regularize';
  parameter: BufferName;
  gradient: BufferName;
  l1: number;
  l2: number;
}

/** Scales every column of weights whose Euclidean norm is above maxValue down to it. */
export interface MaxNormOp {
  op: 'maxNorm';
  parameter: BufferName;
  maxValue: number;
}

/**
 * Sums over the samples of a step that are not divided by outputs are made in parts of so many samples (the last may have
 * fewer): a fixed number, so that no bit depends on threads. `partsOf(capacity)` is the first dimension of their buffers.
 */
export const SAMPLES_PER_PART = 16;
export const partsOf = (samples: number): number => Math.ceil(samples / SAMPLES_PER_PART);

/** PyTorch's SGD: L2 weight decay, momentum without dampening, Nesterov. `velocity` is null without momentum. */
export interface SgdOp {
  op: 'sgd';
  parameter: BufferName;
  gradient: BufferName;
  velocity: BufferName | null;
  learningRate: ScalarIndex;
  momentum: number;
  nesterov: boolean;
  weightDecay: number;
}

/**
 * Adam, with L2 weight decay as in SGD, or decoupled weight decay (AdamW) through the scalar `decay` =
 * 1 - learningRate · weightDecay.
 */
export interface AdamOp {
  op: 'adam';
  parameter: BufferName;
  gradient: BufferName;
  firstMoment: BufferName;
  secondMoment: BufferName;
  beta1: number;
  beta2: number;
  epsilon: number;
  weightDecay: number;
  /** learningRate / (1 - β1^t) */
  stepSize: ScalarIndex;
  /** 1 / sqrt(1 - β2^t) */
  correction: ScalarIndex;
  decay: ScalarIndex;
}

/** PyTorch's RMSprop with L2 weight decay; `meanGradient` is null unless centered, `velocity` without momentum. */
export interface RmspropOp {
  op: 'rmsprop';
  parameter: BufferName;
  gradient: BufferName;
  meanSquare: BufferName;
  meanGradient: BufferName | null;
  velocity: BufferName | null;
  learningRate: ScalarIndex;
  alpha: number;
  epsilon: number;
  momentum: number;
  weightDecay: number;
}

/** PyTorch's Adagrad with L2 weight decay. */
export interface AdagradOp {
  op: 'adagrad';
  parameter: BufferName;
  gradient: BufferName;
  sumOfSquares: BufferName;
  /** learningRate / (1 + (t - 1) · learningRateDecay) */
  rate: ScalarIndex;
  epsilon: number;
  weightDecay: number;
}

/** Lion, with decoupled weight decay through the scalar `decay` = 1 - learningRate · weightDecay. */
export interface LionOp {
  op: 'lion';
  parameter: BufferName;
  gradient: BufferName;
  momentum: BufferName;
  learningRate: ScalarIndex;
  decay: ScalarIndex;
  beta1: number;
  beta2: number;
}

/** Keeps every element of a gradient within -limit and limit. */
export interface ClipByValueOp {
  op: 'clipByValue';
  gradient: BufferName;
  limit: number;
}

/** output[columns] = Σ over the rows of gradient[rows, columns]² */
export interface ColumnSquaresOp {
  op: 'columnSquares';
  gradient: BufferName;
  output: BufferName;
}

/** total[1] += Σ squares[columns]; with `first`, total starts from 0. */
export interface AddSquaresOp {
  op: 'addSquares';
  squares: BufferName;
  total: BufferName;
  first: boolean;
}

/** Scales a gradient by maxNorm / sqrt(total[1]) where that is below 1. */
export interface ClipByGlobalNormOp {
  op: 'clipByGlobalNorm';
  gradient: BufferName;
  total: BufferName;
  maxNorm: number;
}

/** average = average + rate · (parameter - average); with a rate of 1, the parameter. */
export interface AverageOp {
  op: 'average';
  parameter: BufferName;
  average: BufferName;
  rate: ScalarIndex;
}

export type Op =
  | GatherOp
  | AugmentOp
  | MatmulOp
  | DenseOp
  | DenseBackwardOp
  | ActivationOp
  | ActivationBackwardOp
  | SoftmaxOp
  | SoftmaxBackwardOp
  | SoftmaxCrossEntropyOp
  | CrossEntropyOp
  | BinaryCrossEntropyOp
  | MeanSquaredErrorOp
  | MeanAbsoluteErrorOp
  | HuberOp
  | Conv2dOp
  | Conv2dBackwardOp
  | SumPartsOp
  | MaxPool2dOp
  | MaxPool2dBackwardOp
  | AveragePool2dOp
  | AveragePool2dBackwardOp
  | DropoutOp
  | AddOp
  | ChannelMomentsOp
  | BatchNormStatisticsOp
  | BatchNormOp
  | BatchNormSumsOp
  | BatchNormBackwardOp
  | FoldBatchNormOp
  | RegularizeOp
  | MaxNormOp
  | SgdOp
  | AdamOp
  | RmspropOp
  | AdagradOp
  | LionOp
  | ClipByValueOp
  | ColumnSquaresOp
  | AddSquaresOp
  | ClipByGlobalNormOp
  | AverageOp;

export type OpName = Op['op'];
export type OpOf<K extends OpName> = Extract<Op, { op: K }>;
