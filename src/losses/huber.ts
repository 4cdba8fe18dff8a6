import { checkNumber, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';
import { regressionLoss } from './regression.js';

export interface HuberOptions {
  /** δ, where the square ends and the straight line begins, above 0; default 1. */
  delta?: number;
}

/**
 * The mean over outputs, with d = prediction - target, of
 *
 *     d² / 2               where |d| <= δ
 *     δ (|d| - δ / 2)      elsewhere
 *
 * (Huber, 1964; PyTorch's `HuberLoss`): a square near the target, and outliers pull no more than at δ. Targets are a
 * Float32Array of [count, outputs]. No accuracy.
 */
export function huber(options?: HuberOptions): Loss {
  const checked = checkOptions(options, 'huber', { delta: true });
  const delta = checkNumber(checked.delta ?? 1, 'delta', 0);
  // The kernels compute in float32.
  if (Math.fround(delta) < 2 ** -126 || Math.fround(delta) === Infinity) {
    throw expected('a number above 0 that float32 can hold', 'delta', delta);
  }
  return regressionLoss('huber', { delta }, (fields) => ({ op: 'huber', ...fields, delta }));
}
