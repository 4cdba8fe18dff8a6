import { expected } from '../errors.js';
import { UsageError } from './usage.js';

/**
 * Readers of option values: text in, checked value out. Each throws a UsageError that names the flag, so that a wrong
 * value is reported before any file is touched.
 */
type Reader<T> = (text: string) => T;

function refuse(what: string, flag: string, text: string, hint = ''): never {
  throw new UsageError(expected(what, flag, text, hint).message);
}

/** A whole number within [min, max], in decimal digits only: "1e3" and "0x10" are more likely slips than numbers. */
export function integer(flag: string, min: number, max: number): Reader<number> {
  return (text) => {
    const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) refuse(`a whole number from ${min} to ${max}`, flag, text);
    return value;
  };
}

/** A finite number; `range` says in words what `accepts` checks. */
export function number(flag: string, range: string, accepts: (value: number) => boolean): Reader<number> {
  return (text) => {
    const value = /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$/i.test(text) ? Number(text) : Number.NaN;
    if (!Number.isFinite(value) || !accepts(value)) refuse(`a number ${range}`, flag, text);
    return value;
  };
}

/** Which part of how many: "2/5". */
export function part(flag: string, max: number): Reader<{ fold: number; folds: number }> {
  return (text) => {
    const [fold, folds] = /^[0-9]+\/[0-9]+$/.test(text) ? text.split('/').map(Number) : [0, 0];
    if (folds < 2 || folds > max || fold < 1 || fold > folds) {
      refuse(`a part and the number of parts, from 2 to ${max}, such as 1/5,`, flag, text);
    }
    return { fold, folds };
  };
}

/** One of a few words. */
export function choice<T extends string>(flag: string, choices: readonly T[]): Reader<T> {
  return (text) => {
    if (!choices.includes(text as T)) refuse(`one of ${choices.join(', ')}`, flag, text);
    return text as T;
  };
}

/** Layer widths: whole numbers with commas between them. */
export function widths(flag: string, max: number): Reader<number[]> {
  return (text) => {
    const parts = text.split(',').map((part) => part.trim());
    const wrong = parts.find((part) => !/^[0-9]+$/.test(part) || Number(part) < 1 || Number(part) > max);
    if (wrong !== undefined)
      refuse(`layer widths from 1 to ${max} with commas between them, such as 128,64,`, flag, text);
    return parts.map(Number);
  };
}

/** Text that must not be empty: names of files and folders. */
export function text(flag: string, what: string): Reader<string> {
  return (value) => {
    if (value.trim() === '') refuse(what, flag, value);
    return value;
  };
}

/** An http or https address. */
export function url(flag: string): Reader<string> {
  return (value) => {
    if (!/^https?:\/\//.test(value) || !URL.canParse(value))
      refuse('an address that begins with http:// or https://', flag, value);
    return value;
  };
}
