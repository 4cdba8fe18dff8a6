import { checkInteger, expected } from '../errors.js';
import { checkOptions, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import { OUTPUT_ACTIVATIONS } from './activate.js';
import type { Layer, LowerContext, LoweredLayer, OutputActivation } from './layer.js';
import {
  checkWeighted,
  lowerWeighted,
  WEIGHTED_OPTIONS,
  type Weighted,
  type WeightedOptions,
  weightedParameters,
} from './weighted.js';

export interface DenseOptions extends WeightedOptions {
  /** The number of outputs, at least 1. */
  units: number;
  /** Default linear. softmax belongs on the last layer. */
  activation?: OutputActivation;
}

const OPTIONS: OptionNames<DenseOptions> = { units: true, activation: true, ...WEIGHTED_OPTIONS };

/** Weights are one Float32Array; larger matrices would not fit its index in the engine. */
const MAX_WEIGHTS = 2 ** 31 - 1;

/**
 * A fully connected layer: activation(input[rows, inputs] · weights[inputs, units] + bias[units]).
 * Throws ERR_ARGUMENT for an unknown option or a value out of range.
 */
export function dense(options: DenseOptions): Layer {
  const checked = checkOptions(options, 'dense', OPTIONS);
  const units = checkInteger(checked.units, 'units', 1, MAX_WEIGHTS);
  const weighted = checkWeighted(checked, OUTPUT_ACTIVATIONS);
  return Object.freeze<Layer>({
    type: 'dense',
    config: Object.freeze({ type: 'dense', units, ...weighted.config }),
    outputActivation: weighted.activation,
    inputRank: 1,
    build: ([inputs]) => {
      if (inputs * units > MAX_WEIGHTS) {
        throw expected(`at most ${MAX_WEIGHTS} weights`, `dense from ${inputs} inputs`, units, '', 'ERR_SHAPE');
      }
      const weights = { shape: [inputs, units], fanIn: inputs, fanOut: units, fileAxes: [1, 0] };
      const parameters = weightedParameters(weighted, weights);
      return { outputShape: [units], parameters, multiplyAdds: inputs * units };
    },
    lower: (builder, context) => lowerDense(builder, context, units, weighted),
  });
}

function lowerDense(builder: ProgramBuilder, context: LowerContext, units: number, weighted: Weighted): LoweredLayer {
  const { prefix, input, inputShape, needsInputGradient } = context;
  const [weights, bias = null] = context.parameters;
  const [dWeights = null, dBias = null] = context.gradients;
  return lowerWeighted(builder, context, [units], weighted, {
    forward: (output, activation) => {
      const { negativeSlope } = weighted;
      builder.add({ op: 'dense', input, weights, bias, output, activation, negativeSlope });
    },
    backward: (dOutput) => {
      const dInput = needsInputGradient ? builder.batched(`${prefix}.dInput`, inputShape) : null;
      builder.add({ op: 'denseBackward', input, weights, dOutput, dWeights, dBias, dInput, update: false });
      return dInput;
    },
  });
}
