import type { BufferName, Op, OpName, OpOf } from './ops.js';

/**
 * How each field of an op is to be read: buffers that are read, written, or both; everything else is a value.
 * One table drives the memory plan, the encoding for the addon and the listing that people see, in this field order.
 */
type FieldKind = 'read' | 'write' | 'update' | 'value';
type FieldTable = { [K in OpName]: { [F in Exclude<keyof OpOf<K>, 'op'>]: FieldKind } };

const WINDOWS = {
  inputHeight: 'value',
  inputWidth: 'value',
  channels: 'value',
  kernelHeight: 'value',
  kernelWidth: 'value',
  strideY: 'value',
  strideX: 'value',
  padTop: 'value',
  padLeft: 'value',
  outputHeight: 'value',
  outputWidth: 'value',
} as const;

const OP_FIELDS: FieldTable = {
  gather: { source: 'value', output: 'write' },
  augment: {
    input: 'read',
    output: 'write',
    inputHeight: 'value',
    inputWidth: 'value',
    channels: 'value',
    shift: 'value',
    rotation: 'value',
    scale: 'value',
    aspect: 'value',
    shear: 'value',
    elasticAlpha: 'value',
    elasticSpacing: 'value',
    eraseProbability: 'value',
    eraseSize: 'value',
    seedLow: 'value',
    seedHigh: 'value',
    epoch: 'value',
  },
  matmul: { a: 'read', b: 'read', output: 'write', transposeA: 'value', transposeB: 'value' },
  dense: { input: 'read', weights: 'read', bias: 'read', output: 'write', activation: 'value', negativeSlope: 'value' },
  denseBackward: {
    input: 'read',
    weights: 'read',
    dOutput: 'read',
    dWeights: 'write',
    dBias: 'write',
    dInput: 'write',
    update: 'value',
  },
  activation: { input: 'read', output: 'write', activation: 'value', negativeSlope: 'value' },
  activationBackward: {
    reference: 'read',
    dOutput: 'read',
    dInput: 'write',
    activation: 'value',
    negativeSlope: 'value',
  },
  softmax: { input: 'read', output: 'write' },
  softmaxBackward: { output: 'read', dOutput: 'read', dInput: 'write' },
  softmaxCrossEntropy: { logits: 'read', targets: 'read', dLogits: 'write', labelSmoothing: 'value' },
  crossEntropy: { logits: 'read', targets: 'read', weights: 'read', dLogits: 'write', labelSmoothing: 'value' },
  binaryCrossEntropy: { logits: 'read', targets: 'read', dLogits: 'write', labelSmoothing: 'value' },
  meanSquaredError: { predictions: 'read', targets: 'read', dPredictions: 'write' },
  meanAbsoluteError: { predictions: 'read', targets: 'read', dPredictions: 'write' },
  huber: { predictions: 'read', targets: 'read', dPredictions: 'write', delta: 'value' },
  conv2d: {
    input: 'read',
    weights: 'read',
    bias: 'read',
    output: 'write',
    winners: 'write',
    ...WINDOWS,
    activation: 'value',
    negativeSlope: 'value',
    pool: 'value',
  },
  conv2dBackward: {
    input: 'read',
    weights: 'read',
    dOutput: 'read',
    winners: 'read',
    dWeightParts: 'write',
    dBiasParts: 'write',
    dInput: 'write',
    ...WINDOWS,
    pool: 'value',
  },
  sumParts: { parts: 'read', output: 'write' },
  maxPool2d: { input: 'read', output: 'write', winners: 'write', ...WINDOWS },
  maxPool2dBackward: { dOutput: 'read', winners: 'read', dInput: 'write', ...WINDOWS },
  averagePool2d: { input: 'read', output: 'write', ...WINDOWS },
  averagePool2dBackward: { dOutput: 'read', dInput: 'write', ...WINDOWS },
  dropout: {
    input: 'read',
    output: 'write',
    rate: 'value',
    seedLow: 'value',
    seedHigh: 'value',
    layer: 'value',
    epoch: 'value',
  },
  add: { a: 'read', b: 'read', output: 'write' },
  channelMoments: { input: 'read', parts: 'write', channels: 'value' },
  batchNormStatistics: {
    parts: 'read',
    mean: 'write',
    variance: 'write',
    movingMean: 'update',
    movingVariance: 'update',
    positions: 'value',
    momentum: 'value',
  },
  batchNorm: {
    input: 'read',
    mean: 'read',
    variance: 'read',
    gamma: 'read',
    beta: 'read',
    output: 'write',
    epsilon: 'value',
  },
  batchNormSums: {
    input: 'read',
    mean: 'read',
    variance: 'read',
    dOutput: 'read',
    dGammaParts: 'write',
    dBetaParts: 'write',
    epsilon: 'value',
  },
  batchNormBackward: {
    input: 'read',
    mean: 'read',
    variance: 'read',
    gamma: 'read',
    dGamma: 'read',
    dBeta: 'read',
    dOutput: 'read',
    dInput: 'write',
    epsilon: 'value',
  },
  foldBatchNorm: {
    weights: 'read',
    bias: 'read',
    mean: 'read',
    variance: 'read',
    gamma: 'read',
    beta: 'read',
    foldedWeights: 'write',
    foldedBias: 'write',
    epsilon: 'value',
  },
  regularize: { parameter: 'read', gradient: 'update', l1: 'value', l2: 'value' },
  maxNorm: { parameter: 'update', maxValue: 'value' },
  sgd: {
    parameter: 'update',
    gradient: 'read',
    velocity: 'update',
    learningRate: 'value',
    momentum: 'value',
    nesterov: 'value',
    weightDecay: 'value',
  },
  adam: {
    parameter: 'update',
    gradient: 'read',
    firstMoment: 'update',
    secondMoment: 'update',
    beta1: 'value',
    beta2: 'value',
    epsilon: 'value',
    weightDecay: 'value',
    stepSize: 'value',
    correction: 'value',
    decay: 'value',
  },
  rmsprop: {
    parameter: 'update',
    gradient: 'read',
    meanSquare: 'update',
    meanGradient: 'update',
    velocity: 'update',
    learningRate: 'value',
    alpha: 'value',
    epsilon: 'value',
    momentum: 'value',
    weightDecay: 'value',
  },
  adagrad: {
    parameter: 'update',
    gradient: 'read',
    sumOfSquares: 'update',
    rate: 'value',
    epsilon: 'value',
    weightDecay: 'value',
  },
  lion: {
    parameter: 'update',
    gradient: 'read',
    momentum: 'update',
    learningRate: 'value',
    decay: 'value',
    beta1: 'value',
    beta2: 'value',
  },
  clipByValue: { gradient: 'update', limit: 'value' },
  columnSquares: { gradient: 'read', output: 'write' },
  addSquares: { squares: 'read', total: 'update', first: 'value' },
  clipByGlobalNorm: { gradient: 'update', total: 'read', maxNorm: 'value' },
  average: { parameter: 'read', average: 'update', rate: 'value' },
};

export const OP_NAMES = Object.keys(OP_FIELDS) as OpName[];

export interface OpField {
  name: string;
  kind: FieldKind;
  value: string | number | boolean | null;
}

/** The fields of an op in the table's order. */
export function fieldsOf(op: Op): OpField[] {
  const table = OP_FIELDS[op.op] as Record<string, FieldKind>;
  const values = op as unknown as Record<string, OpField['value']>;
  return Object.entries(table).map(([name, kind]) => ({ name, kind, value: values[name] }));
}

/** The buffers that an op touches. */
export function buffersOf(op: Op): { name: BufferName; writes: boolean }[] {
  return fieldsOf(op)
    .filter((field) => field.kind !== 'value' && field.value !== null)
    .map((field) => ({ name: field.value as BufferName, writes: field.kind !== 'read' }));
}

/** Whether an op reads or writes a buffer. */
export function touches(op: Op, buffer: BufferName): boolean {
  return buffersOf(op).some(({ name }) => name === buffer);
}
