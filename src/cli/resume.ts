import { isDeepStrictEqual } from 'node:util';
import { expected } from '../errors.js';
import { type CheckpointOptions, readCheckpoint } from '../index.js';
import { holdsProgress } from '../model/training/checkpoint-folder.js';
import { flagOf } from './command-words.js';
import type { Context } from './context.js';
import { checkOutputFolder, shellWord } from './files.js';
import { UsageError } from './usage.js';

/** Where `train` keeps its own options in a checkpoint. */
const OPTIONS_KEY = 'command';
/** Options that say how a command is run and how it speaks, not what is trained: a resumed one has its own. */
const NOT_KEPT = ['json', 'verbose', 'live', 'checkpoint', 'resume'];

export interface ResumeOptions {
  checkpoint?: string;
  checkpointEvery: number;
  resume?: string;
}

/** Where a resumed training stood. */
export interface ResumedFrom {
  /** Whole epochs done. */
  epochs: number;
  /** Steps done. */
  step: number;
}

interface KeptOptions {
  options: Record<string, unknown>;
  given: string[];
}

/**
 * With --resume: the options under which the training began, and over them those of this command line. Throws UsageError
 * when there is nothing to resume; ERR_FORMAT, ERR_CHECKSUM, ERR_FILE.
 */
export async function resumedOptions<Options extends ResumeOptions>(
  { given, output }: Context,
  options: Options,
): Promise<{ options: Options; given: ReadonlySet<string>; from: ResumedFrom | null }> {
  const { resume } = options;
  if (resume === undefined) return { options, given, from: null };
  if (options.checkpoint !== undefined) {
    throw new UsageError('Expected --checkpoint to begin or --resume to go on, received both. Leave one of them out.');
  }
  const found = await readCheckpoint(resume, { onWarning: (text) => output.note(text) });
  const kept = found?.metadata[OPTIONS_KEY];
  if (!found || kept === undefined) {
    throw new UsageError(
      `Expected a folder that --checkpoint of train wrote for --resume, found no checkpoint in ${resume}.`,
    );
  }
  const then = readKept(kept, found.path);
  refuseOthers(then.options, options, given);
  const now = Object.fromEntries(Object.entries(options).filter(([name]) => given.has(name)));
  return {
    options: { ...options, ...then.options, ...now },
    given: new Set([...then.given, ...given]),
    from: { epochs: found.epochs, step: found.step },
  };
}

/** Throws ERR_FORMAT for what `train` did not write. */
function readKept(text: string, path: string): KeptOptions {
  let kept: Partial<KeptOptions> | null;
  try {
    kept = JSON.parse(text);
  } catch {
    kept = null;
  }
  const { options, given } = kept ?? {};
  const isObject = typeof options === 'object' && options !== null && !Array.isArray(options);
  if (isObject && Array.isArray(given) && given.every((name) => typeof name === 'string')) return { options, given };
  throw expected(
    'the options of train',
    `the metadata ${OPTIONS_KEY} of the checkpoint ${path}`,
    text,
    'Resume it with the program that wrote it, or train anew in another folder.',
    'ERR_FORMAT',
  );
}

/** Options that may differ from those of the beginning: the model is the same with all of them. */
const FREE = [...NOT_KEPT, 'out', 'report', 'checkpointEvery', 'dataDir', 'backend', 'threads'];

/** Throws UsageError for an option on this command line that would make another training of it. */
function refuseOthers(then: Record<string, unknown>, now: object, given: ReadonlySet<string>): void {
  for (const [name, value] of Object.entries(now)) {
    if (!given.has(name) || FREE.includes(name) || isDeepStrictEqual(value, then[name])) continue;
    const flag = flagOf(name);
    const wanted = then[name] === undefined ? `no ${flag}` : `${flag} ${then[name]}`;
    throw new UsageError(
      `Expected ${wanted} with --resume, as when the training began, received ${value}. Leave it out.`,
    );
  }
}

/** What `fit` is to be told of checkpoints. Throws UsageError for a folder that holds those of another training. */
export async function checkpointOf(
  options: ResumeOptions & object,
  given: ReadonlySet<string>,
): Promise<CheckpointOptions | undefined> {
  const directory = options.resume ?? options.checkpoint;
  if (directory === undefined) {
    if (given.has('checkpointEvery'))
      throw new UsageError('Expected --checkpoint or --resume with --checkpoint-every.');
    return undefined;
  }
  checkOutputFolder('--checkpoint', directory);
  if (options.resume === undefined && (await holdsProgress(directory))) {
    throw new UsageError(
      `Expected a folder without checkpoints for --checkpoint, but ${directory} has some. ` +
        `Go on with --resume ${shellWord(directory)}, or choose another folder.`,
    );
  }
  const kept = Object.entries(options).filter(([name]) => !NOT_KEPT.includes(name));
  const command: KeptOptions = {
    options: Object.fromEntries(kept),
    given: [...given].filter((name) => !NOT_KEPT.includes(name)),
  };
  return {
    directory,
    everySeconds: options.checkpointEvery,
    resume: options.resume !== undefined,
    metadata: { [OPTIONS_KEY]: JSON.stringify(command) },
  };
}
