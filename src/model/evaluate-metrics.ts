import type { Samples } from '../backends/backend.js';
import { takeRows } from '../data/rows.js';
import type { Loss } from '../losses/loss.js';
import { answersOf } from '../metrics/inputs.js';
import type { Metric, MetricBatch, MetricTask } from '../metrics/metric.js';
import { probabilitiesFromLogits } from '../metrics/probabilities.js';
import { type MetricName, resolveMetrics } from '../metrics/resolve.js';
import type { Engine } from './engine.js';
import { type EvaluationRequest, evaluate, evaluateNow, type Means } from './evaluate.js';
import type { Stack } from './stack.js';

/** Metrics that go with a model's loss, and what has to be known to hand its outputs to them. */
export interface CompiledMetrics {
  metrics: readonly Metric[];
  task: MetricTask;
  /** Outputs per sample. */
  columns: number;
  /** Whether the model gives logits, which metrics of probabilities do not take. */
  fromLogits: boolean;
}

/** Throws ERR_ARGUMENT for metrics that do not go with loss and last layer. */
export function compileMetrics(
  list: readonly (MetricName | Metric)[] | undefined,
  loss: Loss,
  { outputSize: columns, outputActivation }: Stack,
): CompiledMetrics {
  const task: MetricTask = loss.targets;
  const metrics = resolveMetrics(list, { task, columns, loss: loss.name });
  return { metrics, task, columns, fromLogits: task !== 'values' && outputActivation === 'linear' };
}

/** Loss, accuracy and metrics by name. */
export interface MeansAndMetrics extends Means {
  [metric: string]: number | undefined;
}

/** Outputs are made and looked at for so many samples at a time, so that memory does not grow with their number. */
const PORTION = 1024;

/**
 * Loss, accuracy and metrics over some samples; null when the signal came first, or the model was disposed of. Metrics cost
 * a second pass forward, in the same turn: both passes see the same weights. `samples` are those that `data` holds.
 */
export async function evaluateWithMetrics(
  engine: Engine,
  loss: Loss,
  compiled: CompiledMetrics,
  { samples, ...request }: EvaluationRequest & { samples: Samples },
): Promise<MeansAndMetrics | null> {
  if (compiled.metrics.length === 0) return evaluate(engine, loss, request) as Promise<MeansAndMetrics | null>;
  const { order, signal } = request;
  if (signal?.aborted) return null;
  return engine.inTurn(async () => {
    const means = await evaluateNow(engine, loss, request);
    if (!means) return null;
    const { task, columns } = compiled;
    const states = compiled.metrics.map((metric) => ({ name: metric.name, state: metric.begin(task, columns) }));
    const whole = await engine.undisturbed(async () => {
      for (let first = 0; first < order.length; first += PORTION) {
        if (signal?.aborted || engine.disposed) return false;
        const portion = order.subarray(first, first + PORTION);
        const outputs = await engine.infer(inputsOf(samples, portion));
        const batch = batchOf(compiled, outputs, targetsOf(samples, portion));
        for (const { state } of states) state.add(batch);
      }
      return !signal?.aborted && !engine.disposed;
    });
    if (!whole) return null;
    return { ...means, ...Object.fromEntries(states.map(({ name, state }) => [name, state.result()])) };
  });
}

/** Their names in the result of an epoch: `validationLoss` and so on. */
export function validationResults(means: MeansAndMetrics): Record<string, number | undefined> {
  const renamed = Object.entries(means).map(([name, value]) => [validationName(name), value]);
  return Object.fromEntries(renamed);
}

export const validationName = (name: string): string => `validation${name[0].toUpperCase()}${name.slice(1)}`;

function inputsOf({ inputs, count }: Samples, order: Uint32Array): Uint8Array | Float32Array {
  return takeRows(inputs, inputs.length / count, order);
}

function targetsOf({ targets, count }: Samples, order: Uint32Array): Samples['targets'] {
  return takeRows(targets, targets.length / count, order);
}

/** Outputs and targets in the form that metrics take. */
function batchOf(
  { task, columns, fromLogits }: CompiledMetrics,
  outputs: Float32Array,
  targets: Samples['targets'],
): MetricBatch {
  const count = outputs.length / columns;
  if (task === 'values') return { count, columns, targets, outputs };
  // Yes or no is asked of every output by itself, whatever their number.
  const probabilities = fromLogits ? probabilitiesFromLogits(outputs, task === 'binary' ? 1 : columns) : outputs;
  if (task === 'binary') return { count, columns, targets: answersOf(targets, 1), outputs: probabilities };
  return { count, columns, targets: labelsOf(targets, columns), outputs: probabilities };
}

/** A class index per sample; one-hot rows and soft labels stand for their first greatest. */
export function labelsOf(targets: Samples['targets'], columns: number): Uint8Array | Int32Array {
  return targets instanceof Float32Array ? answersOf(targets, columns) : targets;
}
