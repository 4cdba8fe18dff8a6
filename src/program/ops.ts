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

/** Metric 0 += Σ over samples of mean_j (p - t)²; dPredictions = 2 (p - t) / (rows · columns), null in evaluation. */
export interface MeanSquaredErrorOp {
  op: 'meanSquaredError';
  predictions: BufferName;
  targets: BufferName;
  dPredictions: BufferName | null;
}

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

/** Adam, with decoupled weight decay (AdamW) through the scalar `decay` = 1 - learningRate · weightDecay. */
export interface AdamOp {
  op: 'adam';
  parameter: BufferName;
  gradient: BufferName;
  firstMoment: BufferName;
  secondMoment: BufferName;
  beta1: number;
  beta2: number;
  epsilon: number;
  /** learningRate / (1 - β1^t) */
  stepSize: ScalarIndex;
  /** 1 / sqrt(1 - β2^t) */
  correction: ScalarIndex;
  decay: ScalarIndex;
}

export type Op =
  | GatherOp
  | MatmulOp
  | DenseOp
  | DenseBackwardOp
  | ActivationOp
  | ActivationBackwardOp
  | SoftmaxOp
  | SoftmaxBackwardOp
  | SoftmaxCrossEntropyOp
  | MeanSquaredErrorOp
  | SgdOp
  | AdamOp;

export type OpName = Op['op'];
export type OpOf<K extends OpName> = Extract<Op, { op: K }>;

/**
 * How each field of an op is to be read: buffers that are read, written, or both; everything else is a value.
 * One table drives the memory plan, the encoding for the addon and the listing that people see, in this field order.
 */
type FieldKind = 'read' | 'write' | 'update' | 'value';
type FieldTable = { [K in OpName]: { [F in Exclude<keyof OpOf<K>, 'op'>]: FieldKind } };

const OP_FIELDS: FieldTable = {
  gather: { source: 'value', output: 'write' },
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
  meanSquaredError: { predictions: 'read', targets: 'read', dPredictions: 'write' },
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
    stepSize: 'value',
    correction: 'value',
    decay: 'value',
  },
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
