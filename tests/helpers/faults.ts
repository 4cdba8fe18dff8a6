import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './small-dataset.js';

/** Real faults for tests/faults: full disks, read-only ones, users without rights. */

export const IS_ROOT_ON_LINUX = process.platform === 'linux' && process.getuid?.() === 0;

const FIXTURES = join(import.meta.dirname, '..', 'faults', 'fixtures');

export interface WorkResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  notices: string[];
  error: { code: string; message: string } | null;
}

interface WorkOptions {
  env?: Record<string, string>;
  /** A program and its arguments that start the process. */
  under?: readonly string[];
  flags?: readonly string[];
}

export function startWork(args: readonly string[], { env = {}, under = [], flags = [] }: WorkOptions = {}) {
  const [program, ...rest] = [...under, process.execPath, ...flags, join(FIXTURES, 'work.mjs'), ...args];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  const ended = once(child, 'close').then(([code, signal]): WorkResult => {
    const said = stdout === '' ? { notices: [], error: null } : JSON.parse(stdout);
    return { code, signal, ...said };
  });
  return { child, ended };
}

/** Does one piece of work in a process of its own. */
export function runWork(args: readonly string[], options?: WorkOptions): Promise<WorkResult> {
  return startWork(args, options).ended;
}

/** A file system of its own, so many KiB large. Needs root on Linux. */
export function mountDisk(kilobytes: number, options = ''): { folder: string; remount(flags: string): void } {
  const folder = join(temporaryFolder(), 'disk');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k,mode=0755${options}`, 'tmpfs', folder]);
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return { folder, remount: (flags) => void execFileSync('mount', ['-o', `remount,${flags}`, folder]) };
}

/** Takes so many KiB of a disk, and gives them back. */
export function occupy(folder: string, kilobytes: number): () => void {
  const path = join(folder, 'occupied');
  writeFileSync(path, Buffer.alloc(kilobytes * 1024));
  return () => rmSync(path);
}

/** Files of more than so many KiB cannot be written: what `ulimit -f` does on every system of the Unix family. */
export const limitedTo = (kilobytes: number) => ['sh', '-c', `ulimit -f ${2 * kilobytes}; exec "$@"`, 'sh'];

/** Starts a process that permissions count for: as nobody where the tests run as root. */
export const AS_NOBODY = IS_ROOT_ON_LINUX ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];

/** A temporary folder that every user may enter. */
export function openFolder(mode = 0o777): string {
  const folder = temporaryFolder();
  chmodSync(folder, mode);
  return folder;
}

/** A process whose clock is so many days wrong; with `jumps` it goes there and back again and again. */
export const clockWrongBy = (days: number, { jumps = false } = {}) => ({
  flags: ['--import', join(FIXTURES, 'clock.mjs')],
  env: { CLOCK_DAYS: String(days), ...(jumps && { CLOCK_JUMPS: '' }) },
});
