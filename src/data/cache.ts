import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { digestOf } from '../digest.js';
import { expected, MnistTrainError } from '../errors.js';
import { errorCode, fileError } from '../files.js';
import { inTurns, type Pieces } from '../pieces.js';
import type { CatalogueEntry, Content, DataFile } from './catalogue.js';
import { readIdxBytes } from './idx.js';
import { dataRoot } from './root.js';

/** Where the files of one data set lie. */
export interface DataLocation {
  directory: string;
  /**
   * True in the cache, whose files are ours: one whose content is not the published one is damaged and is replaced.
   * False under a folder that the user named: its files may be data of their own and are left as they are.
   */
  managed: boolean;
}

/**
 * The folder of a data set.
 *
 * @param dataDir A folder that holds at least one of the data set's files itself, or the root of folders per data set,
 *   which need not exist yet.
 * @throws MnistTrainError ERR_FILE when `dataDir` is something other than a folder.
 */
export async function resolveDataDir(entry: CatalogueEntry, dataDir?: string): Promise<DataLocation> {
  if (dataDir === undefined) return { directory: join(dataRoot(), entry.name), managed: true };
  if (typeof dataDir !== 'string' || dataDir === '') throw expected('the name of a folder', 'dataDir', dataDir);
  const directory = resolve(dataDir);
  const kind = await kindOf(directory);
  if (kind === 'file') throw expected('a folder', 'dataDir', dataDir, 'Name the folder of the IDX files.', 'ERR_FILE');
  const found = await Promise.all(Object.values(entry.files).map((file) => findDataFile(directory, file)));
  const holdsFiles = found.some((path) => path !== undefined);
  return { directory: holdsFiles ? directory : join(directory, entry.name), managed: false };
}

/** The path of a data file under any of the names in use, the one that we write first; undefined when there is none. */
async function findDataFile(directory: string, file: DataFile): Promise<string | undefined> {
  const dotted = file.name.replace(/-(idx\d)/, '.$1');
  for (const name of [file.name, dotted, `${file.name}.gz`, `${dotted}.gz`]) {
    const path = join(directory, name);
    if ((await kindOf(path)) === 'file') return path;
  }
  return undefined;
}

/** What a data file on the disk turned out to be. */
export type InspectedFile =
  | { state: 'missing' }
  /** The published content, inflated. */
  | { state: 'published'; path: string; bytes: Uint8Array }
  /** Other content: the user's own data, or damage. */
  | { state: 'different'; path: string; bytes: Uint8Array }
  /** Not readable as an inflated file at all; `problem` says why. */
  | { state: 'unreadable'; path: string; problem: MnistTrainError };

/** Reads a data file and compares it with the published content. What `goOn` throws now and then ends it. */
export async function inspectDataFile(directory: string, file: DataFile, goOn?: () => void): Promise<InspectedFile> {
  const path = await findDataFile(directory, file);
  if (path === undefined) return { state: 'missing' };
  try {
    const bytes = await readIdxBytes(path);
    const isPublished = await inTurns(isContent(bytes, file.raw), goOn);
    return { state: isPublished ? 'published' : 'different', path, bytes };
  } catch (error) {
    if (error instanceof MnistTrainError && error.code === 'ERR_FORMAT') {
      return { state: 'unreadable', path, problem: error };
    }
    throw error;
  }
}

function* isContent(bytes: Uint8Array, { algorithm, digest, bytes: length }: Content): Pieces<boolean> {
  return bytes.length === length && (yield* digestOf(algorithm, [bytes])) === digest;
}

async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return undefined;
    throw fileError('read', path, error);
  }
}
