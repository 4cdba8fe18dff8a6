import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expected, MnistTrainError } from '../../errors.js';
import { errorCode, fileError, makeFolder, writeFileAtomic } from '../../files.js';
import { isRunning } from '../../temporary-files.js';
import { shellWord } from '../files.js';
import { UsageError } from '../usage.js';
import type { SweepDescription } from './plan.js';
import type { TrialResult } from './results.js';
import type { Trial } from './trials.js';

/**
 * Where a sweep is kept:
 *
 * - sweep.json: what is swept. Another sweep is refused.
 * - results.jsonl: a line for each trial that has a result, appended when it has.
 * - models/: the models, where they are kept.
 * - running/: models of trainings in flight; not there otherwise.
 * - lock: the process that works here; not there otherwise.
 */
export class SweepFolder {
  readonly path: string;
  /** Of earlier runs. */
  readonly results: readonly TrialResult[];
  /** Whether the last line of results.jsonl was torn, which is gone now. */
  readonly torn: boolean;

  private constructor(path: string, results: readonly TrialResult[], torn: boolean) {
    this.path = path;
    this.results = results;
    this.torn = torn;
  }

  /**
   * Makes the folder, or takes up the sweep there. Throws UsageError when another sweep is there or somebody works on it,
   * ERR_FORMAT for files that are damaged, ERR_FILE.
   */
  static async open(path: string, description: SweepDescription): Promise<SweepFolder> {
    if (existsSync(path) && !statSync(path).isDirectory()) {
      throw new UsageError(expected('the name of a folder', '--out', path, 'This is a file.').message);
    }
    await makeFolder(path).catch((error) => {
      throw fileError('write', path, error);
    });
    lock(path);
    try {
      await checkDescription(path, description);
      const { results, torn } = attempt(join(path, RESULTS), () => readResults(join(path, RESULTS), description));
      attempt(path, () => rmSync(join(path, RUNNING), { recursive: true, force: true }));
      attempt(path, () => mkdirSync(join(path, RUNNING)));
      return new SweepFolder(path, results, torn);
    } catch (error) {
      rmSync(join(path, LOCK), { force: true });
      throw error;
    }
  }

  /** Appends a result, on the disk when this returns. Throws ERR_FILE. */
  add(result: TrialResult): void {
    const file = join(this.path, RESULTS);
    attempt(file, () => appendFileSync(file, `${JSON.stringify(result)}\n`, { flush: true }));
  }

  /** Where a training writes its model. */
  modelFile(trial: number, fold: number | null): string {
    return join(this.path, RUNNING, modelName(trial, fold));
  }

  /** Keeps a model that a training has written, or removes it. */
  settleModel(trial: number, fold: number | null, keep: boolean): void {
    const file = this.modelFile(trial, fold);
    if (!keep) {
      rmSync(file, { force: true });
      return;
    }
    const kept = join(this.path, MODELS);
    attempt(kept, () => {
      mkdirSync(kept, { recursive: true });
      renameSync(file, join(kept, modelName(trial, fold)));
    });
  }

  close(): void {
    rmSync(join(this.path, RUNNING), { recursive: true, force: true });
    rmSync(join(this.path, LOCK), { force: true });
  }
}

const DESCRIPTION = 'sweep.json';
const RESULTS = 'results.jsonl';
const MODELS = 'models';
const RUNNING = 'running';
const LOCK = 'lock';

const modelName = (trial: number, fold: number | null) =>
  `trial-${trial}${fold === null ? '' : `-fold-${fold}`}.safetensors`;

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? fileError('write', path, error) : error;
  }
}

/** Two runs in one folder would do the same work twice. A lock whose process is gone is taken over. */
function lock(folder: string): void {
  const path = join(folder, LOCK);
  for (let round = 0; ; round++) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST' || round === 3) throw fileError('write', path, error);
    }
    const owner = ownerOf(path);
    // A process of the same number as this one is one that ended, in a container say, where numbers begin anew.
    if (owner !== process.pid && isRunning(owner)) {
      const hint = `If that is no sweep, remove ${shellWord(path)}.`;
      throw new UsageError(
        `Expected a folder that no other sweep works in for --out, and process ${owner} does. ${hint}`,
      );
    }
    rmSync(path, { force: true });
  }
}

/** The number in a lock file; 0 when it went in the meantime. */
function ownerOf(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return 0;
    throw fileError('read', path, error);
  }
}

async function checkDescription(folder: string, description: SweepDescription): Promise<void> {
  const path = join(folder, DESCRIPTION);
  if (!existsSync(path)) {
    if (existsSync(join(folder, RESULTS))) {
      throw new UsageError(`Expected ${DESCRIPTION} beside ${RESULTS} in ${folder}. Choose another folder for --out.`);
    }
    await writeFileAtomic(path, Buffer.from(`${JSON.stringify(description, null, 2)}\n`));
    return;
  }
  const found = parseJson(readFileSync(path, 'utf8'), path) as Record<string, unknown>;
  const differing = Object.entries(description).find(([name, value]) => !isDeepStrictEqual(value, found?.[name]));
  if (!differing) return;
  throw new UsageError(
    `Expected the sweep that ${path} describes, received another: ${PARTS[differing[0]] ?? differing[0]} differ. ` +
      'Choose another folder for --out, or remove this one.',
  );
}

/** What a user knows the parts of a description as. */
const PARTS: Record<string, string> = {
  grid: 'the values of --grid',
  random: 'the values of --random',
  draws: 'the numbers of --trials',
  seed: 'the seeds',
  folds: 'the numbers of folds',
  fixed: 'the options of train',
};

/** Whole lines only: what stands behind the last line break is cut off the file. */
function readResults(path: string, { trials }: SweepDescription): { results: TrialResult[]; torn: boolean } {
  if (!existsSync(path)) return { results: [], torn: false };
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.toString('utf8', 0, end).split('\n').slice(0, -1);
  const results = new Map<number, TrialResult>();
  lines.forEach((line, index) => {
    const place = `line ${index + 1} of ${path}`;
    const result = (parseJson(line, place) ?? {}) as TrialResult;
    const trial = typeof result.trial === 'number' ? trials[result.trial - 1] : undefined;
    if (!isResultOf(trial, result)) {
      throw new MnistTrainError(
        'ERR_FORMAT',
        `Expected the result of a trial of this sweep in ${place}. Remove the line.`,
      );
    }
    results.set(result.trial, result);
  });
  if (end < bytes.length) truncateSync(path, end);
  return { results: [...results.values()], torn: end < bytes.length };
}

function isResultOf(trial: Trial | undefined, result: TrialResult): boolean {
  if (trial === undefined || !isDeepStrictEqual(trial.options, result.options)) return false;
  const { validationAccuracy, deviation, validationLoss, trainSeconds, runs, error } = result;
  const numbers = [validationAccuracy, deviation, validationLoss, trainSeconds];
  if (!numbers.every((value) => value === null || typeof value === 'number')) return false;
  if (!Array.isArray(runs) || !runs.every((run) => typeof run === 'object' && run !== null)) return false;
  return typeof error === 'string' || (error === undefined && validationAccuracy !== null);
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new MnistTrainError('ERR_FORMAT', `Expected JSON in ${place}. Remove what is damaged.`, { cause });
  }
}
