import { rm } from 'node:fs/promises';
import type { EpochResult } from '../epoch-result.js';
import { checkInteger, expected } from '../errors.js';
import { fileError, makeFolderOf } from '../files.js';
import { checkBoolean, checkOptions } from '../options.js';
import type { Callback, CallbackContext, CallbackState } from './callback.js';
import { Monitor, type MonitorOptions, unknownMonitor } from './monitor.js';
import { isNumberOrNull, readState } from './state.js';

export interface ModelCheckpointOptions extends MonitorOptions {
  /**
   * The model file. Names in braces stand for the epoch and its numbers, as in `best-{epoch}-{validationLoss}.safetensors`:
   * the epoch with zeros in front to 4 digits, other numbers with 4 decimals. `{epoch:2}` and `{validationLoss:6}` state
   * other widths, up to 20. Folders are made.
   */
  path: string;
  /** Writes only epochs that are better than all before them in this fit; default false. */
  saveBestOnly?: boolean;
  /** A further file, without braces, that every epoch replaces: the model as it was trained last. */
  saveLast?: string;
  /** So many of the newest files at `path`, which then has `{epoch}` in it, stay, and the best one; older ones are removed. Default: all. */
  keep?: number;
  /** Writes epochs whose number is a multiple of this only; default 1. */
  everyEpochs?: number;
}

/** What a checkpoint keeps of it. */
interface Progress {
  best: number | null;
  /** The file of the best epoch. */
  bestFile: string | null;
  /** The files written, oldest first, that are still there. */
  files: readonly string[];
}

const BEGINNING: Progress = { best: null, bestFile: null, files: [] };
const PLACEHOLDER = /\{([^{}:]+)(?::(\d+))?\}/g;
const WIDTH = 4;

/**
 * Writes the model to files while it is trained: Keras's ModelCheckpoint. The files hold what `model.save` writes, whole or
 * not at all: weights and architecture to predict with, not what training needs to go on. Every fit begins anew, unless it was resumed.
 *
 * Throws ERR_ARGUMENT for wrong options, and at the beginning of a fit whose epochs do not have the number that is watched
 * or one in `path`. A file that cannot be written ends the fit with ERR_FILE.
 */
export function modelCheckpoint(options: ModelCheckpointOptions): Callback {
  return new ModelCheckpoint(
    checkOptions(options, 'modelCheckpoint', {
      path: true,
      monitor: true,
      mode: true,
      saveBestOnly: true,
      saveLast: true,
      keep: true,
      everyEpochs: true,
    }),
  );
}

class ModelCheckpoint implements Callback {
  readonly #path: string;
  readonly #monitor: Monitor;
  readonly #saveBestOnly: boolean;
  readonly #saveLast: string | null;
  readonly #keep: number;
  readonly #everyEpochs: number;
  #progress = BEGINNING;
  #resumed = false;

  constructor(options: ModelCheckpointOptions) {
    this.#path = checkPath(options.path, 'path');
    this.#monitor = new Monitor(options);
    this.#saveBestOnly = checkBoolean(options.saveBestOnly ?? false, 'saveBestOnly');
    this.#saveLast = options.saveLast === undefined ? null : checkLast(options.saveLast, this.#path);
    this.#keep = options.keep === undefined ? Infinity : checkKeep(options.keep, this.#path);
    this.#everyEpochs = checkInteger(options.everyEpochs ?? 1, 'everyEpochs', 1);
  }

  onTrainBegin(context: CallbackContext): void {
    if (!this.#resumed || context.results.length === 0) this.#progress = BEGINNING;
    this.#resumed = false;
    // Without validation there is no best file to keep, which only matters to those who asked for one.
    if (this.#saveBestOnly || this.#monitor.given) this.#monitor.check(context, 'modelCheckpoint');
    for (const [, name] of this.#path.matchAll(PLACEHOLDER)) {
      if (name !== 'epoch' && !context.monitors.includes(name)) {
        throw unknownMonitor(name, 'a name in path of modelCheckpoint', ['epoch', ...context.monitors]);
      }
    }
  }

  async onEpochEnd(epoch: number, result: EpochResult, { model }: CallbackContext): Promise<void> {
    const save = async (file: string) => {
      await makeFolderOf(file);
      await model.save(file);
    };
    if (this.#saveLast !== null) await save(this.#saveLast);
    if (epoch % this.#everyEpochs !== 0) return;
    const value = result[this.#monitor.name] ?? Number.NaN;
    const better = this.#monitor.isBetter(value, this.#progress.best);
    if (this.#saveBestOnly && !better) return;
    const file = fileName(this.#path, epoch, result);
    await save(file);
    await this.#record(file, better ? value : null);
  }

  getState(): CallbackState {
    return { values: { ...this.#progress } };
  }

  setState(state: CallbackState): void {
    this.#progress = readState<Progress>(state, 'modelCheckpoint', {
      best: isNumberOrNull,
      bestFile: (value) => value === null || typeof value === 'string',
      files: (value) => Array.isArray(value) && value.every((file) => typeof file === 'string'),
    });
    this.#resumed = true;
  }

  /** Notes a written file, the best one where it comes with its value, and removes those that are too many. */
  async #record(file: string, bestValue: number | null): Promise<void> {
    const files = [...this.#progress.files.filter((other) => other !== file), file];
    const { best, bestFile } = bestValue === null ? this.#progress : { best: bestValue, bestFile: file };
    const old = files.slice(0, Math.max(0, files.length - this.#keep)).filter((other) => other !== bestFile);
    for (const other of old) await removeFile(other);
    this.#progress = { best, bestFile, files: files.filter((other) => !old.includes(other)) };
  }
}

function checkPath(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw expected('a file name', name, value);
  const wrong = value.replace(PLACEHOLDER, '').match(/[{}]/);
  const hint = 'Names in braces are as in {epoch}, {validationLoss} or {epoch:2}.';
  if (wrong) throw expected('a file name with closed braces', name, value, hint);
  const wide = [...value.matchAll(PLACEHOLDER)].find(([, , width]) => Number(width ?? WIDTH) > 20);
  if (wide) throw expected('a width up to 20', name, wide[0]);
  return value;
}

function checkLast(value: unknown, path: string): string {
  const file = checkPath(value, 'saveLast');
  if (file.match(PLACEHOLDER)) throw expected('a file name without braces', 'saveLast', file);
  if (file === path) throw expected('another file than path', 'saveLast', file);
  return file;
}

function checkKeep(value: unknown, path: string): number {
  const hint = 'Without it one epoch would replace the file of another.';
  if (!/\{epoch[:}]/.test(path)) throw expected('a name with {epoch} in it', 'path with keep', path, hint);
  return checkInteger(value, 'keep', 1);
}

function fileName(path: string, epoch: number, result: EpochResult): string {
  return path.replace(PLACEHOLDER, (_, name: string, width = String(WIDTH)) => {
    if (name === 'epoch') return String(epoch).padStart(Number(width), '0');
    return (result[name] ?? Number.NaN).toFixed(Number(width));
  });
}

async function removeFile(file: string): Promise<void> {
  try {
    await rm(file, { force: true });
  } catch (error) {
    throw fileError('remove', file, error);
  }
}
