import { checkNumber, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';

export interface BinaryCrossentropyOptions {
  /** ε in [0, 1): the target is (1 - ε) · target + ε / 2, as in Keras. Default 0. */
  labelSmoothing?: number;
}

/**
 * Cross-entropy of outputs that each say yes or no by themselves: one unit for two classes, or one for each label that a
 * sample may have. Of the last layer's weighted sums x:
 *
 *     t'_j = (1 - ε) t_j + ε / 2
 *     loss = mean over outputs of max(x_j, 0) - x_j t'_j + log(1 + e^-|x_j|)
 *
 * which is -t' log σ(x) - (1 - t') log(1 - σ(x)), PyTorch's `BCEWithLogitsLoss`, and does not overflow.
 *
 * The last layer is `sigmoid` or `linear`. Both train alike; `predict` returns probabilities after `sigmoid`, logits after
 * `linear`. Targets are one number per output: a Float32Array of numbers from 0 to 1, or a Uint8Array or array of 0 and 1.
 * Accuracy is the part of outputs that say yes (above one half) where the target does.
 */
export function binaryCrossentropy(options?: BinaryCrossentropyOptions): Loss {
  const checked = checkOptions(options, 'binaryCrossentropy', { labelSmoothing: true });
  const labelSmoothing = checkNumber(checked.labelSmoothing ?? 0, 'labelSmoothing', 0, 1, true);
  return Object.freeze<Loss>({
    name: 'binaryCrossentropy',
    config: { labelSmoothing },
    targets: 'binary',
    activation: 'sigmoid',
    hasAccuracy: true,
    checkOutput: (_units, activation) => {
      if (activation === 'sigmoid' || activation === 'linear') return;
      const name = 'the activation of the last layer with binaryCrossentropy';
      const hint =
        activation === 'softmax' ? 'For classes of which one is right there is categoricalCrossentropy.' : '';
      throw expected('sigmoid (or linear, for logits)', name, activation, hint);
    },
    lower: (builder, logits, targets, units, training) => {
      const dLogits = training ? builder.batched('loss.dOutput', [units]) : null;
      builder.add({ op: 'binaryCrossEntropy', logits, targets, dLogits, labelSmoothing });
      return dLogits;
    },
  });
}
