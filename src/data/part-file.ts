import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { errorCode, fileError, flush, makeFolderOf, removeQuietly, replaceFile } from '../files.js';
import { temporaryName } from '../temporary-files.js';
import type { Content } from './catalogue.js';

/** Why a source did not deliver. Only errors of this class are a source's fault; a full disk is not. */
export class SourceFailure extends Error {
  /** True when asking the same source for another file is of no use: nobody answered. */
  readonly wholeSource: boolean;

  constructor(reason: string, options: ErrorOptions & { wholeSource?: boolean } = {}) {
    super(reason, options);
    this.wholeSource = options.wholeSource ?? false;
  }
}

/** A file on its way: complete under a temporary name beside its target, and hashed. */
export interface Part {
  path: string;
  bytes: number;
  sha256: string;
  md5: string;
}

/**
 * Streams chunks into a temporary file beside `target`, hashing them. The temporary name is this call's own, so that
 * two downloads into one folder cannot meet.
 *
 * @throws SourceFailure when more than `maxBytes` come; MnistTrainError ERR_FILE when the disk refuses; what `chunks`
 *   throws. No file is left then.
 */
export async function writePart(
  target: string,
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
  onBytes: (received: number) => void = () => {},
): Promise<Part> {
  const path = temporaryName(target);
  const hashes = { sha256: createHash('sha256'), md5: createHash('md5') };
  let bytes = 0;
  const handle = await openNew(path, target);
  try {
    try {
      for await (const chunk of chunks) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new SourceFailure(`sent more than the ${maxBytes} bytes expected`);
        hashes.sha256.update(chunk);
        hashes.md5.update(chunk);
        await write(handle, chunk, target);
        onBytes(bytes);
      }
    } finally {
      await handle.close();
    }
  } catch (error) {
    await removeQuietly(path);
    throw error;
  }
  return { path, bytes, sha256: hashes.sha256.digest('hex'), md5: hashes.md5.digest('hex') };
}

/** Whether a part is what the catalogue says. */
export function partHolds(part: Part, content: Content): boolean {
  return part.bytes === content.bytes && part[content.algorithm] === content.digest;
}

/** What is wrong with a part that is not what the catalogue says. */
export function mismatch(part: Part, content: Content): SourceFailure {
  return new SourceFailure(
    part.bytes === content.bytes
      ? `wrong checksum: ${content.algorithm} ${part[content.algorithm]} where ${content.digest} was expected`
      : `sent ${part.bytes} bytes where ${content.bytes} were expected`,
  );
}

/** A part that is not there any more, since somebody tidied up: the file has to be fetched again. */
export function removed(cause: unknown): SourceFailure {
  return new SourceFailure('was removed before it was complete', { cause });
}

/**
 * Flushes a part to the disk and gives it its name.
 *
 * @throws SourceFailure when somebody removed it.
 */
export async function commitPart(part: Part, target: string): Promise<void> {
  try {
    const handle = await open(part.path, 'r+');
    try {
      await flush(handle);
    } finally {
      await handle.close();
    }
    await replaceFile(part.path, target);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') throw removed(error);
    await removeQuietly(part.path);
    throw fileError('write', target, error);
  }
}

/** Errors name the target: a temporary file's name would tell a person nothing. */
async function openNew(path: string, target: string): Promise<FileHandle> {
  await makeFolderOf(target);
  try {
    return await open(path, 'wx');
  } catch (error) {
    throw fileError('write', target, error);
  }
}

async function write(handle: FileHandle, chunk: Uint8Array, target: string): Promise<void> {
  try {
    await handle.writeFile(chunk); // from the current position on, all of it
  } catch (error) {
    throw fileError('write', target, error);
  }
}
