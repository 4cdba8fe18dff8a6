import { accessSync, constants, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { expected } from '../errors.js';
import { errorCode, fileError } from '../files.js';
import { UsageError } from './usage.js';

/** Checks that a file can be written there, before minutes of work rely on it. Throws UsageError. */
export function checkOutputFile(flag: string, file: string): void {
  const existing = statIfThere(file);
  if (existing?.isDirectory()) refuse('the name of a file', flag, file, 'This is a folder.');
  if (existing && !existing.isFile()) return; // a device or a pipe: there is no file to make beside it
  const folder = dirname(existing ? realpathSync(file) : resolve(file)); // a link's file is replaced where that is
  if (!statIfThere(folder)?.isDirectory())
    refuse('a file in an existing folder', flag, file, `Make the folder ${folder} first.`);
  try {
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UsageError(`${flag}: ${fileError('write', file, error).message}`);
  }
}

/** Checks that a folder is there or can be made. Throws UsageError. */
export function checkOutputFolder(flag: string, folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) {
    refuse('the name of a folder', flag, folder, 'This is a file.');
  }
}

function statIfThere(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return undefined; // below a file there is nothing
    throw error;
  }
}

function refuse(what: string, flag: string, file: string, hint: string): never {
  throw new UsageError(expected(what, flag, file, hint).message);
}

/** A file name as the shell takes it, for commands that people copy. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
