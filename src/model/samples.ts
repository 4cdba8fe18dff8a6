import type { Samples } from '../backends/backend.js';
import { checkInteger, expected } from '../errors.js';
import type { Loss } from '../losses/loss.js';
import { atOnce, type Pieces } from '../pieces.js';
import { sizeOf } from '../program/program.js';
import { checkFinite, findIndex, toFloat32 } from './numbers.js';
import type { Stack } from './stack.js';
import { readTargets, type TargetArray } from './targets.js';

/** What a model learns from or is measured on. Any `Dataset` is one. */
export interface LabelledSamples {
  /**
   * Row-major, a sample a row. Uint8Array: pixels, read as value / 255. Float32Array or array of numbers: as they are.
   */
  inputs: Uint8Array | Float32Array | readonly number[];
  /**
   * What the loss compares outputs with. categoricalCrossentropy: class indices (Uint8Array, Int32Array, array), or one-hot
   * or soft labels (Float32Array of [count, classes]). binaryCrossentropy: per output 0 or 1, or a Float32Array of numbers
   * from 0 to 1. Losses on numbers: a Float32Array or array of [count, outputs], not bytes.
   */
  targets: TargetArray;
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
  const array = Array.isArray(held) ? atOnce(toFloat32(held, name)) : held;
  if (!isSampleArray(array)) throw expected(INPUT_TYPES, name, array);
  return array;
}

/**
 * Samples checked from end to end before the first step: lengths, shape, every label, every number finite.
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function* readSamples(data: LabelledSamples, stack: Stack, loss: Loss, name: string): Pieces<Samples> {
  if (typeof data !== 'object' || data === null || !('inputs' in data)) {
    throw expected('an object with inputs and targets', name, data);
  }
  const given = data.inputs;
  const isArray = Array.isArray(given) && !isSampleArray(given);
  const inputs = readInputs(isArray ? yield* toFloat32(given, `${name}.inputs`) : given, stack, `${name}.inputs`);
  const count = inputs.length / stack.inputSize;
  if (data.count !== undefined && checkInteger(data.count, `${name}.count`, 1) !== count) {
    throw expected(`${count}, as many samples as the inputs hold,`, `${name}.count`, data.count, '', 'ERR_SHAPE');
  }
  if (data.shape !== undefined) checkShape(data.shape, stack.inputShape, `${name}.shape`);
  const names = data.classNames;
  if (names !== undefined && loss.targets === 'classes' && names.length !== stack.outputSize) {
    throw expected(`${stack.outputSize} classes, one per output,`, `${name}.classNames`, names, '', 'ERR_SHAPE');
  }
  if (inputs instanceof Float32Array) yield* checkFinite(inputs, `${name}.inputs`, stack.inputSize);
  const targets = yield* readTargets(data.targets, loss, { count, outputs: stack.outputSize, name: `${name}.targets` });
  return { inputs, targets, count };
}

/** Beyond [0, 1] by so much, floats are no bytes / 255. */
const MARGIN = 0.5;

/**
 * Refuses inputs for validation that come on another scale than those for training: bytes, which are read as value / 255,
 * on the one side, and on the other floats that are not between 0 and 1. Throws ERR_DATA.
 */
export function* checkAlike(train: Samples, validation: Samples): Pieces<void> {
  const bytes = [train, validation].find(({ inputs }) => inputs instanceof Uint8Array);
  const floats = [train, validation].find(({ inputs }) => inputs instanceof Float32Array);
  if (!bytes || !floats) return;
  const beyond = yield* findIndex(floats.inputs, (value) => value > 1 + MARGIN || value < -MARGIN);
  if (beyond < 0) return;
  const value = floats.inputs[beyond];
  if (floats === validation) {
    const what = 'a number from 0 to 1, as the bytes of data.inputs are read,';
    const hint = 'Pass the bytes themselves in a Uint8Array, or divide them by 255.';
    throw expected(what, `validationData.inputs[${beyond}]`, value, hint, 'ERR_DATA');
  }
  const hint = `Bytes are read as value / 255, and data.inputs[${beyond}] is ${value}: give both on one scale.`;
  throw expected('a Float32Array, as data.inputs is,', 'validationData.inputs', validation.inputs, hint, 'ERR_DATA');
}

/** Dimensions of 1 do not count, and one side may be flat: [28, 28] and [784] both fit a model of [28, 28, 1]. */
export function checkShape(shape: readonly number[], wanted: readonly number[], name: string): void {
  if (Array.isArray(shape) && sizeOf(shape) === sizeOf(wanted)) {
    const essence = (dimensions: readonly number[]) => dimensions.filter((dimension) => dimension !== 1);
    const [a, b] = [essence(shape), essence(wanted)];
    if (a.length <= 1 || b.length <= 1 || a.join() === b.join()) return;
  }
  throw expected(`the model's input shape [${wanted.join(', ')}]`, name, shape, '', 'ERR_SHAPE');
}
