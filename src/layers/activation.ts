import { checkOneOf, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import { sizeOf } from '../program/program.js';
import { checkNegativeSlope, lowerActivation, OUTPUT_ACTIVATIONS } from './activate.js';
import type { Layer, LayerConfig, OutputActivation } from './layer.js';

export interface ActivationOptions {
  activation: OutputActivation;
  /** The slope of leakyRelu below zero, at least 0; default 0.2. Refused with any other activation. */
  negativeSlope?: number;
}

/**
 * An activation by itself, element by element; softmax over a row of numbers. Throws ERR_ARGUMENT for an unknown option or
 * a value out of range; a model of it throws ERR_SHAPE for softmax behind images.
 */
export function activation(options: ActivationOptions): Layer {
  const checked = checkOptions(options, 'activation', { activation: true, negativeSlope: true });
  const kind = checkOneOf(checked.activation, 'activation', OUTPUT_ACTIVATIONS);
  const negativeSlope = checkNegativeSlope(checked.negativeSlope, kind);
  const config = { type: 'activation', activation: kind };
  return activationLayer(
    Object.freeze(kind === 'leakyRelu' ? { ...config, negativeSlope } : config),
    kind,
    negativeSlope,
  );
}

/** A layer that is an activation and nothing else. */
export function activationLayer(config: LayerConfig, kind: OutputActivation, negativeSlope: number): Layer {
  return Object.freeze<Layer>({
    type: config.type,
    config,
    outputActivation: kind === 'linear' ? null : kind,
    inputRank: null,
    build: (inputShape) => {
      if (kind === 'softmax' && sizeOf(inputShape) !== inputShape.at(-1)) {
        const hint = 'Put flatten or globalAveragePooling2d before it.';
        throw expected('one row of numbers', 'the input of softmax', inputShape, hint, 'ERR_SHAPE');
      }
      return { outputShape: inputShape, parameters: [] };
    },
    lower: (builder, { prefix, input, inputShape, needsInputGradient, leftToLoss }) => {
      const nothing = kind === 'linear' || kind === leftToLoss;
      if (nothing) return { output: input, backward: (dOutput) => dOutput };
      const lowered = lowerActivation(builder, { prefix, input, shape: inputShape }, kind, negativeSlope);
      if (needsInputGradient) return lowered;
      return { output: lowered.output, backward: () => null };
    },
  });
}
