import { checkBoolean, checkOptions } from '../options.js';
import { checkProbabilities, checkScores, type Labels, type ScoreOptions, type Scores } from './inputs.js';
import { type LogitRows, likelihoodOf, logitRows } from './likelihood.js';

/** The range of temperatures that are looked at. */
export const TEMPERATURES = { least: 0.01, greatest: 100 };

const MAX_STEPS = 200;
/** Relative; far finer than the digits that are given. */
const TOLERANCE = 1e-12;

/**
 * The temperature T whose probabilities softmax(logits / T) give the labels the least negative log-likelihood. Guo et al.,
 * "On calibration of modern neural networks" (2017). Above 1 the model was too sure of itself, below 1 not sure enough;
 * T does not change which class is the most probable. With one column, sigmoid(logit / T).
 *
 * From 0.01 to 100, to six significant digits. An end of the range means that there is no best temperature: 0.01 when the
 * answers are all right (the surer, the better), 100 when they are no better than chance. Where nothing depends on the
 * temperature it is 1.
 *
 * `scores` are probabilities, or logits with `fromLogits`, [count, classes] row-major, of samples that training did not
 * see. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function fitTemperature(labels: Labels, scores: Scores, options?: ScoreOptions): number {
  const checked = checkOptions(options, 'fitTemperature', { fromLogits: true });
  const fromLogits = checkBoolean(checked.fromLogits ?? false, 'fromLogits');
  const columns = fromLogits ? checkScores(labels, scores, 'logits') : checkProbabilities(labels, scores);
  return temperatureOf(labels, logitRows(scores, columns, fromLogits));
}

/**
 * Newton's method on the slope by b = 1 / T, held inside a bracket whose geometric middle stands in for steps that would
 * leave it. The loss is convex in b, so there is one root at most.
 */
function temperatureOf(labels: Labels, rows: LogitRows): number {
  let low = 1 / TEMPERATURES.greatest;
  let high = 1 / TEMPERATURES.least;
  let b = 1;
  let { slope, curvature } = likelihoodOf(labels, rows, b);
  if (slope === 0) return 1;
  if (likelihoodOf(labels, rows, low).slope >= 0) return TEMPERATURES.greatest;
  if (likelihoodOf(labels, rows, high).slope <= 0) return TEMPERATURES.least;
  for (let step = 0; step < MAX_STEPS && slope !== 0; step++) {
    if (slope > 0) high = b;
    else low = b;
    const newton = b - slope / curvature;
    const next = newton > low && newton < high ? newton : Math.sqrt(low * high);
    const done = Math.abs(next - b) <= TOLERANCE * b;
    b = next;
    if (done) break;
    ({ slope, curvature } = likelihoodOf(labels, rows, b));
  }
  return Number((1 / b).toPrecision(6));
}
