import { digestOf } from '../digest.js';
import { MnistTrainError } from '../errors.js';
import type { JsonValue } from '../json.js';
import type { Pieces } from '../pieces.js';
import { type DecodedTensor, decodeSafetensors, encodeSafetensors, type SafetensorsTensor } from './safetensors.js';

/**
 * Checkpoints: safetensors files whose metadata hold where training stands, as JSON, and a digest of the whole file, since
 * a flipped bit in a weight would otherwise go unseen.
 */

const STATE_KEY = 'mnist_train.checkpoint';
const DIGEST_KEY = 'mnist_train.sha256';
/** Stands for the digest while the file is digested. */
const NO_DIGEST = '0'.repeat(64);
const DIGEST_FIELD = Buffer.from(`"${DIGEST_KEY}":"`);

export interface CheckpointFile {
  tensors: readonly SafetensorsTensor[];
  state: JsonValue;
  /** The caller's own text. */
  metadata: Readonly<Record<string, string>>;
}

/** Numbers may be NaN or infinite, which JSON cannot say: they become { nonFinite: "NaN" }. */
export function* encodeCheckpoint({ tensors, state, metadata }: CheckpointFile): Pieces<Uint8Array> {
  const json = JSON.stringify(state, (_key, value) =>
    typeof value === 'number' && !Number.isFinite(value) ? { nonFinite: String(value) } : value,
  );
  const bytes = yield* encodeSafetensors(tensors, { ...metadata, [STATE_KEY]: json, [DIGEST_KEY]: NO_DIGEST });
  const place = digestPlace(bytes);
  Buffer.from(yield* digestOf('sha256', [bytes])).copy(bytes, place);
  return bytes;
}

export interface DecodedCheckpoint {
  tensors: ReadonlyMap<string, DecodedTensor>;
  state: JsonValue;
  metadata: Record<string, string>;
}

/** Throws ERR_FORMAT for another file and ERR_CHECKSUM for a damaged one, naming `source`. */
export function* decodeCheckpoint(bytes: Uint8Array, source: string): Pieces<DecodedCheckpoint> {
  const { tensors, metadata } = yield* decodeSafetensors(bytes, source);
  const { [STATE_KEY]: json, [DIGEST_KEY]: digest, ...own } = metadata;
  if (json === undefined || digest === undefined) {
    throw new MnistTrainError('ERR_FORMAT', `Expected a checkpoint in ${source}, received another safetensors file.`);
  }
  const place = digestPlace(bytes);
  const parts = [bytes.subarray(0, place), Buffer.from(NO_DIGEST), bytes.subarray(place + NO_DIGEST.length)];
  const actual = yield* digestOf('sha256', parts);
  if (actual !== digest) {
    throw new MnistTrainError(
      'ERR_CHECKSUM',
      `Expected SHA-256 ${digest} for ${source}, received ${actual}: it is damaged.`,
    );
  }
  return { tensors, state: parseState(json, source), metadata: own };
}

/** A digest says that the text is as it was written, not that it is JSON, or nested no deeper than can be read. */
function parseState(json: string, source: string): JsonValue {
  try {
    return JSON.parse(json, (_key, value) => (typeof value?.nonFinite === 'string' ? Number(value.nonFinite) : value));
  } catch (cause) {
    const problem = cause instanceof RangeError ? 'nesting without end' : `"${(cause as Error).message}"`;
    const message = `Expected JSON in the metadata ${STATE_KEY} of ${source}, received ${problem}.`;
    throw new MnistTrainError('ERR_FORMAT', message, { cause });
  }
}

const digestPlace = (bytes: Uint8Array): number =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(DIGEST_FIELD) + DIGEST_FIELD.length;
