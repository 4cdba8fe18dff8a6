/**
 * TensorBoard's event files: records one behind the other, each a protocol buffer between its length and checksums
 * (tensorflow/core/lib/io/record_writer.h, tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto).
 * Only the few fields that scalars need are written; varints, doubles and floats are little-endian.
 */

export interface ScalarEvent {
  /** Seconds since 1970. */
  wallTime: number;
  /** The place on the horizontal axis, a whole number of at least 0. */
  step: number;
  /** Values by name; TensorBoard groups names by what stands before a slash or underscore. */
  scalars: Readonly<Record<string, number>>;
}

const FILE_VERSION = 'brain.Event:2';

/** The kinds of protocol buffer fields: how a value's end is found. */
const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

/** The record that a file begins with. */
export function encodeFileVersion(wallTime: number): Uint8Array {
  return record(Buffer.concat([double(1, wallTime), text(3, FILE_VERSION)]));
}

/** The record of an event. Values are rounded to float32, as TensorBoard keeps them. */
export function encodeScalars({ wallTime, step, scalars }: ScalarEvent): Uint8Array {
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytes(1, Buffer.concat([text(1, tag), float(2, value)])),
  );
  return record(Buffer.concat([double(1, wallTime), whole(2, step), bytes(5, Buffer.concat(values))]));
}

/** u64 length, u32 masked checksum of the length, the data, u32 masked checksum of the data. */
function record(data: Uint8Array): Uint8Array {
  const out = Buffer.alloc(8 + 4 + data.length + 4);
  out.writeBigUInt64LE(BigInt(data.length), 0);
  out.writeUInt32LE(maskedCrc32c(out.subarray(0, 8)), 8);
  out.set(data, 12);
  out.writeUInt32LE(maskedCrc32c(data), 12 + data.length);
  return out;
}

function double(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(9);
  out[0] = (field << 3) | FIXED_64;
  out.writeDoubleLE(value, 1);
  return out;
}

function float(field: number, value: number): Uint8Array {
  const out = Buffer.alloc(5);
  out[0] = (field << 3) | FIXED_32;
  out.writeFloatLE(value, 1);
  return out;
}

function whole(field: number, value: number): Uint8Array {
  return Uint8Array.from([(field << 3) | VARINT, ...varint(value)]);
}

function text(field: number, value: string): Uint8Array {
  return bytes(field, Buffer.from(value));
}

function bytes(field: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.from([(field << 3) | BYTES, ...varint(value.length)]), value]);
}

/** Seven bits a byte, lowest first; by division, since shifts end at 32 bits. */
function varint(value: number): number[] {
  const out: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push((value % 128) | 128);
  return [...out, value];
}

/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), a byte at a time. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

/** Rotated and moved, so that a checksum of data that holds checksums is not degenerate. */
function maskedCrc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
