import { checkNumber } from './errors.js';
import { checkOptions } from './options.js';

/** What a layer's weights must keep to. After every update, weights that do not are changed to do so. */
export interface Constraint {
  /**
   * The greatest Euclidean norm of the weights that lead to one output (a unit of a dense layer, a filter of a
   * convolution), at least 0; longer ones are scaled down.
   */
  readonly maxNorm: number;
}

/** A frozen copy. Throws ERR_ARGUMENT. */
export function checkConstraint(value: Constraint, name: string): Constraint {
  const { maxNorm } = checkOptions<Constraint>(value, name, { maxNorm: true });
  return Object.freeze({ maxNorm: checkNumber(maxNorm, `${name}.maxNorm`, 0) });
}
