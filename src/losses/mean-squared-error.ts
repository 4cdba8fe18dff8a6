import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';
import { regressionLoss } from './regression.js';

/**
 * The mean over outputs of (prediction - target)²: PyTorch's `MSELoss`. Targets are a Float32Array of [count, outputs].
 * No accuracy.
 */
export function meanSquaredError(options?: Record<never, never>): Loss {
  checkOptions(options, 'meanSquaredError', {});
  return regressionLoss('meanSquaredError', {}, (fields) => ({ op: 'meanSquaredError', ...fields }));
}
