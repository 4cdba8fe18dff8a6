import { checkBoolean, checkOptions } from '../options.js';
import { checkProbabilities, checkScores, type Labels, type ScoreOptions, type Scores } from './inputs.js';
import { LEAST_PROBABILITY, likelihoodOf, logitRows } from './likelihood.js';

/**
 * The mean over samples of -log p_label, in nats: categorical cross-entropy without label smoothing or class weights. With
 * one column p, -log p for label 1 and -log(1 - p) for label 0.
 *
 * A probability below 2^-149 counts as that, the least positive number of float32: there 0 only says that it was smaller.
 * `probabilities` are [count, classes] row-major. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function negativeLogLikelihood(labels: Labels, probabilities: Scores, options?: ScoreOptions): number {
  const checked = checkOptions(options, 'negativeLogLikelihood', { fromLogits: true });
  if (checkBoolean(checked.fromLogits ?? false, 'fromLogits')) {
    const columns = checkScores(labels, probabilities, 'logits');
    return likelihoodOf(labels, logitRows(probabilities, columns, true), 1).loss;
  }
  const columns = checkProbabilities(labels, probabilities);
  let sum = 0;
  for (let sample = 0; sample < labels.length; sample++) {
    const own = probabilities[sample * columns + (columns === 1 ? 0 : labels[sample])];
    sum -= Math.log(Math.max(LEAST_PROBABILITY, columns === 1 && labels[sample] === 0 ? 1 - own : own));
  }
  return sum / labels.length;
}
