import { checkOptions } from '../options.js';
import { activationLayer } from './activation.js';
import type { Layer } from './layer.js';

/** Probabilities from a row of numbers, as activation({ activation: 'softmax' }) makes them; belongs at a model's end. */
export function softmax(options?: Record<never, never>): Layer {
  checkOptions(options, 'softmax', {});
  return activationLayer(Object.freeze({ type: 'softmax' }), 'softmax', 0);
}
