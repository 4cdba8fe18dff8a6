import { checkInteger, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkScores, type Labels, type Scores } from './inputs.js';
import { checkMetricName, type Metric, type MetricOptions } from './metric.js';

export interface TopKAccuracyOptions {
  /** How many answers a sample has, from 1 to the number of classes; default 5. */
  k?: number;
}

const DEFAULT_K = 5;

/**
 * The part of the samples whose class is among the k of the greatest probability (Russakovsky et al., "ImageNet large
 * scale visual recognition challenge", 2015). Of equal probabilities the lower class index comes first, so that k = 1 gives the
 * accuracy. `probabilities` are [count, classes] row-major, at least two classes; logits do as well, since only their order counts.
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function topKAccuracy(labels: Labels, probabilities: Scores, options?: TopKAccuracyOptions): number {
  const { k = DEFAULT_K } = checkOptions(options, 'topKAccuracy', { k: true });
  const columns = checkScores(labels, probabilities, 'probabilities');
  checkK(k, columns);
  return hits(labels, probabilities, labels.length, columns, k) / labels.length;
}

/** `topKAccuracy` as a metric of a model. */
export function topKAccuracyMetric(options?: TopKAccuracyOptions & MetricOptions): Metric {
  const checked = checkOptions(options, 'topKAccuracy', { k: true, name: true });
  const k = checkInteger(checked.k ?? DEFAULT_K, 'k', 1);
  return Object.freeze<Metric>({
    name: checkMetricName(checked.name ?? 'topKAccuracy'),
    tasks: ['classes'],
    begin: (_task, columns) => {
      checkK(k, columns);
      let right = 0;
      let samples = 0;
      return {
        add: ({ targets, outputs, count }) => {
          right += hits(targets, outputs, count, columns, k);
          samples += count;
        },
        result: () => right / samples,
      };
    },
  });
}

function checkK(k: number, columns: number): void {
  checkInteger(k, 'k', 1);
  if (columns < 2) throw expected('at least 2 classes', 'the columns of topKAccuracy', columns, '', 'ERR_SHAPE');
  if (k > columns) throw expected(`at most the number of classes, ${columns},`, 'k of topKAccuracy', k);
}

/** A label is a hit when fewer than k classes come before it. NaN never is. */
function hits(labels: ArrayLike<number>, scores: ArrayLike<number>, count: number, columns: number, k: number): number {
  let right = 0;
  for (let sample = 0; sample < count; sample++) {
    const first = sample * columns;
    const place = first + labels[sample];
    const own = scores[place];
    let before = 0;
    for (let index = first; index < first + columns; index++) {
      if (scores[index] > own || (scores[index] === own && index < place)) before++;
    }
    if (before < k && !Number.isNaN(own)) right++;
  }
  return right;
}
