import { readFile } from 'node:fs/promises';
import type { EpochResult } from '../epoch-result.js';
import { expected, MnistTrainError } from '../errors.js';
import { errorCode, fileError, makeFolderOf, writeFileAtomic } from '../files.js';
import { checkBoolean } from '../options.js';
import type { Callback, CallbackContext, CallbackState } from './callback.js';
import { isCount, readState } from './state.js';

/** The content of a file with a line for each epoch. */
export interface EpochLines {
  /** How many epochs it has. */
  readonly count: number;
  /** The number of the epoch in a line, counted from 0; NaN where there is none. */
  epochAt(index: number): number;
  /** Takes all lines but the first `count` away. */
  cut(count: number): void;
  add(result: EpochResult): void;
  toString(): string;
}

interface EpochLogSettings {
  /** The name of the callback. */
  owner: string;
  path: string;
  append: boolean;
  /** Reads what a file has. Throws ERR_FORMAT, naming the file. */
  read(text: string, path: string): EpochLines;
}

/**
 * Writes a line for each epoch. After every epoch the file takes the place of the one before whole, as appending could not
 * do: a killed process leaves no part of a line, and a resumed one can take lines away. A line is some hundred bytes, so
 * writing all of them again costs little beside an epoch.
 */
export class EpochLog implements Callback {
  readonly #settings: EpochLogSettings;
  #lines: EpochLines;
  /** The lines that a resumed fit goes on behind; null when none is resumed. */
  #resumedAt: number | null = null;

  constructor(settings: EpochLogSettings) {
    const { path, append, owner } = settings;
    if (typeof path !== 'string' || path === '') throw expected('a file name', `path of ${owner}`, path);
    checkBoolean(append, 'append');
    this.#settings = settings;
    this.#lines = settings.read('', path);
  }

  async onTrainBegin(context: CallbackContext): Promise<void> {
    const { path, append, read } = this.#settings;
    const resumed = this.#resumedAt !== null || context.results.length > 0;
    this.#lines = read(append || resumed ? await readIfThere(path) : '', path);
    if (resumed && this.#cutOff(context)) await this.#write();
    this.#resumedAt = null;
  }

  async onEpochEnd(_epoch: number, result: EpochResult): Promise<void> {
    this.#lines.add(result);
    await this.#write();
  }

  getState(): CallbackState {
    return { values: { lines: this.#lines.count } };
  }

  setState(state: CallbackState): void {
    this.#resumedAt = readState<{ lines: number }>(state, this.#settings.owner, { lines: isCount }).lines;
  }

  /** Takes the lines of epochs away that will be run again: those behind the checkpoint. */
  #cutOff({ results }: CallbackContext): boolean {
    const lines = this.#lines;
    const { count } = lines;
    let kept = Math.min(count, this.#resumedAt ?? count);
    // The checkpoint may be of a fit that did not write this file.
    const last = results.at(-1)?.epoch;
    while (last !== undefined && kept > 0 && lines.epochAt(kept - 1) > last) kept--;
    lines.cut(kept);
    return kept < count;
  }

  async #write(): Promise<void> {
    const { path } = this.#settings;
    await makeFolderOf(path);
    await writeFileAtomic(path, Buffer.from(String(this.#lines)));
  }
}

async function readIfThere(path: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw fileError('read', path, error);
  }
  try {
    // What is written is UTF-8: other bytes would not come through.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const hint = 'Choose another file, or convert this one.';
    throw new MnistTrainError('ERR_FORMAT', `Expected UTF-8 in ${path}, received other bytes. ${hint}`);
  }
}
