/** Activations by ops of their own: in the layer `activation`, and behind weighted sums where they cannot ride along. */

import { checkNumber, expected } from '../errors.js';
import type { ProgramBuilder } from '../program/builder.js';
import { ACTIVATIONS, type BufferName } from '../program/ops.js';
import type { LoweredLayer, OutputActivation } from './layer.js';

export const OUTPUT_ACTIVATIONS = [...ACTIVATIONS, 'softmax'] as const;
const DEFAULT_NEGATIVE_SLOPE = 0.2;

/** The slope of leakyRelu below zero, at least 0. Throws ERR_ARGUMENT, also when there is one for another activation. */
export function checkNegativeSlope(value: number | undefined, activation: OutputActivation): number {
  if (value !== undefined && activation !== 'leakyRelu') {
    throw expected('no value', `negativeSlope with activation ${activation}`, value);
  }
  return checkNumber(value ?? DEFAULT_NEGATIVE_SLOPE, 'negativeSlope', 0);
}

interface Place {
  prefix: string;
  input: BufferName;
  shape: readonly number[];
}

/** Appends the activation of `input`. Its backward pass always gives a gradient, in dOutput's place where it may. */
export function lowerActivation(
  builder: ProgramBuilder,
  { prefix, input, shape }: Place,
  activation: OutputActivation,
  negativeSlope: number,
): Omit<LoweredLayer, 'backward'> & { backward(dOutput: BufferName, keep: boolean): BufferName } {
  const output = builder.batched(`${prefix}.output`, shape);
  if (activation === 'softmax') {
    builder.add({ op: 'softmax', input, output });
    const backward = (dOutput: BufferName) => {
      const dInput = builder.batched(`${prefix}.dSums`, shape);
      builder.add({ op: 'softmaxBackward', output, dOutput, dInput });
      return dInput;
    };
    return { output, backward };
  }
  builder.add({ op: 'activation', input, output, activation, negativeSlope });
  const reference = activation === 'gelu' ? input : output;
  const backward = (dOutput: BufferName, keep: boolean) => {
    const dInput = keep ? builder.batched(`${prefix}.dSums`, shape) : dOutput;
    builder.add({ op: 'activationBackward', reference, dOutput, dInput, activation, negativeSlope });
    return dInput;
  };
  return { output, backward };
}
