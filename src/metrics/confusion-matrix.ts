import { checkOptions } from '../options.js';
import { type Labels, readAnswers, type Scores } from './inputs.js';

export interface ConfusionMatrixOptions {
  /** The number of classes; default: as many as the probabilities have, or one more than the greatest class index. */
  classes?: number;
}

/**
 * matrix[label][answer]: how many samples of a class got which answer. Rows are true classes, as in scikit-learn.
 *
 * `answers` are class indices (Uint8Array, Int32Array, or an array as long as the labels) or probabilities or logits,
 * [count, classes] row-major: the answer is then the first of a row's largest; of one column 1 above 0.5, else 0.
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function confusionMatrix(
  labels: Labels,
  answers: Labels | Scores,
  options?: ConfusionMatrixOptions,
): number[][] {
  const checked = checkOptions(options, 'confusionMatrix', { classes: true });
  const { predictions, classes } = readAnswers(labels, answers, checked.classes);
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let sample = 0; sample < labels.length; sample++) matrix[labels[sample]][predictions[sample]]++;
  return matrix;
}
