import { expected } from '../errors.js';
import { adam } from './adam.js';
import type { Optimizer } from './optimizer.js';
import { sgd } from './sgd.js';

const OPTIMIZERS = { sgd, adam };
export type OptimizerName = keyof typeof OPTIMIZERS;

/** An optimizer by name, with its default options, or as it is. Throws ERR_ARGUMENT. */
export function resolveOptimizer(optimizer: OptimizerName | Optimizer): Optimizer {
  if (typeof optimizer === 'string' && Object.hasOwn(OPTIMIZERS, optimizer)) return OPTIMIZERS[optimizer]();
  if (typeof optimizer === 'object' && optimizer !== null && typeof optimizer.lower === 'function') return optimizer;
  throw expected(
    `one of ${Object.keys(OPTIMIZERS).join(', ')} or an optimizer made by their functions`,
    'optimizer',
    optimizer,
  );
}
