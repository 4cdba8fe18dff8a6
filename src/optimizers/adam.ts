import { type AdamOptions, makeAdam } from './adam-rule.js';
import type { Optimizer } from './optimizer.js';

export type { AdamOptions };

/**
 * Adam (Kingma and Ba, 2015) by PyTorch's rule:
 * g = gradient + weightDecay · w; m = β1 · m + (1 - β1) · g; v = β2 · v + (1 - β2) · g²;
 * w = w - learningRate / (1 - β1^t) · m / (sqrt(v / (1 - β2^t)) + ε).
 *
 * `weightDecay` is the factor of the L2 penalty's gradient, default 0; `adamw` has the decoupled one.
 */
export function adam(options?: AdamOptions): Optimizer {
  return makeAdam('adam', options, 0);
}
