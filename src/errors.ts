/** Stable codes, one per kind of failure. Messages may change; codes do not. */
export type ErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_SHAPE'
  | 'ERR_STATE'
  | 'ERR_DATA'
  | 'ERR_FORMAT'
  | 'ERR_CHECKSUM'
  | 'ERR_DOWNLOAD'
  | 'ERR_FILE'
  | 'ERR_NATIVE_LOAD'
  | 'ERR_NATIVE_BUILD'
  | 'ERR_NON_FINITE'
  | 'ERR_ABORTED';

/** The base class of every error that mnist-train throws on purpose. */
export class MnistTrainError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MnistTrainError';
    this.code = code;
  }
}

const shortened = (text: string) => (text.length > 60 ? `${text.slice(0, 57)}...` : text);

/** Shows a value the way an error message wants it: short, with its type. Safe on anything, parsed JSON included. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(shortened(value));
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) {
    const items = value
      .slice(0, 8)
      .map((item) => (typeof item === 'object' && item !== null ? '...' : shortened(String(item))));
    return `an array [${items.join(', ')}${value.length > 8 ? ', ...' : ''}]`;
  }
  const { name } = (Object.getPrototypeOf(value)?.constructor as { name?: unknown } | undefined) ?? {};
  const type = typeof name === 'string' ? name : 'unknown';
  if (ArrayBuffer.isView(value)) return `${type} of ${(value as Uint8Array).length ?? value.byteLength} elements`;
  return `an object of type ${type}`;
}

/**
 * The one form of message for bad input: "Expected <what> for <name>, received <value>. <hint>".
 * Returns the error, so that callers write `throw expected(...)` and the compiler follows the flow.
 */
export function expected(what: string, name: string, value: unknown, hint = '', code: ErrorCode = 'ERR_ARGUMENT') {
  return new MnistTrainError(
    code,
    `Expected ${what} for ${name}, received ${describeValue(value)}.${hint ? ` ${hint}` : ''}`,
  );
}

/** Checks a whole number within [min, max]. */
export function checkInteger(value: unknown, name: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw expected(`a whole number ${range}`, name, value);
  }
  return value;
}

/** Checks a finite number within [min, max], or [min, max) when `exclusiveMax` is set. */
export function checkNumber(
  value: unknown,
  name: string,
  min = -Infinity,
  max = Infinity,
  exclusiveMax = false,
): number {
  const ok =
    typeof value === 'number' && Number.isFinite(value) && value >= min && (exclusiveMax ? value < max : value <= max);
  if (!ok) {
    const upper = max === Infinity ? '' : exclusiveMax ? ` below ${max}` : ` up to ${max}`;
    const lower = min === -Infinity ? '' : ` from ${min}`;
    throw expected(`a finite number${lower}${upper}`, name, value);
  }
  return value as number;
}

/** Checks that a value is one of a few words. */
export function checkOneOf<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  if (!choices.includes(value as T)) throw expected(`one of ${choices.join(', ')}`, name, value);
  return value as T;
}
