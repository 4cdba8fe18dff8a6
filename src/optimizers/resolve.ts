import { expected } from '../errors.js';
import { adagrad } from './adagrad.js';
import { adam } from './adam.js';
import { adamw } from './adamw.js';
import { lion } from './lion.js';
import type { Optimizer } from './optimizer.js';
import { rmsprop } from './rmsprop.js';
import { sgd } from './sgd.js';

const OPTIMIZERS = { sgd, adam, adamw, rmsprop, adagrad, lion };
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
