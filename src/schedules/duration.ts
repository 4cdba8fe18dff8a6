import { checkInteger, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { FitPosition } from './schedule.js';

/**
 * A length of training: a number of steps, or of epochs, whole or not. Epochs become steps with those of the running `fit`,
 * rounded to whole ones.
 */
export type Duration = number | { epochs: number };

/** Checks a duration of at least one step, or of none where `least` is 0. Throws ERR_ARGUMENT. */
export function checkDuration(value: unknown, name: string, least: 0 | 1 = 1): Duration {
  if (typeof value === 'number') return checkInteger(value, name, least);
  if (typeof value !== 'object' || value === null) {
    throw expected('a number of steps or { epochs: number }', name, value);
  }
  const { epochs } = checkOptions(value as { epochs: number }, name, { epochs: true });
  if (typeof epochs !== 'number' || !Number.isFinite(epochs) || epochs < 0 || (least > 0 && epochs === 0)) {
    throw expected(`a finite number ${least > 0 ? 'above' : 'of at least'} 0`, `${name}.epochs`, epochs);
  }
  return { epochs };
}

/** The steps of a duration. Throws ERR_ARGUMENT for epochs where nobody knows how many steps they have. */
export function stepsOf(duration: Duration, name: string, { stepsPerEpoch }: FitPosition): number {
  if (typeof duration === 'number') return duration;
  const { epochs } = duration;
  if (stepsPerEpoch === null) {
    throw expected(
      'a number of steps',
      name,
      `${epochs} epochs`,
      'How long an epoch is, is not known here: give fit stepsPerEpoch, or give steps.',
    );
  }
  return epochs === 0 ? 0 : Math.max(1, Math.round(epochs * stepsPerEpoch));
}

/**
 * Where a schedule with a beginning and an end stands: without `totalSteps` it is as long as the running fit and begins
 * anew with it, with `totalSteps` it is counted since `compile`. Throws ERR_ARGUMENT where the length is not known.
 */
export function placeWithin(
  totalSteps: Duration | null,
  owner: string,
  step: number,
  fit: FitPosition,
): { place: number; length: number } {
  if (totalSteps !== null) return { place: step, length: stepsOf(totalSteps, `totalSteps of ${owner}`, fit) };
  if (fit.steps === null) throw expected('totalSteps, or a fit of known length,', owner, fit.steps);
  return { place: fit.step, length: fit.steps };
}
