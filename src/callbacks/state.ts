import { expected } from '../errors.js';
import type { JsonValue } from '../json.js';
import type { CallbackState } from './callback.js';

/**
 * The values of a state that a checkpoint gives back. `fits` says of each field whether a value can be one of this callback.
 *
 * @throws ERR_FORMAT for the state of another callback.
 */
export function readState<T>(
  state: CallbackState,
  owner: string,
  fits: { readonly [K in keyof T]: (value: unknown) => boolean },
): T {
  const { values } = state;
  const fields = (typeof values === 'object' && values !== null ? values : {}) as Record<string, JsonValue>;
  for (const [name, isRight] of Object.entries<(value: unknown) => boolean>(fits)) {
    if (!isRight(fields[name])) {
      const hint = 'Resume with the callbacks of the interrupted fit, in their order.';
      throw expected(`a state with ${name}`, `a resumed ${owner}`, values, hint, 'ERR_FORMAT');
    }
  }
  return fields as T;
}

export const isCount = (value: unknown) => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
export const isNumberOrNull = (value: unknown) => value === null || typeof value === 'number';
