import { open } from 'node:fs/promises';
import { endianness } from 'node:os';
import { promisify } from 'node:util';
import { constants, gunzip } from 'node:zlib';
import { describeValue, expected, MnistTrainError } from '../errors.js';
import { errorCode, fileError } from '../files.js';

/**
 * IDX, the format of MNIST's files (described at the foot of the MNIST page of LeCun, Cortes and Burges): two zero
 * bytes, a type byte, the rank, one big-endian u32 per dimension, then the values in C order, big-endian too.
 */

const ELEMENTS = {
  8: { type: 'u8', bytes: 1 },
  9: { type: 'i8', bytes: 1 },
  11: { type: 'i16', bytes: 2 },
  12: { type: 'i32', bytes: 4 },
  13: { type: 'f32', bytes: 4 },
  14: { type: 'f64', bytes: 8 },
} as const;

interface IdxOf<Type, Data> {
  type: Type;
  /** The dimensions, each at least 1, the slowest first. */
  shape: number[];
  /** The product of `shape` values in C order. */
  data: Data;
}

/** The content of an IDX file; `type` tells which kind of array `data` is. */
export type IdxArray =
  | IdxOf<'u8', Uint8Array>
  | IdxOf<'i8', Int8Array>
  | IdxOf<'i16', Int16Array>
  | IdxOf<'i32', Int32Array>
  | IdxOf<'f32', Float32Array>
  | IdxOf<'f64', Float64Array>;

/** The format allows 255 dimensions; no data set has more than four. */
const MAX_RANK = 8;
const DEFAULT_MAX_BYTES = 2 ** 30;

interface IdxHeader {
  type: IdxArray['type'];
  elementBytes: number;
  shape: number[];
  headerBytes: number;
  payloadBytes: number;
}

/**
 * Reads IDX from memory.
 *
 * @param bytes The whole file, inflated. Values of one byte are returned as a view of it, larger ones as a copy.
 * @param source What to call the file in errors, usually its path.
 * @throws MnistTrainError ERR_FORMAT naming the file and the field that is wrong.
 */
export function parseIdx(bytes: Uint8Array, source: string): IdxArray {
  const { type, elementBytes, shape, headerBytes, payloadBytes } = parseHeader(bytes, source);
  const received = bytes.length - headerBytes;
  if (received !== payloadBytes) {
    throw formatError(
      `${payloadBytes} bytes (${shape.join(' x ')} values of type ${type})`,
      `the data of ${source}`,
      received,
      received < payloadBytes
        ? 'The file is cut off; get it again.'
        : 'Something follows the data; get the file again.',
    );
  }
  if (elementBytes === 1) {
    const start = bytes.byteOffset + headerBytes;
    return type === 'i8'
      ? { type, shape, data: new Int8Array(bytes.buffer, start, payloadBytes) }
      : { type: 'u8', shape, data: new Uint8Array(bytes.buffer, start, payloadBytes) };
  }
  const { buffer } = nativeOrder(bytes.subarray(headerBytes), elementBytes);
  switch (type) {
    case 'i16':
      return { type, shape, data: new Int16Array(buffer) };
    case 'i32':
      return { type, shape, data: new Int32Array(buffer) };
    case 'f32':
      return { type, shape, data: new Float32Array(buffer) };
    default:
      return { type: 'f64', shape, data: new Float64Array(buffer) };
  }
}

/**
 * Reads an IDX file, raw or gzipped; which of the two is told from its first bytes, not from its name.
 *
 * @param options.maxBytes The largest inflated size to accept, 1 GiB when left out.
 * @throws MnistTrainError ERR_FILE when the file cannot be read, ERR_FORMAT when it is not sound.
 */
export async function readIdxFile(path: string, options: { maxBytes?: number } = {}): Promise<IdxArray> {
  return parseIdx(await readIdxBytes(path, options), path);
}

/** As `readIdxFile`, but returns the raw bytes of the file, header included; for raw files nothing is checked yet. */
export async function readIdxBytes(path: string, options: { maxBytes?: number } = {}): Promise<Uint8Array> {
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  const bytes = await readWhole(path, maxBytes);
  return bytes[0] === 0x1f && bytes[1] === 0x8b ? inflate(bytes, path, maxBytes) : bytes;
}

async function readWhole(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) throw tooLarge(path, size, maxBytes);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw error instanceof MnistTrainError ? error : fileError('read', path, error);
  }
}

/**
 * Inflates a gzipped IDX file. The header, which the first kilobytes hold, says how large the rest must be; inflating
 * stops there, so a small file cannot fill the memory.
 */
async function inflate(bytes: Uint8Array, path: string, maxBytes: number): Promise<Uint8Array> {
  const longestHeader = 4 + 4 * MAX_RANK;
  let start = await gunzipOf(bytes.subarray(0, 4096), path, { finishFlush: constants.Z_SYNC_FLUSH });
  // A file that ends within its header: inflating it as a whole tells a cut gzip from a short IDX.
  if (start.length < longestHeader && bytes.length <= 4096) start = await gunzipOf(bytes, path, {});
  const { headerBytes, payloadBytes } = parseHeader(start, path);
  const size = headerBytes + payloadBytes;
  if (size > maxBytes) throw tooLarge(path, size, maxBytes);
  return gunzipOf(bytes, path, { maxOutputLength: size, chunkSize: Math.min(Math.max(size, 64), 2 ** 20) });
}

const gunzipAsync = promisify(gunzip) as (input: Uint8Array, options: object) => Promise<Uint8Array>;

async function gunzipOf(input: Uint8Array, path: string, options: object): Promise<Uint8Array> {
  try {
    return await gunzipAsync(input, options);
  } catch (error) {
    const tooLong = errorCode(error) === 'ERR_BUFFER_TOO_LARGE';
    const reason = tooLong
      ? 'it inflates to more than its IDX header declares'
      : `the gzip data are damaged (${error instanceof Error ? error.message : String(error)})`;
    throw new MnistTrainError('ERR_FORMAT', `Could not read ${path}: ${reason}. Delete the file and get it again.`, {
      cause: error,
    });
  }
}

function parseHeader(bytes: Uint8Array, source: string): IdxHeader {
  if (bytes.length < 4) throw formatError('4 bytes', `the magic number of ${source}`, bytes.length, NOT_IDX);
  if (bytes[0] !== 0 || bytes[1] !== 0) {
    throw formatError('00 00', `the first two bytes of ${source}`, hex(bytes.subarray(0, 2)), NOT_IDX);
  }
  const element = ELEMENTS[bytes[2] as keyof typeof ELEMENTS];
  if (element === undefined) {
    const known = Object.entries(ELEMENTS).map(([code, { type }]) => `${hex([Number(code)])} (${type})`);
    throw formatError(`one of ${known.join(', ')}`, `the type byte of ${source}`, hex(bytes.subarray(2, 3)), NOT_IDX);
  }
  const rank = bytes[3];
  if (rank < 1 || rank > MAX_RANK) throw formatError(`1 to ${MAX_RANK}`, `the rank of ${source}`, rank, NOT_IDX);
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) {
    throw formatError(`${headerBytes} bytes`, `the header of ${source}`, bytes.length, 'The file is cut off.');
  }

  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes);
  const shape = Array.from({ length: rank }, (_, index) => view.getUint32(4 + 4 * index));
  let payloadBytes: number = element.bytes;
  for (const [index, dimension] of shape.entries()) {
    if (dimension === 0) throw formatError('at least 1', `dimension ${index} of ${source}`, 0, 'The file has no data.');
    payloadBytes *= dimension; // the product of two exact numbers below 2^53 and 2^32 cannot pass 2^53 unnoticed
    if (payloadBytes > Number.MAX_SAFE_INTEGER) {
      throw formatError('a size below 2^53 bytes', `the dimensions of ${source}`, shape.join(' x '), NOT_IDX);
    }
  }
  return { type: element.type, elementBytes: element.bytes, shape, headerBytes, payloadBytes };
}

/** A copy of big-endian values in this machine's byte order. */
function nativeOrder(values: Uint8Array, elementBytes: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(values); // not a Buffer, whose memory may be shared and not aligned
  if (endianness() === 'BE') return copy;
  const swapped = Buffer.from(copy.buffer);
  if (elementBytes === 2) swapped.swap16();
  else if (elementBytes === 4) swapped.swap32();
  else swapped.swap64();
  return copy;
}

const NOT_IDX = 'The file is not IDX, or it is damaged.';

function hex(bytes: Uint8Array | number[]): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

function formatError(what: string, name: string, value: string | number, hint: string): MnistTrainError {
  return typeof value === 'number'
    ? expected(what, name, value, hint, 'ERR_FORMAT')
    : new MnistTrainError('ERR_FORMAT', `Expected ${what} for ${name}, received ${value}. ${hint}`);
}

function tooLarge(path: string, size: number, maxBytes: number): MnistTrainError {
  const hint = 'Check that it is the right file.';
  return formatError(`at most ${maxBytes} bytes`, `the size of ${path}`, `${describeValue(size)} bytes`, hint);
}
