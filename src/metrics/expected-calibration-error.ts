import { checkInteger } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import { answerOf, checkProbabilities, checkScores, type Labels, type ScoreOptions, type Scores } from './inputs.js';
import { checkMetricName, type Metric, type MetricOptions } from './metric.js';
import { probabilitiesFromLogits } from './probabilities.js';

export interface CalibrationErrorOptions extends ScoreOptions {
  /** Stretches of equal width that confidences are sorted into, from 1 to 10000; default 15. */
  bins?: number;
}

/** The samples whose confidence is above `lower` and at most `upper`; 0 itself is in the first one. */
export interface ReliabilityBin {
  lower: number;
  upper: number;
  count: number;
  /** Means over the samples of the bin, null without any: how sure the answers were, and how many were right. */
  confidence: number | null;
  accuracy: number | null;
}

const DEFAULT_BINS = 15;
const MAX_BINS = 10_000;

/**
 * How far confidence and accuracy are apart: Σ over bins of count_b / count · |accuracy_b - confidence_b|. Guo et al., "On
 * calibration of modern neural networks" (2017).
 *
 * The confidence of a sample is the probability of its answer, the first of the row's largest; with one column p it is
 * the greater of p and 1 - p. Bins are (b / bins, (b + 1) / bins]. `probabilities` are [count, classes] row-major.
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function expectedCalibrationError(
  labels: Labels,
  probabilities: Scores,
  options?: CalibrationErrorOptions,
): number {
  return reliability('expectedCalibrationError', labels, probabilities, options).error();
}

/** The bins of `expectedCalibrationError`, for drawing accuracy against confidence. Throws the same. */
export function reliabilityDiagram(
  labels: Labels,
  probabilities: Scores,
  options?: CalibrationErrorOptions,
): ReliabilityBin[] {
  return reliability('reliabilityDiagram', labels, probabilities, options).bins();
}

function reliability(
  owner: string,
  labels: Labels,
  scores: Scores,
  options: CalibrationErrorOptions | undefined,
): Reliability {
  const checked = checkOptions(options, owner, { bins: true, fromLogits: true });
  const sums = new Reliability(checkBins(checked.bins));
  if (checkBoolean(checked.fromLogits ?? false, 'fromLogits')) {
    const columns = checkScores(labels, scores, 'logits');
    sums.add(labels, probabilitiesFromLogits(scores, columns), labels.length, columns);
  } else {
    sums.add(labels, scores, labels.length, checkProbabilities(labels, scores));
  }
  return sums;
}

const checkBins = (bins: number | undefined): number => checkInteger(bins ?? DEFAULT_BINS, 'bins', 1, MAX_BINS);

/** `expectedCalibrationError` as a metric of a model. Of several yes-or-no outputs, each is a sample of its own. */
export function expectedCalibrationErrorMetric(options?: { bins?: number } & MetricOptions): Metric {
  const checked = checkOptions(options, 'expectedCalibrationError', { bins: true, name: true });
  const bins = checkBins(checked.bins);
  return Object.freeze<Metric>({
    name: checkMetricName(checked.name ?? 'expectedCalibrationError'),
    tasks: ['classes', 'binary'],
    begin: (task, columns) => {
      const sums = new Reliability(bins);
      return {
        add: ({ targets, outputs, count }) => {
          if (task === 'binary') sums.add(targets, outputs, count * columns, 1);
          else sums.add(targets, outputs, count, columns);
        },
        result: () => sums.error(),
      };
    },
  });
}

/** Sums by bin. */
class Reliability {
  readonly #counts: Float64Array;
  readonly #confidences: Float64Array;
  readonly #right: Float64Array;

  constructor(bins: number) {
    this.#counts = new Float64Array(bins);
    this.#confidences = new Float64Array(bins);
    this.#right = new Float64Array(bins);
  }

  add(labels: ArrayLike<number>, probabilities: ArrayLike<number>, count: number, columns: number): void {
    for (let sample = 0; sample < count; sample++) {
      const answer = answerOf(probabilities, sample, columns);
      const own = probabilities[sample * columns + (columns === 1 ? 0 : answer)];
      const confidence = columns === 1 && answer === 0 ? 1 - own : own;
      const bin = this.#binOf(confidence);
      this.#counts[bin]++;
      this.#confidences[bin] += confidence;
      if (answer === labels[sample]) this.#right[bin]++;
    }
  }

  error(): number {
    let error = 0;
    let samples = 0;
    for (let bin = 0; bin < this.#counts.length; bin++) {
      // count_b · |accuracy_b - confidence_b| without dividing by count_b first.
      error += Math.abs(this.#right[bin] - this.#confidences[bin]);
      samples += this.#counts[bin];
    }
    return error / samples;
  }

  bins(): ReliabilityBin[] {
    const mean = (sum: number, count: number) => (count > 0 ? sum / count : null);
    return Array.from(this.#counts, (count, bin) => ({
      lower: bin / this.#counts.length,
      upper: (bin + 1) / this.#counts.length,
      count,
      confidence: mean(this.#confidences[bin], count),
      accuracy: mean(this.#right[bin], count),
    }));
  }

  /** The product is rounded and may fall on the wrong side of a border: the borders themselves decide. */
  #binOf(confidence: number): number {
    const bins = this.#counts.length;
    // NaN gets a bin too, and makes the error NaN.
    let bin = Math.max(0, Math.min(bins, Math.ceil(confidence * bins)) - 1) || 0;
    if (bin > 0 && confidence <= bin / bins) bin--;
    else if (bin < bins - 1 && confidence > (bin + 1) / bins) bin++;
    return bin;
  }
}
