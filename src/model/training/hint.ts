import type { EpochResult } from '../../epoch-result.js';
import type { Engine } from '../engine.js';
import type { Stack } from '../stack.js';
import { silentLayers } from './diagnosis.js';
import type { Training } from './state.js';

/** Fewer steps say nothing yet. */
const LEAST_STEPS = 100;
/** So close to the loss of guessing, nothing was learned: a network that only knows how frequent the classes are. */
const FLAT = 0.99;

/**
 * A word of advice for a model that does not learn: after an epoch its loss is still ln(classes), what guessing gives.
 * Null when there is nothing to say.
 */
export function notLearningHint(
  result: EpochResult,
  steps: number,
  { loss }: Training,
  stack: Stack,
  engine: Engine,
): string | null {
  const classes = stack.outputSize;
  const guessing = Math.log(classes);
  if (loss.config.classWeights) return null; // no such simple loss to compare with
  if (loss.targets !== 'classes' || classes < 2 || steps < LEAST_STEPS || !(result.loss >= FLAT * guessing))
    return null;
  const silent = silentLayers(engine, stack);
  const cause =
    silent.length > 0
      ? `Every output of ${silent.join(' and ')} is zero, so nothing passes: make the model again and train it with a lower learning rate, or use leakyRelu.`
      : 'Try another learning rate (find-lr names one), check that labels belong to their samples, and scale inputs to about 0 to 1.';
  return (
    `The model does not learn: after epoch ${result.epoch} the loss is ${result.loss.toFixed(4)}, ` +
    `and guessing among ${classes} classes gives ln ${classes} = ${guessing.toFixed(4)}. ${cause}`
  );
}
