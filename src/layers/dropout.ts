import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Layer } from './layer.js';

export interface DropoutOptions {
  /** The part of the values that becomes 0, in [0, 1). */
  rate: number;
}

/**
 * In training, makes each value 0 with probability `rate` and divides the others by 1 - rate; elsewhere does nothing.
 * Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
 *
 * What is dropped depends on the model's seed, the epoch and the sample alone, not on batches or threads.
 * Throws ERR_ARGUMENT for an unknown option or a rate out of range.
 */
export function dropout(options: DropoutOptions): Layer {
  const checked = checkOptions(options, 'dropout', { rate: true });
  const rate = checkNumber(checked.rate, 'rate', 0, 1, true);
  return Object.freeze<Layer>({
    type: 'dropout',
    config: Object.freeze({ type: 'dropout', rate }),
    outputActivation: null,
    inputRank: null,
    build: (inputShape) => ({ outputShape: inputShape, parameters: [] }),
    lower: (builder, { prefix, input, inputShape, needsInputGradient, shared }) => {
      if (shared.section !== 'train' || rate === 0) return { output: input, backward: (dOutput) => dOutput };
      const { seed } = shared;
      const draw = {
        rate,
        seedLow: seed % 2 ** 32,
        seedHigh: Math.floor(seed / 2 ** 32),
        layer: shared.nextRandomLayer(),
        epoch: shared.epoch(),
      };
      const output = builder.batched(`${prefix}.output`, inputShape);
      builder.add({ op: 'dropout', input, output, ...draw });
      return {
        output,
        backward: (dOutput, keep) => {
          if (!needsInputGradient) return null;
          const dInput = keep ? builder.batched(`${prefix}.dInput`, inputShape) : dOutput;
          builder.add({ op: 'dropout', input: dOutput, output: dInput, ...draw });
          return dInput;
        },
      };
    },
  });
}
