import type { BoundData, RunProgress } from '../backends/backend.js';
import type { Loss } from '../losses/loss.js';
import type { Engine } from './engine.js';

export const EVALUATION_BATCH_SIZE = 256;

/** Means over samples. */
export interface Means {
  loss: number;
  /** Only with losses on classes. */
  accuracy?: number;
}

export interface EvaluationRequest {
  data: BoundData;
  order: Uint32Array;
  batchSize?: number;
  signal?: AbortSignal;
}

/** Loss and accuracy over some samples; null when the signal came first. */
export async function evaluate(engine: Engine, loss: Loss, request: EvaluationRequest): Promise<Means | null> {
  if (request.signal?.aborted) return null;
  return engine.inTurn(() => evaluateNow(engine, loss, request));
}

/** The same, for a caller whose turn it is. */
export async function evaluateNow(
  engine: Engine,
  loss: Loss,
  { data, order, batchSize = EVALUATION_BATCH_SIZE, signal }: EvaluationRequest,
): Promise<Means | null> {
  const rows = Math.min(batchSize, order.length);
  const request = { data, order, batchSize: rows, scalars: null, options: { signal } };
  const run = await engine.run('evaluate', request);
  return run.aborted ? null : meansOf(run, loss);
}

/** The numbers from `start` to `end` - 1. */
export function indices(start: number, end: number): Uint32Array {
  const order = new Uint32Array(end - start);
  for (let index = 0; index < order.length; index++) order[index] = start + index;
  return order;
}

export function meansOf({ samples, lossSum, correct }: RunProgress, loss: Loss): Means {
  const mean = lossSum / samples;
  return loss.targets === 'classes' ? { loss: mean, accuracy: correct / samples } : { loss: mean };
}
