import { expected, MnistTrainError } from '../errors.js';
import { checkOptions, checkSignal } from '../options.js';
import type { Engine } from './engine.js';
import { type PredictInputs, readInputs } from './samples.js';
import type { Stack } from './stack.js';

/** What `Sequential` and `Predictor` share: predictions on the weights published last. */

export interface PredictOptions {
  signal?: AbortSignal;
}

/** With a signal, prediction looks at it between portions of this many samples. */
const PREDICTION_PORTION = 4096;

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
  for (let first = 0; first < count; first += PREDICTION_PORTION) {
    if (signal.aborted) throw abortedError('Prediction', signal);
    const portion = values.subarray(first * inputSize, (first + PREDICTION_PORTION) * inputSize);
    outputs.set(await engine.infer(portion), first * outputSize);
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
