import { checkNumber } from './errors.js';
import { checkOptions } from './options.js';

/**
 * Keras's penalties on a layer's weights w: l1 · Σ |w| + l2 · Σ w², whose gradient is added to the loss's. Factors are at
 * least 0; default 0. The loss that `fit` and `evaluate` report is the data's alone, without the penalty.
 */
export interface Regularizer {
  readonly l1?: number;
  readonly l2?: number;
}

/** The penalty factor · Σ |w|, for kernelRegularizer. Throws ERR_ARGUMENT. */
export function l1(factor: number): Regularizer {
  return checkRegularizer({ l1: factor }, 'l1');
}

/** The penalty factor · Σ w², for kernelRegularizer. Throws ERR_ARGUMENT. */
export function l2(factor: number): Regularizer {
  return checkRegularizer({ l2: factor }, 'l2');
}

/** The sum of both penalties, for kernelRegularizer. Throws ERR_ARGUMENT. */
export function l1l2(factors: Regularizer): Regularizer {
  return checkRegularizer(factors, 'l1l2');
}

/** A frozen copy with what was given. Throws ERR_ARGUMENT. */
export function checkRegularizer(value: Regularizer, name: string): Regularizer {
  const given = checkOptions<Regularizer>(value, name, { l1: true, l2: true });
  const factors = (['l1', 'l2'] as const).filter((factor) => given[factor] !== undefined);
  return Object.freeze(
    Object.fromEntries(factors.map((factor) => [factor, checkNumber(given[factor], `${name}.${factor}`, 0)])),
  );
}
