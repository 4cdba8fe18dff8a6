/** Metrics of numbers: t the targets, y the outputs. */

import { checkOptions } from '../options.js';
import { checkMetricName, type Metric, type MetricBatch, type MetricOptions, type MetricState } from './metric.js';

/** The mean over samples and outputs of |y - t|. */
export const meanAbsoluteError = (options?: MetricOptions): Metric =>
  regressionMetric('meanAbsoluteError', options, () => new Mean(Math.abs));

/** The square root of the mean over samples and outputs of (y - t)². */
export const rootMeanSquaredError = (options?: MetricOptions): Metric =>
  regressionMetric('rootMeanSquaredError', options, () => new Mean((difference) => difference * difference, Math.sqrt));

/**
 * The coefficient of determination 1 - Σ (y - t)² / Σ (t - mean t)², of several outputs the mean. 1 is perfect, 0 as good
 * as always answering the mean. For targets that are all the same: 1 where every answer is right, else 0, as in
 * scikit-learn.
 */
export const r2 = (options?: MetricOptions): Metric =>
  regressionMetric('r2', options, (columns) => new Determination(columns));

function regressionMetric(
  kind: string,
  options: MetricOptions | undefined,
  begin: (columns: number) => MetricState,
): Metric {
  const { name = kind } = checkOptions(options, kind, { name: true });
  return Object.freeze<Metric>({
    name: checkMetricName(name),
    tasks: ['values'],
    begin: (_task, columns) => begin(columns),
  });
}

class Mean implements MetricState {
  readonly #of: (difference: number) => number;
  readonly #finish: (mean: number) => number;
  #sum = 0;
  #count = 0;

  constructor(of: (difference: number) => number, finish: (mean: number) => number = (mean) => mean) {
    this.#of = of;
    this.#finish = finish;
  }

  add({ count, columns, targets, outputs }: MetricBatch): void {
    for (let index = 0; index < count * columns; index++) this.#sum += this.#of(outputs[index] - targets[index]);
    this.#count += count * columns;
  }

  result(): number {
    return this.#finish(this.#sum / this.#count);
  }
}

/** Σ (t - mean t)² as the samples come (Welford, 1962): Σ t² - (Σ t)² / n would lose digits where the mean is large. */
class Determination implements MetricState {
  readonly #means: Float64Array;
  readonly #spreads: Float64Array;
  readonly #errors: Float64Array;
  #count = 0;

  constructor(columns: number) {
    this.#means = new Float64Array(columns);
    this.#spreads = new Float64Array(columns);
    this.#errors = new Float64Array(columns);
  }

  add({ count, columns, targets, outputs }: MetricBatch): void {
    for (let sample = 0; sample < count; sample++) {
      this.#count++;
      for (let column = 0; column < columns; column++) {
        const target = targets[sample * columns + column];
        const before = target - this.#means[column];
        this.#means[column] += before / this.#count;
        this.#spreads[column] += before * (target - this.#means[column]);
        this.#errors[column] += (outputs[sample * columns + column] - target) ** 2;
      }
    }
  }

  result(): number {
    const each = this.#errors.map((error, column) => {
      const spread = this.#spreads[column];
      return spread === 0 ? Number(error === 0) : 1 - error / spread;
    });
    return each.reduce((sum, value) => sum + value, 0) / each.length;
  }
}
