import type { EpochResult } from '../epoch-result.js';
import { expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Callback } from './callback.js';
import { type EpochLines, EpochLog } from './epoch-log.js';

export interface JsonLinesLoggerOptions {
  /** Whether lines go behind those that the file has; otherwise a new fit replaces it. Default false. */
  append?: boolean;
}

/**
 * Writes the result of each epoch into a file, one JSON object a line (https://jsonlines.org); a number that is not finite
 * is null. The file is whole after every epoch; folders are made. A resumed fit goes on behind the lines of the epochs before.
 *
 * Throws ERR_ARGUMENT for wrong options. A file that cannot be written ends the fit with ERR_FILE, one to append to that
 * has something else with ERR_FORMAT.
 */
export function jsonLinesLogger(path: string, options?: JsonLinesLoggerOptions): Callback {
  const { append = false } = checkOptions(options, 'jsonLinesLogger', { append: true });
  const read = (text: string, source: string) => new JsonLines(text, source);
  return new EpochLog({ owner: 'jsonLinesLogger', path, append, read });
}

class JsonLines implements EpochLines {
  readonly #lines: string[];
  readonly #epochs: number[];

  constructor(text: string, source: string) {
    this.#lines = text.split(/\r?\n/).filter((line) => line !== '');
    this.#epochs = this.#lines.map((line) => epochOf(line, source));
  }

  get count(): number {
    return this.#lines.length;
  }

  epochAt(index: number): number {
    return this.#epochs[index];
  }

  cut(count: number): void {
    this.#lines.length = count;
    this.#epochs.length = count;
  }

  add(result: EpochResult): void {
    this.#lines.push(JSON.stringify(result));
    this.#epochs.push(result.epoch);
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }
}

function epochOf(line: string, source: string): number {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const { epoch } = value as { epoch?: unknown };
    return typeof epoch === 'number' ? epoch : Number.NaN;
  }
  const hint = 'Choose another file or remove this one.';
  throw expected('a JSON object', `a line of ${source}`, line, hint, 'ERR_FORMAT');
}
