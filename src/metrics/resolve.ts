import { expected } from '../errors.js';
import { f1, precision, recall } from './class-metrics.js';
import { expectedCalibrationErrorMetric } from './expected-calibration-error.js';
import { checkMetricName, type Metric, type MetricTask } from './metric.js';
import { meanAbsoluteError, r2, rootMeanSquaredError } from './regression.js';
import { topKAccuracyMetric } from './top-k-accuracy.js';

/**
 * Metrics for `compile`, by their names there: `metrics: ['precision', metrics.topKAccuracy({ k: 3 })]`. Every function
 * takes a `name` for the results besides its own options.
 */
export const metrics = Object.freeze({
  topKAccuracy: topKAccuracyMetric,
  precision,
  recall,
  f1,
  expectedCalibrationError: expectedCalibrationErrorMetric,
  meanAbsoluteError,
  rootMeanSquaredError,
  r2,
});

/** `accuracy` may be said, though losses on classes give it anyway. */
export type MetricName = keyof typeof metrics | 'accuracy';

const ACCURACY_TASKS: readonly MetricTask[] = ['classes', 'binary'];

export interface MetricPlace {
  task: MetricTask;
  /** Outputs of the model. */
  columns: number;
  /** The name of the loss, for messages. */
  loss: string;
}

/**
 * Metrics by name, with their default options, or as they are. Throws ERR_ARGUMENT for unknown ones, for two of one name
 * and for what does not go with the loss, and what a metric throws that does not suit the number of outputs.
 */
export function resolveMetrics(list: readonly (MetricName | Metric)[] | undefined, place: MetricPlace): Metric[] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw expected('a list of names and metrics', 'metrics', list);
  const resolved: Metric[] = [];
  list.forEach((each: MetricName | Metric, index) => {
    const name = `metrics[${index}]`;
    if (each === 'accuracy') {
      checkTask(each, ACCURACY_TASKS, place, name);
      return;
    }
    const metric = resolveMetric(each, name);
    checkTask(metric.name, metric.tasks, place, name);
    if (resolved.some((other) => other.name === metric.name)) {
      throw expected('a name that no other metric has', name, metric.name, 'Give one of them a name of its own.');
    }
    metric.begin(place.task, place.columns);
    resolved.push(metric);
  });
  return resolved;
}

function resolveMetric(metric: Exclude<MetricName, 'accuracy'> | Metric, name: string): Metric {
  if (typeof metric === 'string' && Object.hasOwn(metrics, metric)) return metrics[metric]();
  if (typeof metric === 'object' && metric !== null && typeof metric.begin === 'function') {
    checkMetricName(metric.name, `the name of ${name}`);
    if (!Array.isArray(metric.tasks)) throw expected('a list of tasks', `the tasks of ${name}`, metric.tasks);
    return metric;
  }
  const names = ['accuracy', ...Object.keys(metrics)].join(', ');
  throw expected(`one of ${names} or a metric made by their functions`, name, metric);
}

function checkTask(metric: string, tasks: readonly MetricTask[], { task, loss }: MetricPlace, name: string): void {
  if (tasks.includes(task)) return;
  const suitable = Object.entries(metrics).flatMap(([key, make]) => (make().tasks.includes(task) ? [key] : []));
  if (ACCURACY_TASKS.includes(task)) suitable.unshift('accuracy');
  throw expected(`a metric that goes with ${loss} (${suitable.join(', ')})`, name, metric);
}
