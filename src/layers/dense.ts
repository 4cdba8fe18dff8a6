import { checkInteger, checkNumber, checkOneOf, expected } from '../errors.js';
import { KERNEL_INITIALIZERS, type KernelInitializer } from '../initializers.js';
import { checkBoolean, checkOptions, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import { ACTIVATIONS, type Activation, type BufferName } from '../program/ops.js';
import type { Layer, LowerContext, LoweredLayer, OutputActivation, ParameterSpec } from './layer.js';

export interface DenseOptions {
  /** The number of outputs, at least 1. */
  units: number;
  /** Default linear. softmax belongs on the last layer. */
  activation?: OutputActivation;
  /** Whether there is a bias; default true. */
  useBias?: boolean;
  /** How the weights start; default glorotUniform. Biases start at zero. */
  kernelInitializer?: KernelInitializer;
  /** The slope of leakyRelu below zero, at least 0; default 0.2. Refused with any other activation. */
  negativeSlope?: number;
}

const OPTIONS: OptionNames<DenseOptions> = {
  units: true,
  activation: true,
  useBias: true,
  kernelInitializer: true,
  negativeSlope: true,
};

const OUTPUT_ACTIVATIONS = [...ACTIVATIONS, 'softmax'] as const;
const DEFAULT_NEGATIVE_SLOPE = 0.2;
/** Weights are one Float32Array; larger matrices would not fit its index in the engine. */
const MAX_WEIGHTS = 2 ** 31 - 1;

/**
 * A fully connected layer: activation(input[rows, inputs] · weights[inputs, units] + bias[units]).
 * Throws ERR_ARGUMENT for an unknown option or a value out of range.
 */
export function dense(options: DenseOptions): Layer {
  const checked = checkOptions(options, 'dense', OPTIONS);
  const units = checkInteger(checked.units, 'units', 1, MAX_WEIGHTS);
  const activation = checkOneOf(checked.activation ?? 'linear', 'activation', OUTPUT_ACTIVATIONS);
  const useBias = checkBoolean(checked.useBias ?? true, 'useBias');
  const kernelInitializer = checkOneOf(
    checked.kernelInitializer ?? 'glorotUniform',
    'kernelInitializer',
    KERNEL_INITIALIZERS,
  );
  if (checked.negativeSlope !== undefined && activation !== 'leakyRelu') {
    throw expected('no value', `negativeSlope with activation ${activation}`, checked.negativeSlope);
  }
  const negativeSlope = checkNumber(checked.negativeSlope ?? DEFAULT_NEGATIVE_SLOPE, 'negativeSlope', 0);

  const config = Object.freeze({
    type: 'dense',
    units,
    activation,
    useBias,
    kernelInitializer,
    ...(activation === 'leakyRelu' ? { negativeSlope } : {}),
  });
  return Object.freeze<Layer>({
    type: 'dense',
    config,
    outputActivation: activation,
    inputRank: 1,
    build: ([inputs]) => {
      if (inputs * units > MAX_WEIGHTS) {
        throw expected(`at most ${MAX_WEIGHTS} weights`, `dense from ${inputs} inputs`, units, '', 'ERR_SHAPE');
      }
      const kernel: ParameterSpec = {
        name: 'weight',
        shape: [inputs, units],
        initializer: kernelInitializer,
        fanIn: inputs,
        fanOut: units,
        transposedInFiles: true,
      };
      const bias: ParameterSpec = {
        name: 'bias',
        shape: [units],
        initializer: 'zeros',
        fanIn: inputs,
        fanOut: units,
        transposedInFiles: false,
      };
      return { outputShape: [units], parameters: useBias ? [kernel, bias] : [kernel] };
    },
    lower: (builder, context) => lowerDense(builder, context, units, activation, negativeSlope),
  });
}

/**
 * Most activations ride on the dense op and their derivative is a function of the output. gelu's needs its input, so
 * it stands by itself; softmax mixes the row, so it does as well.
 */
function lowerDense(
  builder: ProgramBuilder,
  context: LowerContext,
  units: number,
  activation: OutputActivation,
  negativeSlope: number,
): LoweredLayer {
  const { prefix, input, inputShape, parameters, gradients } = context;
  const [weights, bias = null] = parameters;
  const fused: Activation = activation === 'softmax' || activation === 'gelu' ? 'linear' : activation;
  const separate =
    activation === 'gelu' ? 'gelu' : activation === 'softmax' && !context.leaveOutSoftmax ? 'softmax' : null;

  const sums = builder.batched(separate ? `${prefix}.sums` : `${prefix}.output`, [units]);
  builder.add({ op: 'dense', input, weights, bias, output: sums, activation: fused, negativeSlope });
  let output = sums;
  if (separate) {
    output = builder.batched(`${prefix}.output`, [units]);
    if (separate === 'gelu') builder.add({ op: 'activation', input: sums, output, activation: 'gelu', negativeSlope });
    else builder.add({ op: 'softmax', input: sums, output });
  }

  const backward = (dOutput: BufferName): BufferName | null => {
    let dSums = dOutput;
    if (separate === 'softmax') {
      dSums = builder.batched(`${prefix}.dSums`, [units]);
      builder.add({ op: 'softmaxBackward', output, dOutput, dInput: dSums });
    } else if (separate === 'gelu' || fused !== 'linear') {
      // In place: nobody else reads dOutput, and elements are independent.
      const reference = separate === 'gelu' ? sums : output;
      const kind = separate ?? fused;
      builder.add({ op: 'activationBackward', reference, dOutput, dInput: dOutput, activation: kind, negativeSlope });
    }
    const dInput = context.needsInputGradient ? builder.batched(`${prefix}.dInput`, inputShape) : null;
    const [dWeights, dBias = null] = gradients;
    builder.add({ op: 'denseBackward', input, weights, dOutput: dSums, dWeights, dBias, dInput, update: false });
    return dInput;
  };
  return { output, backward };
}
