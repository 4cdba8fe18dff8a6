import { checkNumber, expected } from '../errors.js';
import type { OutputActivation } from '../layers/layer.js';
import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';

export interface CategoricalCrossentropyOptions {
  /** ε in [0, 1): the target is (1 - ε) · target + ε / classes (Szegedy et al., 2015). Default 0. */
  labelSmoothing?: number;
  /** A number of at least 0 per class, by which its part of the loss counts; default 1 throughout. In evaluation as well. */
  classWeights?: readonly number[];
}

/** The slot that holds the weights; the first program of a model gives it its values. */
const WEIGHTS = 'loss.classWeights';

/**
 * Cross-entropy of classes, p the softmax of the last layer's weighted sums:
 *
 *     t'_j = (1 - ε) t_j + ε / classes
 *     loss = -Σ_j w_j t'_j log p_j
 *
 * This is PyTorch's `CrossEntropyLoss(weight, label_smoothing)` of one sample. The mean is over samples, as in Keras;
 * PyTorch divides by the sum of the samples' weights where targets are class indices.
 *
 * Targets are class indices (Uint8Array, Int32Array or an array), or one-hot or soft labels: a Float32Array of
 * [count, classes] whose rows are at least 0 and sum to 1. A sample counts as correct when the first largest output is the
 * target's; of soft labels, the first largest share is the target.
 *
 * The last layer is `softmax` or `linear`. Both train alike: softmax, logarithm and gradient are computed together from
 * the weighted sums, which does not overflow. `predict` returns what the model outputs: probabilities after `softmax`,
 * logits after `linear`.
 */
export function categoricalCrossentropy(options?: CategoricalCrossentropyOptions): Loss {
  const checked = checkOptions(options, 'categoricalCrossentropy', { labelSmoothing: true, classWeights: true });
  const labelSmoothing = checkNumber(checked.labelSmoothing ?? 0, 'labelSmoothing', 0, 1, true);
  const classWeights = checked.classWeights === undefined ? null : checkWeights(checked.classWeights);
  return Object.freeze<Loss>({
    name: 'categoricalCrossentropy',
    config: { labelSmoothing, ...(classWeights ? { classWeights } : {}) },
    targets: 'classes',
    activation: 'softmax',
    hasAccuracy: true,
    checkOutput: (units, activation) => checkOutput(units, activation, classWeights),
    lower: (builder, logits, targets, units, training) => {
      const dLogits = training ? builder.batched('loss.dOutput', [units]) : null;
      if (builder.typeOf(targets) === 'int32' && !classWeights) {
        builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing });
      } else {
        const weights = classWeights && builder.persistent(WEIGHTS, 'slot', [units], classWeights);
        builder.add({ op: 'crossEntropy', logits, targets, weights, dLogits, labelSmoothing });
      }
      return dLogits;
    },
  });
}

function checkWeights(weights: readonly number[]): readonly number[] {
  if (!Array.isArray(weights)) throw expected('a list of numbers, one per class,', 'classWeights', weights);
  weights.forEach((weight, index) => {
    checkNumber(weight, `classWeights[${index}]`, 0);
  });
  if (!weights.some((weight) => weight > 0)) throw expected('a number above 0', 'classWeights', weights);
  return Object.freeze([...weights]);
}

function checkOutput(units: number, activation: OutputActivation, weights: readonly number[] | null): void {
  if (activation !== 'softmax' && activation !== 'linear') {
    throw expected(
      'softmax (or linear, for logits)',
      'the activation of the last layer with categoricalCrossentropy',
      activation,
    );
  }
  if (units < 2) {
    const hint = 'One per class. For one unit that says yes or no there is binaryCrossentropy.';
    throw expected('at least 2', 'the units of the last layer with categoricalCrossentropy', units, hint);
  }
  if (weights && weights.length !== units) {
    const hint = `The model's last layer has ${units} units, one per class.`;
    throw expected(`${units} numbers`, 'classWeights', weights, hint);
  }
}
