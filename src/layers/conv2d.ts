import { checkInteger, expected } from '../errors.js';
import { checkOptions, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import { ACTIVATIONS, type Activation, partsOf, type Windows } from '../program/ops.js';
import { sizeOf } from '../program/program.js';
import type { Layer, LowerContext, LoweredLayer } from './layer.js';
import {
  checkWeighted,
  lowerWeighted,
  WEIGHTED_OPTIONS,
  type Weighted,
  type WeightedOptions,
  weightedParameters,
} from './weighted.js';
import { checkPadding, checkPair, type Padding, type PairOption, windowsOf } from './windows.js';

export interface Conv2dOptions extends WeightedOptions {
  /** The number of channels of the output, at least 1. */
  filters: number;
  /** The size of a window: a number, or [height, width]. */
  kernelSize: PairOption;
  /** How far windows are apart: a number, or [down, across]; default 1. */
  strides?: PairOption;
  /** Default valid. */
  padding?: Padding;
  /** Default linear. */
  activation?: Activation;
}

const OPTIONS: OptionNames<Conv2dOptions> = {
  filters: true,
  kernelSize: true,
  strides: true,
  padding: true,
  activation: true,
  ...WEIGHTED_OPTIONS,
};

/** Weights are one Float32Array; a larger one would not fit its index in the engine. */
const MAX_WEIGHTS = 2 ** 31 - 1;

/**
 * A convolution: from images [height, width, channels] to [outputHeight, outputWidth, filters], each output the
 * activation of Σ over a window of input · weights[kernelHeight, kernelWidth, channels, filters] + bias[filters].
 *
 * Windows are not turned over, as everywhere in deep learning. Throws ERR_ARGUMENT for an unknown option or a value out of
 * range; a model of it throws ERR_SHAPE for samples that are no images, or smaller than a window.
 */
export function conv2d(options: Conv2dOptions): Layer {
  const checked = checkOptions(options, 'conv2d', OPTIONS);
  const filters = checkInteger(checked.filters, 'filters', 1, MAX_WEIGHTS);
  const kernel = checkPair(checked.kernelSize, 'kernelSize');
  const strides = checkPair(checked.strides ?? 1, 'strides');
  const padding = checkPadding(checked.padding);
  const weighted = checkWeighted(checked, ACTIVATIONS);
  const windows = (inputShape: readonly number[]) => windowsOf('conv2d', inputShape, { kernel, strides, padding });
  return Object.freeze<Layer>({
    type: 'conv2d',
    config: Object.freeze({ type: 'conv2d', filters, kernelSize: kernel, strides, padding, ...weighted.config }),
    outputActivation: weighted.activation,
    inputRank: 3,
    build: (inputShape) => {
      const { outputHeight, outputWidth, channels } = windows(inputShape);
      const shape = [...kernel, channels, filters];
      if (sizeOf(shape) > MAX_WEIGHTS) {
        throw expected(`at most ${MAX_WEIGHTS} weights`, 'the shape of conv2d', shape, '', 'ERR_SHAPE');
      }
      const window = kernel[0] * kernel[1];
      const fans = { fanIn: window * channels, fanOut: window * filters };
      const parameters = weightedParameters(weighted, { shape, ...fans, fileAxes: [3, 2, 0, 1] });
      const outputShape = [outputHeight, outputWidth, filters];
      return { outputShape, parameters, multiplyAdds: sizeOf(outputShape) * window * channels };
    },
    lower: (builder, context) => lowerConv2d(builder, context, windows(context.inputShape), filters, weighted),
  });
}

/** Gradients are made in parts of a few samples each, and the parts are added up before the updates. */
function lowerConv2d(
  builder: ProgramBuilder,
  context: LowerContext,
  windows: Windows,
  filters: number,
  weighted: Weighted,
): LoweredLayer {
  const { prefix, input, inputShape, needsInputGradient, shared } = context;
  const [weights, bias = null] = context.parameters;
  const outputShape = [windows.outputHeight, windows.outputWidth, filters];
  const gradientParts = (name: string, parameter: string | null, gradient: string | null | undefined) => {
    if (!parameter || !gradient) return null;
    const shape = [partsOf(builder.capacity), ...builder.shapeOf(parameter)];
    const parts = builder.fixed(`${prefix}.${name}.gradientParts`, shape, 'gradient');
    shared.addUpParts(parts, gradient);
    return parts;
  };
  return lowerWeighted(builder, context, outputShape, weighted, {
    forward: (output, activation) => {
      const own = { activation, negativeSlope: weighted.negativeSlope, winners: null, pool: false };
      builder.add({ op: 'conv2d', input, weights, bias, output, ...windows, ...own });
    },
    backward: (dOutput) => {
      const [dWeights, dBias] = context.gradients;
      const dWeightParts = gradientParts('weight', weights, dWeights);
      const dBiasParts = gradientParts('bias', bias, dBias);
      const dInput = needsInputGradient ? builder.batched(`${prefix}.dInput`, inputShape) : null;
      const gradients = { dOutput, dWeightParts, dBiasParts, dInput };
      builder.add({ op: 'conv2dBackward', input, weights, winners: null, ...gradients, ...windows, pool: false });
      return dInput;
    },
  });
}
