import { basename } from 'node:path';
import { expected, MnistTrainError } from '../errors.js';
import { checkOptions, type OptionNames } from '../options.js';
import { type DataLocation, type InspectedFile, inspectDataFile, resolveDataDir } from './cache.js';
import { type CatalogueEntry, type DataFile, type DataFileRole, findCatalogueEntry } from './catalogue.js';
import type { Dataset } from './dataset.js';
import {
  checksumError,
  downloadDataset,
  missingError,
  removeParts,
  sourcesOf,
  type TransferOptions,
} from './download.js';
import { type IdxArray, parseIdx } from './idx.js';

export interface LoadOptions extends TransferOptions {
  /** Downloads what is missing; true when left out. */
  download?: boolean;
}

const OPTIONS: OptionNames<LoadOptions> = {
  dataDir: true,
  mirror: true,
  offline: true,
  signal: true,
  onProgress: true,
  onSourceFailed: true,
  onNotice: true,
  stallTimeout: true,
  npmCommand: true,
  download: true,
};

/** A data set in memory: Uint8Array images with shape [28, 28, 1] and pixels from 0 to 255, Uint8Array labels. */
export interface LoadedDataset {
  train: Dataset & { inputs: Uint8Array; targets: Uint8Array };
  test: Dataset & { inputs: Uint8Array; targets: Uint8Array };
}

/**
 * Loads a data set, downloading it when it is not there.
 *
 * Files in the cache must have the published content; a damaged one is fetched again. A folder named by `dataDir` may
 * hold other data in the same format: then images and labels only have to fit each other and the data set's image size
 * and classes, and `onNotice` says that the content is not the published one. It also says where a download went.
 *
 * @param dataset A known name, or a catalogue entry of one's own.
 * @throws MnistTrainError ERR_ARGUMENT for an unknown name or option; ERR_DOWNLOAD when files are missing and cannot be fetched;
 *   ERR_CHECKSUM for a damaged cache that may not be repaired; ERR_FORMAT and ERR_DATA for files that are not sound or
 *   do not fit each other; ERR_FILE when a file cannot be read; ERR_ABORTED after the signal.
 */
export async function loadDataset(dataset: string | CatalogueEntry, options?: LoadOptions): Promise<LoadedDataset> {
  const { download = true, ...transfer } = checkOptions(options, 'loadDataset', OPTIONS);
  const { dataDir, offline = false, signal, onNotice } = transfer;
  const entry = findCatalogueEntry(dataset);
  const location = await resolveDataDir(entry, dataDir);
  // Another download may have been killed after this one was complete: nobody else would ever look.
  if (location.managed && !offline) await removeParts(entry, location);
  let files = await inspectAll(entry, location, signal);
  if (needsDownload(files, location)) {
    if (!download || offline) throw unavailable(entry, location, files);
    if (!location.managed) refuseMixture(entry, location, files);
    const result = await downloadDataset(entry, transfer);
    onNotice?.(`${entry.title} is now in ${result.directory}, from ${sourcesOf(result)}.`);
    files = await inspectAll(entry, location, signal);
  }
  const read = (role: DataFileRole) => readSound(entry, location, role, files[role]);
  const parts = {
    trainImages: read('trainImages'),
    trainLabels: read('trainLabels'),
    testImages: read('testImages'),
    testLabels: read('testLabels'),
  };
  noticeOwnData(entry, location, files, onNotice);
  return {
    train: pair(entry, parts.trainImages, parts.trainLabels),
    test: pair(entry, parts.testImages, parts.testLabels),
  };
}

type InspectedFiles = Record<DataFileRole, InspectedFile>;

interface SoundFile {
  path: string;
  array: IdxArray;
}

async function inspectAll(entry: CatalogueEntry, { directory }: DataLocation, signal?: AbortSignal) {
  const goOn = () => {
    if (!signal?.aborted) return;
    throw new MnistTrainError('ERR_ABORTED', `Loading ${entry.title} was stopped.`, { cause: signal.reason });
  };
  const inspect = (file: DataFile) => {
    goOn();
    return inspectDataFile(directory, file, goOn);
  };
  return {
    trainImages: await inspect(entry.files.trainImages),
    trainLabels: await inspect(entry.files.trainLabels),
    testImages: await inspect(entry.files.testImages),
    testLabels: await inspect(entry.files.testLabels),
  } satisfies InspectedFiles;
}

function needsDownload(files: InspectedFiles, { managed }: DataLocation): boolean {
  return Object.values(files).some(({ state }) => state === 'missing' || (managed && state !== 'published'));
}

/** Why files that may not be downloaded are of no use: missing ones first. */
function unavailable(entry: CatalogueEntry, location: DataLocation, files: InspectedFiles): MnistTrainError {
  const roles = Object.keys(files) as DataFileRole[];
  const missing = roles.filter((role) => files[role].state === 'missing');
  if (missing.length > 0) {
    return missingError(
      entry,
      location,
      missing.map((role) => entry.files[role]),
    );
  }
  const damaged = Object.values(files).find((file) => file.state === 'different' || file.state === 'unreadable');
  return checksumError(entry, damaged?.path ?? location.directory, 'Run the download again, with the network.');
}

/** The user's own files must be all there: the published ones would not belong to them. */
function refuseMixture(entry: CatalogueEntry, location: DataLocation, files: InspectedFiles): void {
  const roles = Object.keys(files) as DataFileRole[];
  const own = Object.values(files).some(({ state }) => state === 'different' || state === 'unreadable');
  if (!own) return;
  const missing = roles.filter((role) => files[role].state === 'missing').map((role) => entry.files[role].name);
  throw new MnistTrainError(
    'ERR_DATA',
    `${location.directory} lacks ${missing.join(', ')}, and its other files are not those of ${entry.title}, ` +
      'so the published ones would not belong to them. Add the missing files.',
  );
}

function noticeOwnData(
  entry: CatalogueEntry,
  { directory }: DataLocation,
  files: InspectedFiles,
  onNotice: LoadOptions['onNotice'],
): void {
  const names = Object.values(files).flatMap((file) => (file.state === 'different' ? [basename(file.path)] : []));
  if (names.length === 0) return;
  onNotice?.(`${names.join(', ')} in ${directory}: not as published for ${entry.title}, used as data of your own.`);
}

function readSound(entry: CatalogueEntry, location: DataLocation, role: DataFileRole, file: InspectedFile): SoundFile {
  if (file.state === 'unreadable') throw file.problem;
  if (file.state === 'missing') throw missingError(entry, location, [entry.files[role]]);
  return { path: file.path, array: parseIdx(file.bytes, file.path) };
}

function pair(entry: CatalogueEntry, images: SoundFile, labels: SoundFile): LoadedDataset['train'] {
  const [height, width, channels] = entry.imageShape;
  const inputs = bytesOf(images, channels === 1 ? [height, width] : [height, width, channels], 'images');
  const targets = bytesOf(labels, [], 'labels');
  const count = images.array.shape[0];
  if (count !== labels.array.shape[0]) {
    const name = `the number of labels in ${labels.path}`;
    const hint = 'Images and labels must come from the same set.';
    throw expected(`${count}, one per image of ${images.path},`, name, labels.array.shape[0], hint, 'ERR_DATA');
  }
  const classes = entry.classNames.length;
  const wrong = targets.findIndex((label) => label >= classes);
  if (wrong !== -1) {
    const name = `label ${wrong} of ${labels.path}`;
    const hint = `${entry.title} has ${classes} classes.`;
    throw expected(`a class from 0 to ${classes - 1}`, name, targets[wrong], hint, 'ERR_DATA');
  }
  return { inputs, targets, count, shape: [...entry.imageShape], classNames: [...entry.classNames] };
}

/** The bytes of an array of unsigned bytes whose samples have the shape `sample`. */
function bytesOf({ path, array }: SoundFile, sample: readonly number[], name: string): Uint8Array {
  const actual = array.shape.slice(1);
  if (array.type !== 'u8' || actual.join() !== sample.join()) {
    const what = `${name} of type u8 and shape ${['count', ...sample].join(' x ')}`;
    const received = `type ${array.type} and shape ${array.shape.join(' x ')}`;
    throw new MnistTrainError('ERR_DATA', `Expected ${what} for ${path}, received ${received}. Check the file.`);
  }
  return array.data;
}
