import { isCount } from '../../callbacks/state.js';
import { describeValue, MnistTrainError } from '../../errors.js';
import type { JsonValue } from '../../json.js';
import type { OptimizerState } from '../../optimizers/optimizer.js';
import type { FitState } from './state.js';

export const FORMAT_VERSION = 1;

/** The JSON of a checkpoint. */
export interface SavedState {
  formatVersion: number;
  setup: JsonValue;
  fit: FitState;
  optimizer: OptimizerState;
  schedule: JsonValue;
  callbacks: { values: JsonValue; weights: number }[];
}

/** Checks of values, and of the fields of objects, at any depth. */
type Form = ((value: unknown) => boolean) | { readonly [name: string]: Form };

const isNumber = (value: unknown) => typeof value === 'number';
const isText = (value: unknown) => typeof value === 'string';
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isListOf = (form: Form) => (value: unknown) =>
  Array.isArray(value) && value.every((each) => misfit(each, form, '') === null);

const EPOCH_RESULT = { epoch: isCount, loss: isNumber, learningRate: isNumber, seconds: isNumber };
const isEpochResult = (value: unknown) =>
  misfit(value, EPOCH_RESULT, '') === null && Object.values(value as object).every(isNumber);

const FORM: Form = {
  fit: {
    before: isCount,
    results: isListOf(isEpochResult),
    steps: isCount,
    trainSeconds: isNumber,
    epoch: {
      steps: isCount,
      samples: isCount,
      lossSum: isNumber,
      correct: isNumber,
      learningRate: isNumber,
      seconds: isNumber,
    },
    stopReason: (value) => value === null || isText(value),
  },
  optimizer: { step: isCount, powers: isListOf(isNumber) },
  callbacks: isListOf({ weights: isCount }),
};

/**
 * The state in a checkpoint, which may come from anywhere: its digest says that it is as it was written, not who wrote it.
 * Throws ERR_FORMAT for one of another version and for what is no such state.
 */
export function checkSavedState(state: JsonValue, path: string): SavedState {
  const version = isObject(state) ? state.formatVersion : undefined;
  if (version !== FORMAT_VERSION) {
    throw new MnistTrainError(
      'ERR_FORMAT',
      `Expected a checkpoint of format ${FORMAT_VERSION} in ${path}, received ${describeValue(version)}: it was written by another version of mnist-train.`,
    );
  }
  const wrong = misfit(state, FORM, '');
  if (wrong) {
    throw new MnistTrainError(
      'ERR_FORMAT',
      `Expected where training stands in the checkpoint ${path}, received ${describeValue(wrong.value)} for ${wrong.name}. Choose another folder, or remove this checkpoint.`,
    );
  }
  return state as unknown as SavedState;
}

/** The first field that is not of its form; null when all are. */
function misfit(value: unknown, form: Form, name: string): { name: string; value: unknown } | null {
  if (typeof form === 'function') return form(value) ? null : { name, value };
  if (!isObject(value)) return { name, value };
  for (const [field, inner] of Object.entries(form)) {
    const own = Object.hasOwn(value, field) ? value[field] : undefined;
    const wrong = misfit(own, inner, name === '' ? field : `${name}.${field}`);
    if (wrong) return wrong;
  }
  return null;
}
