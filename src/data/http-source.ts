import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { errorCode, removeQuietly } from '../files.js';
import type { DataFile, HttpSource } from './catalogue.js';
import { commitPart, mismatch, type Part, partHolds, removed, SourceFailure, writePart } from './part-file.js';

export interface HttpOptions {
  directory: string;
  signal?: AbortSignal;
  /** The longest time without a byte, in milliseconds. */
  stallTimeout: number;
  onBytes(received: number, total: number): void;
}

/**
 * Fetches `<file>.gz`, or `<file>` where the server has no such name, checks it and stores it inflated.
 *
 * A proxy or a server's Content-Encoding may have inflated the file on the way; its bytes are then checked against the
 * raw file's digest. Redirects are followed, at most the 20 of the fetch standard.
 *
 * @throws SourceFailure with the reason; the signal's reason when aborted. No file is left then.
 */
export async function fetchFromHttp(source: HttpSource, file: DataFile, options: HttpOptions): Promise<void> {
  const stall = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stall.signal]) : stall.signal;
  const timer = setTimeout(() => stall.abort(), options.stallTimeout);
  let received = 0;
  let part: Part;
  try {
    const response = await request(source, file, signal);
    timer.refresh();
    const total = checkLength(response, file);
    const chunks = response.body ?? emptyBody();
    part = await writePart(
      join(options.directory, file.name),
      chunks as AsyncIterable<Uint8Array>,
      Math.max(file.gzip.bytes, file.raw.bytes),
      (bytes) => {
        timer.refresh();
        received = bytes;
        options.onBytes(bytes, total);
      },
    );
  } catch (error) {
    options.signal?.throwIfAborted();
    if (stall.signal.aborted) {
      throw new SourceFailure(`no byte for ${options.stallTimeout / 1000} s`, { wholeSource: true });
    }
    throw isNetworkError(error) ? networkFailure(error, received) : error;
  } finally {
    clearTimeout(timer);
  }
  await store(part, file, join(options.directory, file.name), options.signal);
}

async function request(source: HttpSource, file: DataFile, signal: AbortSignal): Promise<Response> {
  const folder = source.url.endsWith('/') ? source.url : `${source.url}/`;
  // Without this header fetch offers gzip, and a server might gzip the .gz once more.
  const get = (name: string) => fetch(new URL(name, folder), { signal, headers: { 'accept-encoding': 'identity' } });
  let response = await get(`${file.name}.gz`);
  if (response.status === 404) {
    await response.body?.cancel();
    response = await get(file.name);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw new SourceFailure(`answered HTTP ${response.status} ${response.statusText}`.trimEnd());
}

/** The length to expect. A wrong one is refused before the first byte: it is an error page, or another file. */
function checkLength(response: Response, file: DataFile): number {
  const declared = response.headers.get('content-length');
  if (response.headers.has('content-encoding')) return file.raw.bytes; // the length is that of the encoded bytes
  if (declared === null) return file.gzip.bytes;
  const length = Number(declared);
  if (length !== file.gzip.bytes && length !== file.raw.bytes) {
    void response.body?.cancel();
    const type = response.headers.get('content-type');
    throw new SourceFailure(
      `offered ${length} bytes${type === null ? '' : ` of ${type}`} where ${file.gzip.bytes} were expected`,
    );
  }
  return length;
}

async function store(part: Part, file: DataFile, target: string, signal?: AbortSignal): Promise<void> {
  if (partHolds(part, file.raw)) {
    await commitPart(part, target);
    return;
  }
  let raw: Part;
  try {
    if (!partHolds(part, file.gzip)) throw mismatch(part, file.gzip);
    raw = await inflate(part, file, target, signal);
  } finally {
    await removeQuietly(part.path);
  }
  if (!partHolds(raw, file.raw)) {
    await removeQuietly(raw.path);
    throw mismatch(raw, file.raw);
  }
  await commitPart(raw, target);
}

async function inflate(part: Part, file: DataFile, target: string, signal?: AbortSignal): Promise<Part> {
  const gunzip = createGunzip({ chunkSize: 2 ** 18 });
  // `pipeline` does not wait for its last stage when another one fails: this waits until no file is left.
  const fed = pipeline(createReadStream(part.path), gunzip, { signal }).catch(() => undefined); // told by the other end
  try {
    return await writePart(target, gunzip, file.raw.bytes);
  } catch (error) {
    signal?.throwIfAborted();
    if (errorCode(error) === 'ENOENT') throw removed(error);
    throw errorCode(error).startsWith('Z_')
      ? new SourceFailure(`sent damaged gzip data (${(error as Error).message})`, { cause: error })
      : error;
  } finally {
    gunzip.destroy(); // where no file could be opened, nobody has read it to its end
    await fed;
  }
}

/** fetch reports every failure below HTTP as a TypeError whose cause is the real one. */
function isNetworkError(error: unknown): error is TypeError {
  return error instanceof TypeError && (error.message === 'fetch failed' || error.cause instanceof Error);
}

const NETWORK_REASONS: Record<string, string> = {
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host not found, no name server answers',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection closed by the other side',
  UND_ERR_SOCKET: 'connection closed by the other side',
  UND_ERR_CONNECT_TIMEOUT: 'no connection within 10 s', // the limit built into Node's fetch
  ENETUNREACH: 'network unreachable',
  EHOSTUNREACH: 'host unreachable',
};

function networkFailure(error: TypeError, received: number): SourceFailure {
  const code = errorCode(error.cause);
  const text = error.cause instanceof Error && error.cause.message ? error.cause.message : error.message;
  const reason = NETWORK_REASONS[code] ?? text;
  // 'fetch failed' is what is thrown before there is an answer; a body that breaks is 'terminated'.
  if (error.message !== 'fetch failed') {
    return new SourceFailure(`broke off after ${received} bytes (${reason})`, { cause: error });
  }
  return new SourceFailure(code ? `${reason} (${code})` : reason, { cause: error, wholeSource: true });
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
