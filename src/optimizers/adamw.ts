import { type AdamOptions, makeAdam } from './adam-rule.js';
import type { Optimizer } from './optimizer.js';

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter, 2019) by PyTorch's rule:
 * m = β1 · m + (1 - β1) · g; v = β2 · v + (1 - β2) · g²; w = w · (1 - learningRate · weightDecay);
 * w = w - learningRate / (1 - β1^t) · m / (sqrt(v / (1 - β2^t)) + ε).
 *
 * The options are those of `adam`, but `weightDecay` is the share of a weight that a step with learning rate 1 takes
 * away, by default 0.01.
 */
export function adamw(options?: AdamOptions): Optimizer {
  return makeAdam('adamw', options, 0.01);
}
