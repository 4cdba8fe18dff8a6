import { expected } from '../errors.js';

/**
 * What a loss makes of a model's outputs. `classes`: one class per sample. `binary`: yes or no, each output by itself.
 * `values`: numbers.
 */
export type MetricTask = 'classes' | 'binary' | 'values';

/** Some samples of an evaluation. Arrays are used again for the next ones. */
export interface MetricBatch {
  count: number;
  /** Outputs of the model per sample. */
  columns: number;
  /** `classes`: a class index per sample. `binary`: 0 or 1, `values`: numbers, both [count, columns] row-major. */
  targets: ArrayLike<number>;
  /** [count, columns] row-major: probabilities with `classes` and `binary`, else what the model gives. */
  outputs: ArrayLike<number>;
}

/** A metric on its way through an evaluation. */
export interface MetricState {
  add(batch: MetricBatch): void;
  /** Over all samples added. */
  result(): number;
}

/** A number that `evaluate` gives beside the loss. Any object of this form may be given to `compile`. */
export interface Metric {
  /** The key in the evaluation; in an epoch's result behind `validation`: precision, validationPrecision. */
  readonly name: string;
  /** What it is defined for. */
  readonly tasks: readonly MetricTask[];
  /** Called once by `compile`, which gives its errors to the caller, and then for every evaluation. */
  begin(task: MetricTask, columns: number): MetricState;
}

export interface MetricOptions {
  /** The name in results, where the usual one is taken. */
  name?: string;
}

/** Names that stand in results already. */
const TAKEN = new Set(['loss', 'accuracy', 'count', 'epoch', 'learningRate', 'seconds']);

/** Checks that a name can be a key in results. Throws ERR_ARGUMENT. */
export function checkMetricName(name: unknown, owner = 'the name of a metric'): string {
  if (typeof name !== 'string' || !/^[a-z][A-Za-z0-9]*$/.test(name) || name.startsWith('validation')) {
    throw expected('letters and digits beginning with a small letter, not with "validation",', owner, name);
  }
  if (TAKEN.has(name)) throw expected('a name that results do not have already', owner, name);
  return name;
}
