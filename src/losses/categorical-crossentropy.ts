import { checkNumber, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';

export interface CategoricalCrossentropyOptions {
  /** ε in [0, 1): the target is (1 - ε) · one-hot + ε / classes (Szegedy et al., 2015). Default 0. */
  labelSmoothing?: number;
}

/**
 * Cross-entropy -Σ_j t_j log p_j against class indices, p the softmax of the last layer's weighted sums.
 *
 * The last layer is `softmax` or `linear`. Both train alike: softmax, logarithm and gradient are computed together from
 * the weighted sums, which does not overflow. `predict` returns what the model outputs: probabilities after `softmax`,
 * logits after `linear`. Targets are class indices (Uint8Array or Int32Array), not one-hot rows.
 */
export function categoricalCrossentropy(options?: CategoricalCrossentropyOptions): Loss {
  const checked = checkOptions(options, 'categoricalCrossentropy', { labelSmoothing: true });
  const labelSmoothing = checkNumber(checked.labelSmoothing ?? 0, 'labelSmoothing', 0, 1, true);
  return Object.freeze<Loss>({
    name: 'categoricalCrossentropy',
    config: { labelSmoothing },
    targets: 'classes',
    includesSoftmax: true,
    checkOutput: (units, activation) => {
      if (activation !== 'softmax' && activation !== 'linear') {
        throw expected(
          'softmax (or linear, for logits)',
          'the activation of the last layer with categoricalCrossentropy',
          activation,
        );
      }
      if (units < 2) {
        throw expected(
          'at least 2',
          'the units of the last layer with categoricalCrossentropy',
          units,
          'One per class.',
        );
      }
    },
    lower: (builder, logits, targets, units, training) => {
      const dLogits = training ? builder.batched('loss.dOutput', [units]) : null;
      builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing });
      return dLogits;
    },
  });
}
