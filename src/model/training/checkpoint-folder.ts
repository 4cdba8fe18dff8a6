import { readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { MnistTrainError } from '../../errors.js';
import { errorCode, fileError, makeFolder, removeQuietly, writeFileAtomic } from '../../files.js';
import {
  type CheckpointFile,
  type DecodedCheckpoint,
  decodeCheckpoint,
  encodeCheckpoint,
} from '../../formats/checkpoint.js';
import { inTurns } from '../../pieces.js';

/** checkpoint-000000001234.safetensors, by the steps done: their order is that of their names. */
const NAME = /^checkpoint-\d{12}\.safetensors$/;
const UNFINISHED = /^checkpoint-\d{12}\.safetensors\..*\.part$/;

export interface FoundCheckpoint extends DecodedCheckpoint {
  path: string;
}

/** Names of the checkpoints in a folder, the newest first. A folder that is not there has none. Throws ERR_FILE. */
async function listCheckpoints(folder: string): Promise<string[]> {
  return (await list(folder))
    .filter((name) => NAME.test(name))
    .toSorted()
    .toReversed();
}

/** Whether a folder has checkpoints of a training that got anywhere: one of no step is no loss. Throws ERR_FILE. */
export async function holdsProgress(folder: string): Promise<boolean> {
  return (await listCheckpoints(folder)).some((name) => /[1-9]/.test(name));
}

/**
 * The newest whole checkpoint of a folder; null when there is none at all. A damaged one is told to `onDamaged`, and the
 * one before is taken. Throws ERR_CHECKSUM when all are damaged, ERR_FILE.
 */
export async function newestCheckpoint(
  folder: string,
  onDamaged: (text: string) => void,
): Promise<FoundCheckpoint | null> {
  const names = await listCheckpoints(folder);
  for (const name of names) {
    const path = join(folder, name);
    try {
      return { path, ...(await inTurns(decodeCheckpoint(await read(path), path))) };
    } catch (error) {
      if (!(error instanceof MnistTrainError) || error.code === 'ERR_FILE') throw error;
      onDamaged(`Checkpoint ${path} is damaged, and the one before is taken. ${error.message}`);
    }
  }
  if (names.length === 0) return null;
  throw new MnistTrainError(
    'ERR_CHECKSUM',
    `Expected a whole checkpoint in ${folder}, but all ${names.length} are damaged. Start the training anew in another folder.`,
  );
}

/** Takes damaged checkpoints that are newer than `path` out of the way, so that they do not count among those that are kept. */
export async function setAsideNewer(folder: string, path: string): Promise<void> {
  for (const name of await listCheckpoints(folder)) {
    const newer = join(folder, name);
    if (newer > path) await rename(newer, `${newer}.damaged`);
  }
}

/** Writes a checkpoint, whole or not at all, and removes all but the newest `keep`. Throws ERR_FILE. */
export async function writeCheckpoint(folder: string, step: number, file: CheckpointFile, keep: number): Promise<void> {
  const path = join(folder, `checkpoint-${String(step).padStart(12, '0')}.safetensors`);
  await writeFileAtomic(path, await inTurns(encodeCheckpoint(file)));
  for (const old of (await listCheckpoints(folder)).slice(keep)) await removeQuietly(join(folder, old));
}

/** Makes the folder, and removes what a killed process left half-written. Throws ERR_FILE. */
export async function openFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw fileError('write', folder, error);
  }
  for (const name of await list(folder)) if (UNFINISHED.test(name)) await removeQuietly(join(folder, name));
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw fileError('read', folder, error);
  }
}

async function read(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw fileError('read', path, error);
  }
}
