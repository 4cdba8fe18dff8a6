import { describeValue, expected } from './errors.js';

/** Every option of T by name. The compiler holds the list to the type: a missing or extra name does not compile. */
export type OptionNames<T> = { readonly [K in keyof Required<T>]: true };

/**
 * Checks that `options` is an object whose keys are all known, so that a misspelt option cannot pass silently.
 * `undefined` means no options. Throws ERR_ARGUMENT.
 */
export function checkOptions<T extends object>(options: T | undefined, owner: string, names: OptionNames<T>): T {
  if (options === undefined) return {} as T;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw expected('an object', `the options of ${owner}`, options);
  }
  const known = Object.keys(names);
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    const meant = known.find((name) => name.toLowerCase() === key.toLowerCase());
    throw expected(
      `one of ${known.join(', ')}`,
      `an option of ${owner}`,
      key,
      meant ? `Did you mean ${describeValue(meant)}?` : '',
    );
  }
  return options;
}

/** Checks true or false. */
export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw expected('true or false', name, value);
  return value;
}

/** Checks a function, or nothing. */
export function checkCallback<T>(value: T | undefined, name: string): T | undefined {
  if (value !== undefined && typeof value !== 'function') throw expected('a function', name, value);
  return value;
}

/** Checks an AbortSignal, or nothing. */
export function checkSignal(value: AbortSignal | undefined): AbortSignal | undefined {
  if (value !== undefined && !(value instanceof AbortSignal)) throw expected('an AbortSignal', 'signal', value);
  return value;
}
