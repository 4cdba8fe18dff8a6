import { fsync } from 'node:fs';
import { type FileHandle, mkdir, open, readlink, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MnistTrainError } from './errors.js';
import { removeLeftovers, temporaryName } from './temporary-files.js';

/** What the usual system errors mean to a person, and what helps. */
const SYSTEM_ERRORS: Record<string, string> = {
  EACCES: 'permission denied. Choose another place or change the permissions.',
  EPERM: 'the system does not permit it. Choose another place or change the permissions.',
  EROFS: 'the disk is read-only. Choose another place.',
  ENOSPC: 'the disk is full. Free some space or choose another place.',
  EFBIG: 'it would be larger than the system allows. Raise the limit (ulimit -f) or choose another place.',
  EIO: 'the disk does not work. Check it, or choose another place.',
  EDQUOT: 'the disk quota is used up. Free some space or choose another place.',
  EEXIST: 'something else of that name is there. Choose another name.',
  EISDIR: 'it is a folder. Name a file.',
  ENOTDIR: 'a part of the path is a file, not a folder. Check the path.',
  ENAMETOOLONG: 'the name is too long. Choose a shorter one.',
  ELOOP: 'its symbolic links go in a circle. Check the path.',
};

/** The error for a file that the system would not read, write or remove, in one line: which file, why, and what to do. */
export function fileError(action: 'read' | 'write' | 'remove', path: string, cause: unknown): MnistTrainError {
  const code = errorCode(cause);
  let reason = SYSTEM_ERRORS[code];
  if (code === 'ENOENT') {
    reason =
      action === 'read' ? 'there is no such file. Check the path.' : 'its folder does not exist. Create it first.';
  }
  reason ??= `${cause instanceof Error ? cause.message : String(cause)}.`;
  return new MnistTrainError('ERR_FILE', `Could not ${action} ${path}: ${reason}`, { cause });
}

/** The `code` of a system error, or an empty string. */
export function errorCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === 'string' ? code : '';
}

const fsyncAsync = promisify(fsync);

/** Flushes a file to the disk. Yarn's Plug'n'Play puts file handles of its own in place of Node's; their `sync` only throws. */
export async function flush(handle: FileHandle): Promise<void> {
  await fsyncAsync(handle.fd);
}

/**
 * Writes a file so that a reader, a crash or a full disk meets either the old content or the new, never a part of it:
 * the bytes go into a temporary file in the same folder, are flushed to the disk, and take the name in one step.
 * A symbolic link stays a link and the file it names is replaced. An existing file's permissions are kept.
 * A device or a pipe, which has no content to replace, is written to directly. What killed processes left of the same file
 * is removed first, since the disk may have no room for both.
 *
 * @throws MnistTrainError ERR_FILE when the file cannot be written; no temporary file is left.
 */
export async function writeFileAtomic(path: string, bytes: Uint8Array): Promise<void> {
  let temporary: string | undefined;
  try {
    const target = await followLinks(path);
    const existing = await statIfThere(target);
    if (existing !== null && !existing.isFile()) {
      await writeFile(target, bytes); // fails with EISDIR for a folder
      return;
    }
    await removeLeftovers(dirname(target), (name) => name === basename(target));
    temporary = temporaryName(target);
    const handle = await open(temporary, 'wx');
    try {
      if (existing !== null) await handle.chmod(existing.mode & 0o777);
      await handle.writeFile(bytes);
      await flush(handle);
    } finally {
      await handle.close();
    }
    await replaceFile(temporary, target);
  } catch (error) {
    if (temporary !== undefined) await removeQuietly(temporary);
    throw fileError('write', path, error);
  }
}

/** Gives `temporary` the name `target`, replacing what is there in one step, and flushes the folder's entry. */
export async function replaceFile(temporary: string, target: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await rename(temporary, target);
      break;
    } catch (error) {
      // Windows refuses for as long as somebody, a virus scanner say, has one of the files open.
      const busy = process.platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(errorCode(error));
      if (!busy || attempt === 8) throw error;
      await delay(10 * 2 ** attempt);
    }
  }
  await syncFolder(dirname(target));
}

/**
 * Makes a folder and those above it. Node's recursive `mkdir` says ENOENT of disks that are full or read-only: where it does,
 * folders are made one by one, and the system's own word is passed on. Throws system errors.
 */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
    if ((await statIfThere(dirname(folder))) === null) await makeFolder(dirname(folder));
    try {
      await mkdir(folder);
    } catch (cause) {
      // Somebody else may have been quicker; a link that leads nowhere has the name as well.
      if (errorCode(cause) !== 'EEXIST' || (await statIfThere(folder)) === null) throw cause;
    }
  }
}

/** Makes the folder that a file will be in. Throws ERR_FILE, naming the file, or the folder where that is a file itself. */
export async function makeFolderOf(path: string): Promise<void> {
  const folder = dirname(path);
  try {
    await makeFolder(folder);
  } catch (error) {
    throw fileError('write', errorCode(error) === 'EEXIST' ? folder : path, error);
  }
}

/** Removes a file on the way out of a failure: a second error here would only hide the first. */
export async function removeQuietly(path: string): Promise<void> {
  await rm(path, { force: true }).catch(() => undefined);
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there
  try {
    const handle = await open(folder, 'r');
    try {
      await flush(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    // The file is complete under its name already. A folder that may not be read, or a file system that cannot flush
    // folders, only leaves it to the system when the new name reaches the disk.
    if (!['EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EISDIR'].includes(errorCode(error))) throw error;
  }
}

/** The file that a path stands for in the end, which need not exist yet. */
async function followLinks(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  try {
    return await followLinks(resolve(dirname(path), await readlink(path)));
  } catch (error) {
    if (['ENOENT', 'EINVAL'].includes(errorCode(error))) return path;
    throw error;
  }
}

/** What the system says of a file; null when it is not there. */
export async function statIfThere(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
