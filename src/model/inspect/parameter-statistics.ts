import type { Sequential } from '../sequential.js';
import { stackOf } from '../stack-of.js';

/** What the numbers of one parameter are like. The numbers that are not finite are counted, and left out of the rest. */
export interface ParameterStatistics {
  /** As in the model's file: "0.weight". */
  name: string;
  /** The place of its layer in the list given to `sequential`. */
  layer: number;
  /** As `getWeights` has it. */
  shape: readonly number[];
  /** How many numbers it has. */
  count: number;
  trainable: boolean;
  mean: number;
  /** The standard deviation, with the count in the divisor. */
  deviation: number;
  least: number;
  greatest: number;
  /** The square root of the sum of squares. */
  norm: number;
  /** The share of the numbers that are exactly zero. */
  zeros: number;
  /** How many are NaN or infinite. */
  notFinite: number;
}

/** Statistics of every parameter, in the order of `getWeights`. Throws as `getWeights` does. */
export function parameterStatistics(model: Sequential): ParameterStatistics[] {
  const weights = model.getWeights();
  return stackOf(model).parameters.map(({ name, layer, spec }, index) => ({
    name,
    layer,
    shape: spec.shape,
    count: weights[index].length,
    trainable: spec.trainable,
    ...statisticsOf(weights[index]),
  }));
}

type Statistics = Pick<
  ParameterStatistics,
  'mean' | 'deviation' | 'least' | 'greatest' | 'norm' | 'zeros' | 'notFinite'
>;

/** In float64; NaN where no number is finite. */
export function statisticsOf(values: Float32Array): Statistics {
  let [sum, squares, zeros, finite] = [0, 0, 0, 0];
  let [least, greatest] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    finite++;
    sum += value;
    squares += value * value;
    if (value === 0) zeros++;
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  const mean = sum / finite;
  let deviations = 0;
  for (const value of values) if (Number.isFinite(value)) deviations += (value - mean) ** 2;
  return {
    mean,
    deviation: Math.sqrt(deviations / finite),
    least: finite > 0 ? least : Number.NaN,
    greatest: finite > 0 ? greatest : Number.NaN,
    norm: finite > 0 ? Math.sqrt(squares) : Number.NaN,
    zeros: zeros / values.length,
    notFinite: values.length - finite,
  };
}
