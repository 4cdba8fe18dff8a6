import { expected } from '../errors.js';
import type { Loss } from '../losses/loss.js';
import type { Pieces } from '../pieces.js';
import { checkFinite, findIndex, placeOf, toFloat32 } from './numbers.js';

/** Targets as callers give them. */
export type TargetArray = Uint8Array | Int32Array | Float32Array | readonly number[];

/** How many targets there must be, and what messages call them. */
interface Wanted {
  count: number;
  /** Outputs of the model, which are its classes where the loss is on classes. */
  outputs: number;
  name: string;
}

/** By how much the sum of a row of soft labels may differ from 1. */
const SUM_TOLERANCE = 1e-3;
const ROWS_AT_A_TIME = 1024;
const ROWS_FLAT = 'Rows have to be made flat: targets.flat().';

/**
 * Targets in the form that the loss compares outputs with: class indices, or numbers of [count, outputs]. Every one is
 * checked. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function readTargets(
  targets: TargetArray,
  loss: Loss,
  wanted: Wanted,
): Pieces<Uint8Array | Int32Array | Float32Array> {
  switch (loss.targets) {
    case 'classes':
      return readClasses(targets, wanted);
    case 'binary':
      return readBinary(targets, loss, wanted);
    case 'values':
      return readValues(targets, loss, wanted);
  }
}

const areIntegers = (targets: unknown): targets is Uint8Array | Int32Array =>
  targets instanceof Uint8Array || targets instanceof Int32Array;

function* readClasses(targets: TargetArray, wanted: Wanted): Pieces<Uint8Array | Int32Array | Float32Array> {
  const { count, outputs: classes, name } = wanted;
  if (targets instanceof Float32Array) return yield* readShares(targets, wanted);
  if (Array.isArray(targets)) {
    // With two classes or more the two cannot be confused.
    if (targets.length === count * classes) return yield* readShares(yield* toFloat32(targets, name), wanted);
  } else if (!areIntegers(targets)) {
    const what = `class indices in a Uint8Array, an Int32Array or an array, or a Float32Array of [${count}, ${classes}]`;
    throw expected(what, name, targets);
  }
  const hint = areIntegers(targets) && targets.length === count * classes ? FLOATS_FOR_ROWS : '';
  checkLength(targets, count, name, 'one class index per sample', hint);
  const isClass = (label: unknown) => Number.isInteger(label) && (label as number) >= 0 && (label as number) < classes;
  const index = yield* findIndex<unknown>(targets, (label) => !isClass(label));
  if (index >= 0) {
    const label: unknown = targets[index];
    const why = Array.isArray(label) ? ROWS_FLAT : `The model's last layer has ${classes} units, one per class.`;
    throw expected(`a class index from 0 to ${classes - 1}`, `${name}[${index}]`, label, why, 'ERR_DATA');
  }
  return Array.isArray(targets) ? Int32Array.from(targets) : (targets as Uint8Array | Int32Array);
}

const FLOATS_FOR_ROWS = 'One-hot rows go into a Float32Array, such as Float32Array.from(targets).';

/** One-hot or soft labels: rows of numbers of at least 0 that sum to 1. */
function* readShares(rows: Float32Array, { count, outputs: classes, name }: Wanted): Pieces<Float32Array> {
  const hint = 'Class indices go into a Uint8Array or an Int32Array, such as Int32Array.from(targets).';
  checkLength(rows, count * classes, name, `a row of [${classes}] shares per sample`, hint);
  yield* checkFinite(rows, name, classes);
  for (let row = 0; row < count; row++) {
    let sum = 0;
    for (let index = row * classes; index < (row + 1) * classes; index++) {
      sum += rows[index];
      if (rows[index] >= 0) continue;
      throw expected('a share of at least 0', placeOf(name, index, classes), rows[index], '', 'ERR_DATA');
    }
    if (Math.abs(sum - 1) <= SUM_TOLERANCE) {
      if (row % ROWS_AT_A_TIME === 0) yield;
      continue;
    }
    const why = 'They are one-hot or soft labels. Where a sample may have several labels there is binaryCrossentropy.';
    throw expected('shares that sum to 1', `row ${row} of ${name}`, sum, why, 'ERR_DATA');
  }
  return rows;
}

/** 0, 1 or a number between for every output. */
function* readBinary(targets: TargetArray, loss: Loss, { count, outputs, name }: Wanted): Pieces<Float32Array> {
  const whole = areIntegers(targets);
  if (!whole && !(targets instanceof Float32Array) && !Array.isArray(targets)) {
    const what = `a Uint8Array of 0 and 1 or a Float32Array of numbers from 0 to 1, of [${count}, ${outputs}],`;
    throw expected(what, `${name} with ${loss.name}`, targets);
  }
  const hint =
    outputs > 1 && targets.length === count ? 'For one class index per sample there is categoricalCrossentropy.' : '';
  checkLength(targets, count * outputs, name, `${outputs} per sample`, hint);
  const isTarget = whole ? (value: unknown) => value === 0 || value === 1 : isShare;
  const index = yield* findIndex<unknown>(targets, (value) => !isTarget(value));
  if (index >= 0) {
    const value: unknown = targets[index];
    const why = Array.isArray(value) ? ROWS_FLAT : whole ? 'Integers are not scaled: 1 says yes.' : '';
    throw expected(whole ? '0 or 1' : 'a number from 0 to 1', placeOf(name, index, outputs), value, why, 'ERR_DATA');
  }
  return targets instanceof Float32Array ? targets : Float32Array.from(targets);
}

const isShare = (value: unknown): boolean => typeof value === 'number' && value >= 0 && value <= 1;

/** Any numbers, one for every output. */
function* readValues(targets: TargetArray, loss: Loss, { count, outputs, name }: Wanted): Pieces<Float32Array> {
  const values = Array.isArray(targets) ? yield* toFloat32(targets, name) : targets;
  if (!(values instanceof Float32Array)) {
    const areClasses = areIntegers(values) && outputs > 1 && values.length === count;
    const hint = areClasses
      ? `For class indices use oneHot(targets, ${outputs}), or the loss categoricalCrossentropy.`
      : 'Float32Array.from(targets) makes one of other numbers.';
    throw expected(`a Float32Array of [${count}, ${outputs}]`, `${name} with ${loss.name}`, values, hint);
  }
  checkLength(values, count * outputs, name, `${outputs} per sample`);
  yield* checkFinite(values, name, outputs);
  return values;
}

function checkLength(values: ArrayLike<number>, length: number, name: string, why: string, hint = ''): void {
  if (values.length !== length) throw expected(`${length} elements (${why})`, name, values, hint, 'ERR_SHAPE');
}
