import { expected } from '../errors.js';
import { checkOptions, checkSignal } from '../options.js';
import { spans, turnTaker } from '../pieces.js';
import { throwIfAborted } from './abort.js';
import type { Engine } from './engine.js';
import { type PredictInputs, readInputs } from './samples.js';
import type { Stack } from './stack.js';

/** What `Sequential` and `Predictor` share: predictions on the weights published last. */

export interface PredictOptions {
  signal?: AbortSignal;
}

/** Inputs up to so many bytes are copied when `predict` is called, larger ones while it goes on. */
const COPIED_BYTES = 2 ** 22;
/** What is copied between two turns of the event loop. */
const PORTION_BYTES = 2 ** 20;
/** With a signal, prediction looks at it between portions that take about so long. */
const PORTION_MILLISECONDS = 5;
/** Samples in the first of those, of which nobody knows how long it takes; and how much more the next one may have. */
const FIRST_PORTION = 32;
const GROWTH = 8;

/** See `Sequential.predict`. */
export async function predictSamples(
  engine: Engine,
  stack: Stack,
  inputs: PredictInputs,
  options: PredictOptions | undefined,
): Promise<Float32Array> {
  const signal = checkSignal(checkOptions(options, 'predict', { signal: true }).signal);
  const values = readInputs(inputs, stack);
  const isSmall = values.byteLength <= COPIED_BYTES;
  if (!signal && isSmall) return engine.infer(values);
  const { inputSize, outputSize } = stack;
  const count = values.length / inputSize;
  // The caller may move, shrink or change the buffer between portions.
  const own = isSmall ? values.slice() : values;
  const outputs = new Float32Array(count * outputSize);
  const predict = async (first: number, end: number) => {
    throwIfAborted('Prediction', signal);
    if (own.length !== count * inputSize) {
      throw expected(
        `an array that keeps its ${count * inputSize} elements until it is read`,
        'inputs',
        own,
        '',
        'ERR_SHAPE',
      );
    }
    outputs.set(await engine.infer(own.subarray(first * inputSize, end * inputSize)), first * outputSize);
  };
  const mostSamples = Math.max(1, Math.floor(PORTION_BYTES / (inputSize * own.BYTES_PER_ELEMENT)));
  if (signal) await predictPromptly(predict, count, mostSamples);
  else await predictOverlapped(predict, count, mostSamples);
  throwIfAborted('Prediction', signal);
  return outputs;
}

type PredictPortion = (first: number, end: number) => Promise<void>;

/** In portions that leave off soon after the signal. */
async function predictPromptly(predict: PredictPortion, count: number, mostSamples: number): Promise<void> {
  const takeTurn = turnTaker();
  let portion = FIRST_PORTION;
  for (let first = 0; first < count; ) {
    const end = Math.min(first + portion, first + mostSamples, count);
    const start = performance.now();
    await predict(first, end);
    const perSample = (performance.now() - start) / (end - first);
    portion = Math.max(1, Math.min(Math.floor(PORTION_MILLISECONDS / perSample), GROWTH * portion));
    first = end;
    await takeTurn();
  }
}

/** A portion is copied while the one before it is computed. */
async function predictOverlapped(predict: PredictPortion, count: number, mostSamples: number): Promise<void> {
  const takeTurn = turnTaker();
  let before: Promise<void> = Promise.resolve();
  for (const [first, end] of spans(count, mostSamples)) {
    const portion = predict(first, end);
    portion.catch(() => {}); // when the one before fails, nobody asks for this one
    await before;
    before = portion;
    await takeTurn();
  }
  await before;
}

/** See `Sequential.predictSync`. */
export function predictSamplesSync(
  engine: Engine,
  stack: Stack,
  inputs: PredictInputs,
  output: Float32Array | undefined,
): Float32Array {
  const values = readInputs(inputs, stack);
  const size = (values.length / stack.inputSize) * stack.outputSize;
  if (output !== undefined && (!(output instanceof Float32Array) || output.length !== size)) {
    throw expected(`a Float32Array of ${size} elements`, 'output', output, '', 'ERR_SHAPE');
  }
  const target = output ?? new Float32Array(size);
  engine.inferSync(values, target);
  return target;
}
