import { expected, MnistTrainError } from '../errors.js';
import { checkOptions, checkSignal } from '../options.js';
import type { Engine } from './engine.js';
import { type PredictInputs, readInputs } from './samples.js';
import type { Stack } from './stack.js';

/** What `Sequential` and `Predictor` share: predictions on the weights published last. */

export interface PredictOptions {
  signal?: AbortSignal;
}

/** With a signal, prediction looks at it between portions that take about so long. */
const PORTION_MILLISECONDS = 5;
/** Samples in the first portion, of which nobody knows how long it takes; and how much more the next one may have. */
const FIRST_PORTION = 32;
const GROWTH = 8;

export function abortedError(what: string, signal: AbortSignal | undefined): MnistTrainError {
  return new MnistTrainError('ERR_ABORTED', `${what} was aborted.`, { cause: signal?.reason });
}

/** See `Sequential.predict`. */
export async function predictSamples(
  engine: Engine,
  stack: Stack,
  inputs: PredictInputs,
  options: PredictOptions | undefined,
): Promise<Float32Array> {
  const signal = checkSignal(checkOptions(options, 'predict', { signal: true }).signal);
  const values = readInputs(inputs, stack);
  if (!signal) return engine.infer(values);
  const { inputSize, outputSize } = stack;
  const count = values.length / inputSize;
  const outputs = new Float32Array(count * outputSize);
  // The caller may move, shrink or change the buffer between portions.
  const own = values.slice();
  let portion = FIRST_PORTION;
  for (let first = 0; first < count; ) {
    if (signal.aborted) throw abortedError('Prediction', signal);
    const end = Math.min(first + portion, count);
    const start = performance.now();
    const answers = await engine.infer(own.subarray(first * inputSize, end * inputSize));
    const perSample = (performance.now() - start) / (end - first);
    outputs.set(answers, first * outputSize);
    portion = Math.max(1, Math.min(Math.floor(PORTION_MILLISECONDS / perSample), GROWTH * portion));
    first = end;
  }
  if (signal.aborted) throw abortedError('Prediction', signal);
  return outputs;
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
