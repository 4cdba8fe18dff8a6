import { expected } from '../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../pieces.js';

/** Checks of the numbers in inputs and targets. */

/** Numbers that are looked at between two places to pause. */
const AT_A_TIME = PIECE_BYTES / 4;

/** How messages call one of them. */
export const placeOf = (name: string, index: number, columns: number) =>
  `${name}[${index}] (sample ${Math.floor(index / columns)})`;

/** Throws ERR_DATA, naming the first number that is not finite. `columns` is the number of values per sample. */
export function* checkFinite(values: Float32Array, name: string, columns: number): Pieces<void> {
  const index = yield* findNonFinite(values);
  if (index >= 0) throw expected('a finite number', placeOf(name, index, columns), values[index], '', 'ERR_DATA');
}

/** The place of the first number that is NaN or infinite; -1 when all are finite. */
export function* findNonFinite(values: Float32Array): Pieces<number> {
  for (const [begin, end] of spans(values.length, AT_A_TIME)) {
    // Cheaper than Number.isFinite: NaN and infinities alone give NaN.
    for (let index = begin; index < end; index++) if (values[index] * 0 !== 0) return index;
    yield;
  }
  return -1;
}

/** The place of the first element of which `test` is true; -1 when there is none. */
export function* findIndex<T>(values: ArrayLike<T>, test: (value: T, index: number) => boolean): Pieces<number> {
  for (const [begin, end] of spans(values.length, AT_A_TIME)) {
    for (let index = begin; index < end; index++) if (test(values[index], index)) return index;
    yield;
  }
  return -1;
}

/** Numbers of a plain array in a typed one. Throws ERR_ARGUMENT. */
export function* toFloat32(values: readonly unknown[], name: string): Pieces<Float32Array> {
  const numbers = new Float32Array(values.length);
  for (const [begin, end] of spans(values.length, AT_A_TIME)) {
    for (let index = begin; index < end; index++) {
      const value = values[index];
      if (typeof value !== 'number') {
        throw expected('a number', `${name}[${index}]`, value, 'Nested arrays have to be made flat.');
      }
      numbers[index] = value;
    }
    yield;
  }
  return numbers;
}
