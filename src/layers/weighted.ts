/** What layers of weighted sums have in common: options of their weights, and the activation behind the sums. */

import { type Constraint, checkConstraint } from '../constraints.js';
import { checkOneOf } from '../errors.js';
import { checkInitializer, type KernelInitializer } from '../initializers.js';
import type { JsonValue } from '../json.js';
import { checkBoolean, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { Activation, BufferName } from '../program/ops.js';
import { checkRegularizer, type Regularizer } from '../regularizers.js';
import { checkNegativeSlope, lowerActivation } from './activate.js';
import type { LowerContext, LoweredLayer, OutputActivation, ParameterSpec } from './layer.js';

export interface WeightedOptions {
  /** Whether there is a bias; default true. */
  useBias?: boolean;
  /** How the weights start; default glorotUniform. Biases start at zero. */
  kernelInitializer?: KernelInitializer;
  /** A penalty on the weights, such as l2(0.0001); default none. It is no part of the reported loss. */
  kernelRegularizer?: Regularizer;
  /** What the weights are kept to after every update, such as { maxNorm: 3 }; default nothing. */
  kernelConstraint?: Constraint;
  /** The slope of leakyRelu below zero, at least 0; default 0.2. Refused with any other activation. */
  negativeSlope?: number;
}

export const WEIGHTED_OPTIONS: OptionNames<WeightedOptions> = {
  useBias: true,
  kernelInitializer: true,
  kernelRegularizer: true,
  kernelConstraint: true,
  negativeSlope: true,
};

/** The checked options of weights and activation. `config` has them as they stand in a layer's configuration. */
export interface Weighted<A extends OutputActivation = OutputActivation> {
  activation: A;
  negativeSlope: number;
  useBias: boolean;
  kernel: Pick<ParameterSpec, 'initializer' | 'regularizer' | 'constraint'>;
  config: { readonly [option: string]: JsonValue };
}

/** Throws ERR_ARGUMENT. */
export function checkWeighted<A extends OutputActivation>(
  options: WeightedOptions & { activation?: A },
  activations: readonly A[],
): Weighted<A> {
  const activation = checkOneOf(options.activation ?? ('linear' as A), 'activation', activations);
  const useBias = checkBoolean(options.useBias ?? true, 'useBias');
  const kernelInitializer = checkInitializer(options.kernelInitializer ?? 'glorotUniform');
  const { kernelRegularizer: penalty, kernelConstraint: limit } = options;
  const regularizer = penalty === undefined ? undefined : checkRegularizer(penalty, 'kernelRegularizer');
  const constraint = limit === undefined ? undefined : checkConstraint(limit, 'kernelConstraint');
  const negativeSlope = checkNegativeSlope(options.negativeSlope, activation);
  return {
    activation,
    negativeSlope,
    useBias,
    kernel: { initializer: kernelInitializer, regularizer, constraint },
    config: {
      activation,
      useBias,
      kernelInitializer,
      ...(regularizer ? { kernelRegularizer: { ...regularizer } } : {}),
      ...(constraint ? { kernelConstraint: { ...constraint } } : {}),
      ...(activation === 'leakyRelu' ? { negativeSlope } : {}),
    },
  };
}

/** The weights of `shape`, whose last dimension counts outputs, and the bias where there is one. */
export function weightedParameters(
  { kernel, useBias }: Weighted,
  weights: Pick<ParameterSpec, 'shape' | 'fanIn' | 'fanOut' | 'fileAxes'>,
): ParameterSpec[] {
  const weight: ParameterSpec = { name: 'weight', ...weights, ...kernel, trainable: true };
  const bias: ParameterSpec = {
    name: 'bias',
    shape: [weights.shape.at(-1)!],
    initializer: 'zeros',
    fanIn: weights.fanIn,
    fanOut: weights.fanOut,
    trainable: true,
    fileAxes: null,
  };
  return useBias ? [weight, bias] : [weight];
}

/** How an op of weighted sums is appended, forward and backward; the activation is the op's own. */
interface SumsOp {
  forward(output: BufferName, activation: Activation): void;
  backward(dSums: BufferName): BufferName | null;
}

/**
 * Most activations ride on the op of the weighted sums and their derivative is a function of the output. gelu's needs
 * its input, so it stands by itself; softmax mixes the row, so it does as well.
 */
export function lowerWeighted(
  builder: ProgramBuilder,
  context: LowerContext,
  outputShape: readonly number[],
  { activation, negativeSlope }: Weighted,
  op: SumsOp,
): LoweredLayer {
  const { prefix } = context;
  const left = activation === context.leftToLoss ? 'linear' : activation;
  if (left === 'gelu' || left === 'softmax') {
    const sums = builder.batched(`${prefix}.sums`, outputShape);
    op.forward(sums, 'linear');
    const ending = lowerActivation(builder, { prefix, input: sums, shape: outputShape }, left, negativeSlope);
    return { output: ending.output, backward: (dOutput, keep) => op.backward(ending.backward(dOutput, keep)) };
  }
  const output = builder.batched(`${prefix}.output`, outputShape);
  op.forward(output, left);
  return {
    output,
    backward: (dOutput, keep) => {
      if (left === 'linear') return op.backward(dOutput);
      const dSums = keep ? builder.batched(`${prefix}.dSums`, outputShape) : dOutput;
      const reference = output;
      builder.add({ op: 'activationBackward', reference, dOutput, dInput: dSums, activation: left, negativeSlope });
      return op.backward(dSums);
    },
  };
}
