import type { Samples } from '../backends/backend.js';
import { checkInteger, expected } from '../errors.js';
import type { Loss } from '../losses/loss.js';
import { sizeOf } from '../program/program.js';
import type { Stack } from './stack.js';

/** What a model learns from or is measured on. Any `Dataset` is one. */
export interface LabelledSamples {
  /**
   * Row-major, a sample a row. Uint8Array: pixels, read as value / 255. Float32Array or array of numbers: as they are.
   */
  inputs: Uint8Array | Float32Array | readonly number[];
  /** For categoricalCrossentropy class indices; for meanSquaredError numbers of [count, outputs], not a byte array. */
  targets: Uint8Array | Int32Array | Float32Array | readonly number[];
  /** The number of samples; without it, what the inputs hold. */
  count?: number;
  /** The shape of one sample, compared with the model's where given. */
  shape?: readonly number[];
  /** By class index; a model without class names takes them over in `fit`. */
  classNames?: readonly string[];
}

/** What a model predicts on: samples alone, or in a data set. */
export type PredictInputs = Uint8Array | Float32Array | readonly number[] | { inputs: LabelledSamples['inputs'] };

const INPUT_TYPES = 'a Uint8Array of pixels, a Float32Array or an array of numbers';

/**
 * Inputs in a form that a backend takes, checked to be whole samples. Elements of a Float32Array are not looked at: one
 * image must cost microseconds. Throws ERR_ARGUMENT or ERR_SHAPE.
 */
export function readInputs(inputs: PredictInputs, stack: Stack, name = 'inputs'): Uint8Array | Float32Array {
  const array = isSampleArray(inputs) ? inputs : convertInputs(inputs, name);
  if (array.length === 0 || array.length % stack.inputSize !== 0) {
    const shape = `[${stack.inputShape.join(', ')}]`;
    throw expected(
      `a multiple of ${stack.inputSize} numbers, one or more samples of ${shape},`,
      name,
      array,
      '',
      'ERR_SHAPE',
    );
  }
  return array;
}

const isSampleArray = (value: unknown): value is Uint8Array | Float32Array =>
  value instanceof Uint8Array || value instanceof Float32Array;

function convertInputs(inputs: unknown, name: string): Uint8Array | Float32Array {
  const held = typeof inputs === 'object' && inputs !== null && 'inputs' in inputs ? inputs.inputs : inputs;
  const array = Array.isArray(held) ? toFloat32(held, name) : held;
  if (!isSampleArray(array)) throw expected(INPUT_TYPES, name, array);
  return array;
}

/**
 * Samples checked from end to end before the first step: lengths, shape, every label, every number finite.
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function readSamples(data: LabelledSamples, stack: Stack, loss: Loss, name: string): Samples {
  if (typeof data !== 'object' || data === null || !('inputs' in data)) {
    throw expected('an object with inputs and targets', name, data);
  }
  const inputs = readInputs(data.inputs, stack, `${name}.inputs`);
  const count = inputs.length / stack.inputSize;
  if (data.count !== undefined && checkInteger(data.count, `${name}.count`, 1) !== count) {
    throw expected(`${count}, as many samples as the inputs hold,`, `${name}.count`, data.count, '', 'ERR_SHAPE');
  }
  if (data.shape !== undefined) checkShape(data.shape, stack.inputShape, `${name}.shape`);
  const names = data.classNames;
  if (names !== undefined && loss.targets === 'classes' && names.length !== stack.outputSize) {
    throw expected(`${stack.outputSize} classes, one per output,`, `${name}.classNames`, names, '', 'ERR_SHAPE');
  }
  if (inputs instanceof Float32Array) checkFinite(inputs, `${name}.inputs`, stack.inputSize);
  const targets =
    loss.targets === 'classes'
      ? readClasses(data.targets, count, stack.outputSize, `${name}.targets`)
      : readValues(data.targets, count, stack.outputSize, `${name}.targets`);
  return { inputs, targets, count };
}

function readClasses(
  targets: LabelledSamples['targets'],
  count: number,
  classes: number,
  name: string,
): Uint8Array | Int32Array {
  const isArray = Array.isArray(targets);
  if (!isArray && !(targets instanceof Uint8Array) && !(targets instanceof Int32Array)) {
    throw expected(
      'class indices in a Uint8Array, an Int32Array or an array',
      name,
      targets,
      'One-hot rows are not taken: give the index of the class.',
    );
  }
  checkLength(targets, count, name, 'one class index per sample');
  for (let index = 0; index < count; index++) {
    const label = targets[index];
    if (!Number.isInteger(label) || label < 0 || label >= classes) {
      throw expected(
        `a class index from 0 to ${classes - 1}`,
        `${name}[${index}]`,
        label,
        `The model's last layer has ${classes} units, one per class.`,
        'ERR_DATA',
      );
    }
  }
  return isArray ? Int32Array.from(targets) : (targets as Uint8Array | Int32Array);
}

function readValues(targets: LabelledSamples['targets'], count: number, columns: number, name: string): Float32Array {
  if (targets instanceof Uint8Array || targets instanceof Int32Array) {
    throw expected(
      `a Float32Array of [${count}, ${columns}]`,
      `${name} with meanSquaredError`,
      targets,
      `For class indices use oneHot(targets, ${columns}), or the loss categoricalCrossentropy.`,
    );
  }
  const values = Array.isArray(targets) ? toFloat32(targets, name) : targets;
  if (!(values instanceof Float32Array)) throw expected(`a Float32Array of [${count}, ${columns}]`, name, values);
  checkLength(values, count * columns, name, `${columns} per sample`);
  checkFinite(values, name, columns);
  return values;
}

function checkLength(values: ArrayLike<number>, length: number, name: string, why: string): void {
  if (values.length !== length) throw expected(`${length} elements (${why})`, name, values, '', 'ERR_SHAPE');
}

/** Dimensions of 1 do not count, and one side may be flat: [28, 28] and [784] both fit a model of [28, 28, 1]. */
function checkShape(shape: readonly number[], wanted: readonly number[], name: string): void {
  if (Array.isArray(shape) && sizeOf(shape) === sizeOf(wanted)) {
    const essence = (dimensions: readonly number[]) => dimensions.filter((dimension) => dimension !== 1);
    const [a, b] = [essence(shape), essence(wanted)];
    if (a.length <= 1 || b.length <= 1 || a.join() === b.join()) return;
  }
  throw expected(`the model's input shape [${wanted.join(', ')}]`, name, shape, '', 'ERR_SHAPE');
}

function checkFinite(values: Float32Array, name: string, columns: number): void {
  for (let index = 0; index < values.length; index++) {
    // Cheaper than Number.isFinite: NaN and infinities alone give NaN.
    if (values[index] * 0 !== 0) {
      const place = `${name}[${index}] (sample ${Math.floor(index / columns)})`;
      throw expected('a finite number', place, values[index], '', 'ERR_DATA');
    }
  }
}

function toFloat32(values: readonly unknown[], name: string): Float32Array {
  const wrong = values.findIndex((value) => typeof value !== 'number');
  if (wrong >= 0) throw expected('a number', `${name}[${wrong}]`, values[wrong], 'Nested arrays have to be made flat.');
  return Float32Array.from(values as readonly number[]);
}
