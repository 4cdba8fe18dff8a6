import { checkOptions } from '../options.js';
import type { Loss } from './loss.js';
import { regressionLoss } from './regression.js';

/**
 * The mean over outputs of |prediction - target|, whose gradient is the difference's sign, 0 at 0: PyTorch's `L1Loss`.
 * Outliers pull less than with meanSquaredError. Targets are a Float32Array of [count, outputs]. No accuracy.
 */
export function meanAbsoluteError(options?: Record<never, never>): Loss {
  checkOptions(options, 'meanAbsoluteError', {});
  return regressionLoss('meanAbsoluteError', {}, (fields) => ({ op: 'meanAbsoluteError', ...fields }));
}
