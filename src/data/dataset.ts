import type { Samples } from '../backends/backend.js';
import { checkInteger, expected } from '../errors.js';

/** Samples with the shape of one of them, and names for the classes where they have some. */
export interface Dataset extends Samples {
  /** One sample, row-major, channels last: [28, 28, 1] for MNIST. */
  shape: readonly number[];
  /** By class index. */
  classNames?: readonly string[];
}

/**
 * Class indices as rows of [count, classes] with a 1 at the class and 0 elsewhere: targets for categoricalCrossentropy,
 * which takes the indices as well, and for losses on numbers.
 * Throws ERR_DATA naming the first label outside 0 .. classes - 1.
 */
export function oneHot(labels: ArrayLike<number>, classes: number): Float32Array {
  checkInteger(classes, 'classes', 1);
  const rows = new Float32Array(labels.length * classes);
  for (let index = 0; index < labels.length; index++) {
    const label = labels[index];
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw expected(`a class index from 0 to ${classes - 1}`, `label ${index}`, label, '', 'ERR_DATA');
    }
    rows[index * classes + label] = 1;
  }
  return rows;
}
