import { appendFile, readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { fileError, makeFolderOf, statIfThere } from '../files.js';
import { encodeFileVersion, encodeScalars } from '../formats/tensorboard.js';

/** How much of which file there is: what a checkpoint keeps of it. */
export interface EventFileState {
  readonly name: string;
  readonly bytes: number;
}

const NAME = /^events\.out\.tfevents\.(\d{10})\./;
let filesOfProcess = 0;

/** TensorBoard reads a folder's files in the order of their names: of the time, in seconds, at least `earliest`. */
function newName(earliest: number): string {
  const seconds = String(Math.max(Math.floor(Date.now() / 1000), earliest)).padStart(10, '0');
  return `events.out.tfevents.${seconds}.mnist-train.${process.pid}.${filesOfProcess++}`;
}

/** An event file that grows while TensorBoard reads it. It is made with its first events. */
export class EventFile {
  readonly #folder: string;
  #name: string;
  #bytes = 0;
  #pending: Uint8Array[] = [];

  constructor(folder: string) {
    this.#folder = folder;
    this.#name = newName(0);
  }

  /** Takes a name behind those of the files that are there, also where the clock was put back since. */
  async begin(): Promise<void> {
    // A folder that cannot be read is told of when it is written to.
    const names = await readdir(this.#folder).catch(() => []);
    const seconds = names.map((name) => Number(NAME.exec(name)?.[1] ?? 0));
    this.#name = newName(Math.max(0, ...seconds) + 1);
  }

  get state(): EventFileState {
    return { name: this.#name, bytes: this.#pending.reduce((sum, { length }) => sum + length, this.#bytes) };
  }

  add(step: number, scalars: Readonly<Record<string, number>>): void {
    const wallTime = Date.now() / 1000;
    if (this.#bytes === 0 && this.#pending.length === 0) this.#pending.push(encodeFileVersion(wallTime));
    this.#pending.push(encodeScalars({ wallTime, step, scalars }));
  }

  /** Hands what was added to the system, so that readers see it and the end of the process does not lose it. */
  async flush(): Promise<void> {
    if (this.#pending.length === 0) return;
    const path = join(this.#folder, this.#name);
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    await makeFolderOf(path);
    try {
      await appendFile(path, bytes);
    } catch (error) {
      // A full disk takes the beginning of a record: what is there stays whole. A second error would only hide the first.
      await truncate(path, this.#bytes).catch(() => undefined);
      throw fileError('write', path, error);
    }
    this.#bytes += bytes.length;
  }

  /**
   * Goes on in the file of an interrupted fit, behind what a checkpoint knows of it: events after that come again. Beside a
   * file that is gone or lost that part goes another, always of the same name: a checkpoint may be resumed several times.
   */
  async resume({ name, bytes }: EventFileState): Promise<void> {
    const size = async (file: string) => (await statIfThere(join(this.#folder, file)))?.size ?? 0;
    const whole = (await size(name)) >= bytes;
    this.#name = whole ? name : `${name}.more`;
    this.#bytes = whole ? bytes : 0;
    if ((await size(this.#name)) === this.#bytes) return;
    const path = join(this.#folder, this.#name);
    try {
      await truncate(path, this.#bytes);
    } catch (error) {
      throw fileError('write', path, error);
    }
  }
}
