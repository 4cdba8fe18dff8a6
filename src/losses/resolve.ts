import { expected } from '../errors.js';
import { binaryCrossentropy } from './binary-crossentropy.js';
import { categoricalCrossentropy } from './categorical-crossentropy.js';
import { huber } from './huber.js';
import type { Loss } from './loss.js';
import { meanAbsoluteError } from './mean-absolute-error.js';
import { meanSquaredError } from './mean-squared-error.js';

const LOSSES = { categoricalCrossentropy, binaryCrossentropy, meanSquaredError, meanAbsoluteError, huber };
export type LossName = keyof typeof LOSSES;

/** A loss by name, with its default options, or as it is. Throws ERR_ARGUMENT. */
export function resolveLoss(loss: LossName | Loss): Loss {
  if (typeof loss === 'string' && Object.hasOwn(LOSSES, loss)) return LOSSES[loss]();
  if (typeof loss === 'object' && loss !== null && typeof loss.lower === 'function') return loss;
  throw expected(`one of ${Object.keys(LOSSES).join(', ')} or a loss made by their functions`, 'loss', loss);
}
