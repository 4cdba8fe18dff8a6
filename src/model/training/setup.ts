import type { Samples } from '../../backends/backend.js';
import { digestOf } from '../../digest.js';
import { MnistTrainError } from '../../errors.js';
import type { JsonValue } from '../../json.js';
import type { Pieces } from '../../pieces.js';
import { initialScheduleState, isMetricSchedule, type Schedule, scheduleAt } from '../../schedules/schedule.js';
import type { ModelConfig } from '../serialization.js';
import type { FitPlan } from './plan.js';
import type { Training } from './state.js';

/**
 * What a run is: model, training and data. A checkpoint holds it, and a run that resumes must be the same one, or its
 * weights would be those of neither.
 */
export function* describeSetup(
  config: ModelConfig,
  { optimizer, loss, augmentation }: Training,
  plan: FitPlan,
): Pieces<JsonValue> {
  const { memory, stream, epochs, stepsPerEpoch, validation } = plan;
  const steps = memory
    ? epochs * Math.ceil(memory.trainCount / memory.batchSize)
    : stepsPerEpoch && epochs * stepsPerEpoch;
  return plain({
    model: { ...config, classNames: undefined },
    optimizer: { name: optimizer.name, ...optimizer.config },
    loss: { name: loss.name, ...loss.config },
    augmentation,
    epochs,
    batchSize: memory?.batchSize ?? stream?.batchSize ?? null,
    shuffle: memory?.shuffle ?? false,
    stepsPerEpoch,
    samples: memory ? { count: memory.trainCount, sha256: yield* digest(memory.samples) } : 'a stream',
    validationSamples:
      validation && validation !== memory?.samples
        ? { count: validation.count, sha256: yield* digest(validation) }
        : null,
    // Follows from the lengths above as well, so that those are named first where they differ.
    schedule: isMetricSchedule(optimizer.learningRate) ? (optimizer.learningRate.config ?? null) : null,
    learningRate: ratesOf(optimizer.learningRate, steps, steps && steps / epochs),
  });
}

/** Functions cannot be compared, but what they give at some steps can. */
function ratesOf(schedule: Schedule, steps: number | null, stepsPerEpoch: number | null): number[] {
  // Of a stream whose length nobody knows, only the first step is certain to come.
  const last = (steps ?? 1) - 1;
  return [0, 0.1, 0.5, 0.9, 1].map((part) => {
    const step = Math.round(part * last);
    return scheduleAt(schedule, step, { step, steps, stepsPerEpoch }, initialScheduleState(schedule));
  });
}

function digest({ inputs, targets }: Samples): Pieces<string> {
  const parts = [inputs, targets].flatMap((values) => [
    Buffer.from(values.constructor.name),
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  ]);
  return digestOf('sha256', parts);
}

const plain = (value: unknown): JsonValue => JSON.parse(JSON.stringify(value));

/** Throws ERR_STATE, naming the first difference, when two setups are not the same. */
export function checkSameSetup(now: JsonValue, then: JsonValue, path: string): void {
  const difference = firstDifference(now, then, '');
  if (difference === null) return;
  const { name, values } = difference;
  throw new MnistTrainError(
    'ERR_STATE',
    `Expected ${values[1]} for ${name}, as in the checkpoint ${path}, received ${values[0]}. ` +
      'Resume with the same model, data and options, or train anew in another folder.',
  );
}

function firstDifference(a: JsonValue, b: JsonValue, name: string): { name: string; values: [string, string] } | null {
  if (isTree(a) && isTree(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const [x, y] = [(a as Record<string, JsonValue>)[key], (b as Record<string, JsonValue>)[key]];
      const found = firstDifference(x ?? null, y ?? null, name === '' ? key : `${name}.${key}`);
      if (found) return found;
    }
    return null;
  }
  return a === b ? null : { name, values: [JSON.stringify(a), JSON.stringify(b)] };
}

const isTree = (value: JsonValue): value is Exclude<JsonValue, string | number | boolean | null> =>
  typeof value === 'object' && value !== null;
