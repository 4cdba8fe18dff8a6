import { endianness } from 'node:os';
import { describeValue, expected, MnistTrainError } from '../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../pieces.js';
import { FLOAT_TYPES } from './float-types.js';

/**
 * The safetensors file format (https://github.com/huggingface/safetensors): a header length (u64, little-endian), a header
 * of UTF-8 JSON, then the values of all tensors, row-major and little-endian, without gaps.
 *
 * Files come from strangers. Nothing is allocated before the header's claims are checked against the size of the file.
 */

export interface SafetensorsTensor {
  name: string;
  /** Dimensions, outermost first; [] is a single value, and a dimension of 0 is an empty tensor. */
  shape: readonly number[];
  /** Row-major. */
  data: Float32Array;
}

export interface DecodedTensor {
  /** The type in the file: F32, F64, F16 or BF16. */
  dtype: string;
  shape: number[];
  /** A copy, rounded to float32 where the file holds float64. */
  data: Float32Array;
}

export interface DecodedSafetensors {
  /** In the order of the header. */
  tensors: Map<string, DecodedTensor>;
  metadata: Record<string, string>;
}

const IS_BIG_ENDIAN = endianness() === 'BE';
const METADATA_KEY = '__metadata__';
/** A key that some programs would take for an object's prototype. */
const PROTOTYPE_KEY = '__proto__';
const LENGTH_BYTES = 8;
/** The reference reader's limit. */
const MAX_HEADER_BYTES = 100_000_000;
/** The format needs three levels; the rest is room for fields of its future. */
const MAX_DEPTH = 16;
const FETCH_AGAIN = 'The file is damaged or was not written as safetensors: fetch or save it again.';

/**
 * Writes a file as the reference writer does: tensors by name, the header padded with spaces to a multiple of 8, so that
 * the values are aligned. (The reference orders by alignment first; all of ours are F32.)
 *
 * @throws ERR_ARGUMENT for a reserved or repeated name or metadata that is not text, ERR_SHAPE when a shape and its data disagree.
 */
export function* encodeSafetensors(
  tensors: readonly SafetensorsTensor[],
  metadata: Record<string, string> = {},
): Pieces<Uint8Array<ArrayBuffer>> {
  const sorted = tensors.map((tensor) => ({ ...tensor, key: Buffer.from(tensor.name) }));
  sorted.sort((a, b) => Buffer.compare(a.key, b.key));
  const seen = new Set<string>();
  for (const tensor of sorted) checkTensor(tensor, seen);
  // The header is joined as text: as properties of an object, names such as "0" would come out in another order.
  const entries: string[] = [];
  if (Object.keys(metadata).length > 0) {
    for (const [key, value] of Object.entries(metadata)) {
      if (key === PROTOTYPE_KEY) throw expected('another key', 'a metadata entry', key, 'Readers refuse this key.');
      if (typeof value !== 'string') throw expected('a string', `metadata ${describeValue(key)}`, value);
    }
    entries.push(`"${METADATA_KEY}":${JSON.stringify(metadata)}`);
  }
  let end = 0;
  for (const { name, shape, data } of sorted) {
    const begin = end;
    end += data.length * 4;
    entries.push(`${JSON.stringify(name)}:{"dtype":"F32","shape":[${shape}],"data_offsets":[${begin},${end}]}`);
  }
  const header = Buffer.from(`{${entries.join(',')}}`);
  const headerBytes = Math.ceil(header.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES)
    throw expected(
      `at most ${MAX_HEADER_BYTES} bytes`,
      'the header',
      headerBytes,
      'Shorten the metadata or the names.',
    );

  const bytes = new Uint8Array(LENGTH_BYTES + headerBytes + end);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes);
  bytes.set(header, LENGTH_BYTES);
  // Both 8 bytes and the header are whole floats long.
  const values = new Float32Array(bytes.buffer, LENGTH_BYTES + headerBytes);
  let offset = 0;
  for (const { data } of sorted) {
    for (const [from, to] of spans(data.length, PIECE_BYTES / 4)) {
      values.set(data.subarray(from, to), offset + from);
      if (IS_BIG_ENDIAN) Buffer.from(bytes.buffer, values.byteOffset + (offset + from) * 4, (to - from) * 4).swap32();
      yield;
    }
    offset += data.length;
  }
  return bytes;
}

function checkTensor({ name, shape, data }: SafetensorsTensor, seen: Set<string>): void {
  if (name === METADATA_KEY || name === PROTOTYPE_KEY || seen.has(name))
    throw expected('a name that is neither reserved nor taken', 'a tensor', name, 'Rename the tensor.');
  seen.add(name);
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  if (shape.some((dimension) => !Number.isSafeInteger(dimension) || dimension < 0) || size !== data.length)
    throw expected(
      `a shape of ${data.length} elements`,
      `tensor ${describeValue(name)}`,
      shape,
      'Pass data and shape that belong together.',
      'ERR_SHAPE',
    );
}

/**
 * Reads a file. Accepts F32, F64, F16 and BF16 and converts to float32; memory use is in proportion to the file's size.
 *
 * @param source Names the file in error messages.
 * @throws ERR_FORMAT for anything that the format does not allow, and for other types of value.
 */
export function* decodeSafetensors(bytes: Uint8Array, source: string): Pieces<DecodedSafetensors> {
  const fail: Fail = (what, field, value, hint = FETCH_AGAIN) =>
    new MnistTrainError(
      'ERR_FORMAT',
      `Expected ${what} for ${field} of ${source}, received ${excerpt(value)}. ${hint}`,
    );
  const { header, bufferStart } = readHeader(bytes, fail);
  const bufferBytes = bytes.length - bufferStart;

  const { [METADATA_KEY]: metadata = {}, ...entries } = header;
  checkMetadata(metadata, fail);
  const infos = Object.entries(entries).map(([name, entry]) => readEntry(name, entry, bufferBytes, fail));
  checkLayout(infos, bufferBytes, fail);

  const view = new DataView(bytes.buffer, bytes.byteOffset + bufferStart, bufferBytes);
  const tensors = new Map<string, DecodedTensor>();
  for (const { name, dtype, shape, size, begin } of infos) {
    const { bytes: step, read } = FLOAT_TYPES[dtype];
    const data = new Float32Array(size);
    for (const [from, to] of spans(size, PIECE_BYTES / 4)) {
      if (dtype === 'F32' && !IS_BIG_ENDIAN) {
        // As bytes: the file need not be aligned in memory.
        const place = bufferStart + begin;
        new Uint8Array(data.buffer).set(bytes.subarray(place + from * step, place + to * step), from * step);
      } else for (let i = from; i < to; i++) data[i] = read(view, begin + i * step);
      yield;
    }
    tensors.set(name, { dtype, shape, data });
  }
  return { tensors, metadata };
}

type Fail = (what: string, field: string, value: unknown, hint?: string) => Error;

/** Shows a value of the header. Not by converting it to a string: a field named "toString" would make that fail. */
function excerpt(value: unknown): string {
  if (typeof value !== 'object' || value === null) return describeValue(value);
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

interface TensorInfo {
  name: string;
  dtype: string;
  shape: number[];
  size: number;
  begin: number;
  end: number;
}

function readHeader(bytes: Uint8Array, fail: Fail): { header: Record<string, unknown>; bufferStart: number } {
  if (bytes.length < LENGTH_BYTES + 2) throw fail('at least 10 bytes', 'the size', bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const claimed = view.getBigUint64(0, true);
  const limit = Math.min(MAX_HEADER_BYTES, bytes.length - LENGTH_BYTES);
  if (claimed < 2n || claimed > BigInt(limit))
    throw fail(`a header length from 2 to ${limit} bytes`, 'the first 8 bytes', claimed);
  const bufferStart = LENGTH_BYTES + Number(claimed);
  const encoded = bytes.subarray(LENGTH_BYTES, bufferStart);
  if (encoded[0] !== 0x7b) throw fail('"{" as the first character', 'the header', String.fromCharCode(encoded[0]));

  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(encoded);
  } catch {
    throw fail('UTF-8', 'the text of the header', 'other bytes');
  }
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw fail('JSON', 'the header', (error as Error).message);
  }
  checkKeys(text, fail);
  return { header, bufferStart };
}

/**
 * Refuses repeated keys, of which JSON.parse would silently keep the last, `__proto__`, and nesting without end.
 *
 * @param text JSON that has been parsed already, so it is known to be well formed.
 */
function checkKeys(text: string, fail: Fail): void {
  // One entry for each bracket that is open: the keys of an object so far, null for an array.
  const open: (Set<string> | null)[] = [];
  let keyComes = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const start = at++;
      while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      if (keyComes) {
        const key: string = JSON.parse(text.slice(start, at + 1));
        const keys = open.at(-1)!;
        if (keys!.has(key)) throw fail('every key once', 'the header', key);
        if (key === PROTOTYPE_KEY) throw fail('another key', 'the header', key);
        keys!.add(key);
        keyComes = false;
      }
    } else if (character === '{') {
      open.push(new Set());
      keyComes = true;
    } else if (character === '[') {
      open.push(null);
      keyComes = false;
    } else if (character === '}' || character === ']') {
      open.pop();
      keyComes = false;
    } else if (character === ',') {
      keyComes = open.at(-1) !== null;
    }
    if (open.length > MAX_DEPTH) throw fail(`at most ${MAX_DEPTH} levels`, 'the nesting in the header', 'more');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkMetadata(metadata: unknown, fail: Fail): asserts metadata is Record<string, string> {
  if (!isObject(metadata)) throw fail('an object', METADATA_KEY, metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw fail('a string', `${METADATA_KEY} entry ${describeValue(key)}`, value);
  }
}

function readEntry(name: string, entry: unknown, bufferBytes: number, fail: Fail): TensorInfo {
  const tensor = `tensor ${describeValue(name)}`;
  if (!isObject(entry)) throw fail('an object with dtype, shape and data_offsets', tensor, entry);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw fail('a string', `dtype of ${tensor}`, dtype);
  if (!Object.hasOwn(FLOAT_TYPES, dtype))
    throw fail(
      `one of ${Object.keys(FLOAT_TYPES).join(', ')}`,
      `dtype of ${tensor}`,
      dtype,
      'Convert the tensor to float32 before saving it.',
    );
  if (!isArrayOfCounts(shape)) throw fail('an array of whole numbers of at least 0', `shape of ${tensor}`, shape);
  if (!isArrayOfCounts(offsets) || offsets.length !== 2)
    throw fail('two whole numbers of at least 0', `data_offsets of ${tensor}`, offsets);
  const [begin, end] = offsets;
  if (begin > end || end > bufferBytes)
    throw fail(`begin <= end <= ${bufferBytes}`, `data_offsets of ${tensor}`, offsets);
  let size = 1;
  for (const dimension of shape) {
    size *= dimension;
    // Past 2^53 a product is no longer exact, and could meet the byte count below by chance.
    if (size > Number.MAX_SAFE_INTEGER) throw fail('a shape that fits the file', `shape of ${tensor}`, shape);
  }
  const { bytes } = FLOAT_TYPES[dtype];
  if (size * bytes !== end - begin)
    throw fail(`a shape of ${(end - begin) / bytes} elements`, `shape of ${tensor}`, shape);
  return { name, dtype, shape: [...shape], size, begin, end };
}

function isArrayOfCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((element) => Number.isSafeInteger(element) && element >= 0);
}

/** The tensors must cover the buffer from its first byte to its last, without holes and without overlap. */
function checkLayout(infos: readonly TensorInfo[], bufferBytes: number, fail: Fail): void {
  let end = 0;
  for (const info of [...infos].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (info.begin !== end)
      throw fail(`${end} as the beginning`, `data_offsets of tensor ${describeValue(info.name)}`, info.begin);
    end = info.end;
  }
  if (end !== bufferBytes) throw fail(`${end} bytes of values`, 'the buffer', bufferBytes);
}
