/** Activation functions and their gradients, element by element; formulas in docs/numerics.md. */

import type { Activation } from '../../../program/ops.js';
import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';
import { gaussian, gelu, normalDistribution, sigmoid, tanh } from './math.js';

const fround = Math.fround;
/** 1 / sqrt(2π) */
const NORMAL_DENSITY = fround(0.39894228);

/** output[0 ... count - 1] = activation(input); the two may be the same array. `slope` is a float32 number. */
export function activate(
  activation: Activation,
  slope: number,
  input: Float32Array,
  output: Float32Array,
  count: number,
): void {
  switch (activation) {
    case 'linear':
      if (input !== output) for (let i = 0; i < count; i++) output[i] = input[i];
      break;
    case 'relu':
      for (let i = 0; i < count; i++) {
        const x = input[i];
        output[i] = Math.max(x, 0);
      }
      break;
    case 'leakyRelu':
      for (let i = 0; i < count; i++) {
        const x = input[i];
        output[i] = x > 0 ? x : fround(slope * x);
      }
      break;
    case 'sigmoid':
      for (let i = 0; i < count; i++) output[i] = sigmoid(input[i]);
      break;
    case 'tanh':
      for (let i = 0; i < count; i++) output[i] = tanh(input[i]);
      break;
    case 'gelu':
      for (let i = 0; i < count; i++) output[i] = gelu(input[i]);
      break;
  }
}

/** dInput[0 ... count - 1] = dOutput · activation'; `reference` is the output y, for gelu the input x. */
function activateBackward(
  activation: Activation,
  slope: number,
  reference: Float32Array,
  dOutput: Float32Array,
  dInput: Float32Array,
  count: number,
): void {
  switch (activation) {
    case 'linear':
      for (let i = 0; i < count; i++) dInput[i] = dOutput[i];
      break;
    case 'relu':
      for (let i = 0; i < count; i++) dInput[i] = reference[i] > 0 ? dOutput[i] : 0;
      break;
    case 'leakyRelu':
      for (let i = 0; i < count; i++) dInput[i] = reference[i] > 0 ? dOutput[i] : fround(slope * dOutput[i]);
      break;
    case 'sigmoid':
      for (let i = 0; i < count; i++) {
        const y = reference[i];
        dInput[i] = fround(dOutput[i] * fround(y * fround(1 - y)));
      }
      break;
    case 'tanh':
      for (let i = 0; i < count; i++) {
        const y = reference[i];
        dInput[i] = fround(dOutput[i] * fround(1 - fround(y * y)));
      }
      break;
    case 'gelu':
      for (let i = 0; i < count; i++) {
        const x = reference[i];
        const g = gaussian(x);
        const slopeAt = fround(normalDistribution(x, g) + fround(x * fround(NORMAL_DENSITY * g)));
        dInput[i] = fround(dOutput[i] * slopeAt);
      }
      break;
  }
}

/** output[rows, columns] = activation(input). */
export const prepareActivation: PrepareKernel<'activation'> = (op, { float }) => {
  const input = float(op.input);
  const output = float(op.output);
  requireSameShape('activation', output, input);
  const slope = fround(op.negativeSlope);
  const { activation } = op;
  const run: Kernel = (step) => {
    activate(activation, slope, input.values, output.values, rowsIn(input, step) * input.columns);
  };
  return run;
};

/** dInput[rows, columns] = dOutput · activation'. */
export const prepareActivationBackward: PrepareKernel<'activationBackward'> = (op, { float }) => {
  const reference = float(op.reference);
  const dOutput = float(op.dOutput);
  const dInput = float(op.dInput);
  requireSameShape('activationBackward', dOutput, reference);
  requireSameShape('activationBackward', dInput, reference);
  const slope = fround(op.negativeSlope);
  const { activation } = op;
  const run: Kernel = (step) => {
    const count = rowsIn(reference, step) * reference.columns;
    activateBackward(activation, slope, reference.values, dOutput.values, dInput.values, count);
  };
  return run;
};
