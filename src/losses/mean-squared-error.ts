import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';

/** The mean over outputs of (prediction - target)². Targets are a Float32Array of [count, units]. No accuracy. */
export function meanSquaredError(options?: Record<never, never>): Loss {
  checkOptions(options, 'meanSquaredError', {});
  return Object.freeze<Loss>({
    name: 'meanSquaredError',
    config: {},
    targets: 'values',
    includesSoftmax: false,
    checkOutput: () => {},
    lower: (builder, predictions, targets, units, training) => {
      const dPredictions = training ? builder.batched('loss.dOutput', [units]) : null;
      builder.add({ op: 'meanSquaredError', predictions, targets, dPredictions });
      return dPredictions;
    },
  });
}
