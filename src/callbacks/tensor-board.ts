import { basename, join } from 'node:path';
import type { EpochResult } from '../epoch-result.js';
import { checkInteger, expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { BatchResult, Callback, CallbackContext, CallbackState } from './callback.js';
import { EventFile, type EventFileState } from './event-file.js';
import { isCount, readState } from './state.js';

export interface TensorBoardOptions {
  /** Where `tensorboard --logdir` looks; a folder for each run beside others compares them. It is made. */
  logDirectory: string;
  /** What is written between epochs: nothing ('epoch', the default), every step ('batch'), or every so many steps. */
  updateFrequency?: 'epoch' | 'batch' | number;
}

/** The runs that TensorBoard shows, by Keras's names. */
const RUNS = ['train', 'validation'] as const;
type RunName = (typeof RUNS)[number];
type Progress = Record<RunName, EventFileState>;

/** What an epoch's result holds besides numbers to draw. */
const NOT_DRAWN = new Set(['epoch', 'seconds']);
const VALIDATION = 'validation';
/** How long events of steps may wait to be seen. */
const FLUSH_MILLISECONDS = 1000;

/**
 * Writes event files for TensorBoard: Keras's TensorBoard, with its names. In the folders `train` and `validation` of
 * logDirectory stand `epoch_loss`, `epoch_accuracy` and further metrics over the number of the epoch, in `train` also
 * `epoch_learning_rate`, and with updateFrequency `batch_loss`, `batch_accuracy` and `batch_learning_rate` over the steps
 * since `compile`. Every fit begins new files; a resumed one goes on in those that it had.
 *
 * Throws ERR_ARGUMENT for wrong options. A file that cannot be written ends the fit with ERR_FILE.
 */
export function tensorBoard(options: TensorBoardOptions): Callback {
  const checked = checkOptions(options, 'tensorBoard', { logDirectory: true, updateFrequency: true });
  const { logDirectory, updateFrequency = 'epoch' } = checked;
  if (typeof logDirectory !== 'string' || logDirectory === '') {
    throw expected('the name of a folder', 'logDirectory', logDirectory);
  }
  if (updateFrequency === 'epoch') return new TensorBoard(logDirectory);
  if (typeof updateFrequency === 'string' && updateFrequency !== 'batch') {
    throw expected("'epoch', 'batch' or a number of steps", 'updateFrequency', updateFrequency);
  }
  const every = updateFrequency === 'batch' ? 1 : checkInteger(updateFrequency, 'updateFrequency', 1);
  return new TensorBoardOfBatches(logDirectory, every);
}

class TensorBoard implements Callback {
  readonly #logDirectory: string;
  #files: Record<RunName, EventFile>;
  #resumed: Progress | null = null;

  constructor(logDirectory: string) {
    this.#logDirectory = logDirectory;
    this.#files = this.#newFiles();
  }

  async onTrainBegin(_context: CallbackContext): Promise<void> {
    this.#files = this.#newFiles();
    for (const run of RUNS) {
      if (this.#resumed) await this.#files[run].resume(this.#resumed[run]);
      else await this.#files[run].begin();
    }
    this.#resumed = null;
  }

  async onEpochEnd(epoch: number, result: EpochResult): Promise<void> {
    const scalars: Record<RunName, Record<string, number>> = { train: {}, validation: {} };
    for (const [name, value] of Object.entries(result)) {
      if (value === undefined || NOT_DRAWN.has(name)) continue;
      const [run, metric] = name.startsWith(VALIDATION)
        ? (['validation', name.slice(VALIDATION.length)] as const)
        : (['train', name] as const);
      scalars[run][`epoch_${snakeCase(metric)}`] = value;
    }
    for (const run of RUNS) if (Object.keys(scalars[run]).length > 0) this.#files[run].add(epoch, scalars[run]);
    await this.flush();
  }

  async onTrainEnd(): Promise<void> {
    await this.flush();
  }

  getState(): CallbackState {
    return { values: { train: { ...this.#files.train.state }, validation: { ...this.#files.validation.state } } };
  }

  setState(state: CallbackState): void {
    this.#resumed = readState<Progress>(state, 'tensorBoard', { train: isFileState, validation: isFileState });
  }

  protected addStep(step: number, scalars: Readonly<Record<string, number>>): void {
    this.#files.train.add(step, scalars);
  }

  protected async flush(): Promise<void> {
    for (const run of RUNS) await this.#files[run].flush();
  }

  #newFiles(): Record<RunName, EventFile> {
    const file = (run: RunName) => new EventFile(join(this.#logDirectory, run));
    return { train: file('train'), validation: file('validation') };
  }
}

/** A class of its own, since having the moment of batches costs speed. */
class TensorBoardOfBatches extends TensorBoard {
  readonly #every: number;
  #flushed = 0;

  constructor(logDirectory: string, every: number) {
    super(logDirectory);
    this.#every = every;
  }

  async onTrainBatchEnd(_batch: number, result: BatchResult, { step }: CallbackContext): Promise<void> {
    if (step % this.#every !== 0) return;
    const { loss, accuracy, learningRate } = result;
    this.addStep(step, {
      batch_loss: loss,
      ...(accuracy !== undefined && { batch_accuracy: accuracy }),
      batch_learning_rate: learningRate,
    });
    if (performance.now() - this.#flushed < FLUSH_MILLISECONDS) return;
    this.#flushed = performance.now();
    await this.flush();
  }
}

/** A name only, since a checkpoint may come from anywhere: it must not lead out of the folder. */
function isFileState(value: unknown): boolean {
  const { name, bytes } = (value ?? {}) as { name?: unknown; bytes?: unknown };
  return typeof name === 'string' && name.includes('tfevents') && basename(name) === name && isCount(bytes);
}

function snakeCase(name: string): string {
  const words = name.charAt(0).toLowerCase() + name.slice(1);
  return words.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
