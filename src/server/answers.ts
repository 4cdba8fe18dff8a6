import type { Predictor } from '../index.js';
import { type Pieces, spans } from '../pieces.js';
import { HttpError } from './http-error.js';

/**
 * The JSON of a prediction, put together by hand: general serializers take longer than the prediction itself. Numbers are
 * written so that they read back as the same float32.
 */

const SAMPLES_IN_A_PIECE = 16;

/**
 * One sample's outputs: { class, label, probability, probabilities } after softmax, { outputs } otherwise. Throws a 422
 * for numbers that JSON cannot say.
 */
export function answerOf(outputs: Float32Array, { outputActivation, classNames }: Predictor): string {
  if (!outputs.every(Number.isFinite)) {
    throw new HttpError(422, 'The outputs for these numbers are not finite. Scale them as in training.');
  }
  const list = `[${outputs.join(',')}]`;
  if (outputActivation !== 'softmax') return `{"outputs":${list}}`;
  let best = 0;
  for (let index = 1; index < outputs.length; index++) if (outputs[index] > outputs[best]) best = index;
  const label = JSON.stringify(classNames?.[best] ?? String(best));
  return `{"class":${best},"label":${label},"probability":${outputs[best]},"probabilities":${list}}`;
}

/** { predictions: [...] } of several samples; thousands of them take tens of milliseconds. */
export function* answersOf(outputs: Float32Array, count: number, predictor: Predictor): Pieces<string> {
  const size = outputs.length / count;
  const answers: string[] = [];
  for (const [begin, end] of spans(count, SAMPLES_IN_A_PIECE)) {
    for (let index = begin; index < end; index++) {
      answers.push(answerOf(outputs.subarray(index * size, (index + 1) * size), predictor));
    }
    yield;
  }
  return `{"predictions":[${answers.join(',')}]}`;
}
