import { expected } from '../errors.js';

/** Checks of the numbers in inputs and targets. */

/** How messages call one of them. */
export const placeOf = (name: string, index: number, columns: number) =>
  `${name}[${index}] (sample ${Math.floor(index / columns)})`;

/** Throws ERR_DATA, naming the first number that is not finite. `columns` is the number of values per sample. */
export function checkFinite(values: Float32Array, name: string, columns: number): void {
  for (let index = 0; index < values.length; index++) {
    // Cheaper than Number.isFinite: NaN and infinities alone give NaN.
    if (values[index] * 0 !== 0) {
      throw expected('a finite number', placeOf(name, index, columns), values[index], '', 'ERR_DATA');
    }
  }
}

/** Numbers of a plain array in a typed one. Throws ERR_ARGUMENT. */
export function toFloat32(values: readonly unknown[], name: string): Float32Array {
  const wrong = values.findIndex((value) => typeof value !== 'number');
  if (wrong >= 0) throw expected('a number', `${name}[${wrong}]`, values[wrong], 'Nested arrays have to be made flat.');
  return Float32Array.from(values as readonly number[]);
}
