import { crc32, deflateSync } from 'node:zlib';

/** PNG files from their content, written by the specification (https://www.w3.org/TR/png-3/) and nothing of the package. */
export interface PngContent {
  width: number;
  height: number;
  depth: number;
  colorType: number;
  channels: number;
  /** `channels` a pixel, of `depth` bits each. */
  samples: readonly number[];
  interlaced: boolean;
  /** Of the rows in turn. */
  filters: readonly number[];
  /** IDAT chunks. */
  pieces: number;
  /** Red, green, blue and alpha. */
  palette: readonly (readonly number[])[] | null;
  /** The colour that is transparent; with a palette, that it has alpha. */
  key: readonly number[] | null;
}

export const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

export function chunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length);
  bytes.write(type, 4, 'latin1');
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** First column and row and steps of each pass. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

export function encodePng(image: PngContent): Buffer {
  const { width, height, depth, colorType, interlaced, palette, key, pieces } = image;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  header.set([depth, colorType, 0, 0, interlaced ? 1 : 0], 8);
  const chunks = [chunk('IHDR', header)];
  if (palette) chunks.push(chunk('PLTE', Buffer.from(palette.flatMap((color) => color.slice(0, 3)))));
  if (palette && key) chunks.push(chunk('tRNS', Buffer.from(palette.map((color) => color[3]))));
  else if (key) chunks.push(chunk('tRNS', Buffer.from(key.flatMap((value) => [value >> 8, value & 255]))));
  const passes = interlaced ? ADAM7 : [[0, 0, 1, 1]];
  const data = deflateSync(Buffer.concat(passes.map((pass) => encodePass(image, pass))));
  const size = Math.ceil(data.length / pieces);
  for (let at = 0; at < data.length; at += size) chunks.push(chunk('IDAT', data.subarray(at, at + size)));
  return Buffer.concat([SIGNATURE, ...chunks, chunk('IEND', Buffer.alloc(0))]);
}

function encodePass(image: PngContent, [left, top, stepX, stepY]: readonly number[]): Buffer {
  const { width, height, depth, channels, samples, filters } = image;
  const rows: Buffer[] = [];
  const pixelBytes = Math.max(1, (depth * channels) / 8);
  let above: Buffer | null = null;
  for (let y = top; y < height && left < width; y += stepY) {
    const values: number[] = [];
    for (let x = left; x < width; x += stepX)
      values.push(...samples.slice((y * width + x) * channels, (y * width + x + 1) * channels));
    const row = pack(values, depth);
    const filter = filters[rows.length % filters.length];
    rows.push(Buffer.from([filter, ...filtered(row, above ?? Buffer.alloc(row.length), filter, pixelBytes)]));
    above = row;
  }
  return Buffer.concat(rows);
}

function pack(values: readonly number[], depth: number): Buffer {
  const bits = values.map((value) => value.toString(2).padStart(depth, '0')).join('');
  const bytes = Buffer.alloc(Math.ceil(bits.length / 8));
  for (let at = 0; at < bytes.length; at++)
    bytes[at] = Number.parseInt(bits.slice(at * 8, at * 8 + 8).padEnd(8, '0'), 2);
  return bytes;
}

function filtered(row: Buffer, above: Buffer, filter: number, pixelBytes: number): number[] {
  return [...row].map((value, at) => {
    const a = at >= pixelBytes ? row[at - pixelBytes] : 0;
    const b = above[at];
    const c = at >= pixelBytes ? above[at - pixelBytes] : 0;
    return (value - [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter]) & 255;
  });
}

function paeth(a: number, b: number, c: number): number {
  const [toA, toB, toC] = [b - c, a - c, a + b - 2 * c].map(Math.abs);
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}

/** Gives every chunk the checksum of what it holds, as far as the file has whole chunks. */
export function repairPng(bytes: Buffer): Buffer {
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at);
    if (end + 4 > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(at + 4, end)), end);
    at = end + 4;
  }
  return bytes;
}
