import { crc32, inflateSync } from 'node:zlib';
import { type DecodedPng, decode } from 'fast-png';
import { MnistTrainError } from '../errors.js';

/**
 * PNG to luminance and opacity, eight bits each.
 *
 * fast-png decodes, but believes the file: it allocates what the header claims, inflates without limit and fills what is
 * missing with zeros. So the file's structure, checksums, size and compressed data are checked first, and only the chunks
 * that say what the pixels are go on to it.
 */

export interface Picture {
  width: number;
  height: number;
  /** Row-major: 0 black, 255 white. */
  luminance: Uint8Array;
  /** Row-major: 0 transparent, 255 opaque; null when every pixel is opaque. */
  alpha: Uint8Array | null;
}

/** 64 megapixels: more than any scanner's page, and few enough to hold in memory several times. */
const MAX_PIXELS = 64 * 1024 * 1024;

/** Of the samples before they become luminance: 64 megapixels of four bytes. Decoding holds them four times. */
const MAX_SAMPLE_BYTES = 272 * 1024 * 1024;

const PNG_SIGNATURE = '\x89PNG\r\n\x1a\n';
/** How files that people take for PNG begin. */
const OTHER_FORMATS: readonly [name: string, pattern: RegExp][] = [
  ['a JPEG image', /^\xff\xd8\xff/],
  ['a GIF image', /^GIF8[79]a/],
  ['a WebP image', /^RIFF.{4}WEBP/s],
  ['a BMP image', /^BM/],
  ['a TIFF image', /^(?:II\*\0|MM\0\*)/],
  ['an AVIF or HEIC image', /^.{4}ftyp/s],
  ['an SVG drawing', /^\s*<(?:\?xml|svg)/],
];

const COLOR_TYPES: Readonly<Record<number, { channels: number; depths: readonly number[] }>> = {
  0: { channels: 1, depths: [1, 2, 4, 8, 16] },
  2: { channels: 3, depths: [8, 16] },
  3: { channels: 1, depths: [1, 2, 4, 8] },
  4: { channels: 2, depths: [8, 16] },
  6: { channels: 4, depths: [8, 16] },
};
const PALETTE = 3;

/** The pixels that a PNG claims to have, without a look at the rest of the file; 0 where this is no PNG. */
export function pixelsInHeader(bytes: Uint8Array): number {
  if (!isPng(bytes) || bytes.length < 24) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(16) * view.getUint32(20);
}

type Fail = (what: string, field: string, found: string | number, hint?: string) => MnistTrainError;

/** True when the bytes begin as a PNG file does. */
function isPng(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 8)).toString('latin1') === PNG_SIGNATURE;
}

/**
 * Decodes a PNG of any colour type and bit depth, interlaced too (with 8 or 16 bits).
 *
 * Colours become luminance by Rec. 601 (0.299 R + 0.587 G + 0.114 B of the stored values), as in Pillow and most image
 * programs; greys stay exactly as they are. Sixteen bits are rounded to eight.
 *
 * @param source Names the file in error messages.
 * @throws ERR_FORMAT for anything that is not an undamaged PNG of at most 64 megapixels.
 */
export function decodePng(bytes: Uint8Array, source: string): Picture {
  const fail: Fail = (what, field, found, hint = 'The file is damaged: export or fetch it again.') =>
    new MnistTrainError('ERR_FORMAT', `Expected ${what} for ${field} of ${source}, received ${found}. ${hint}`);
  if (!isPng(bytes)) throw fail('a PNG image', 'the content', nameFormat(bytes), 'Convert it to PNG first.');
  const { header, kept } = readChunks(bytes, fail);
  let png: DecodedPng;
  try {
    png = decode(kept);
  } catch (error) {
    throw fail('an image that can be decoded', 'the content', `"${(error as Error).message}"`);
  }
  return toPicture(png, header.colorType, fail);
}

function nameFormat(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const start = Buffer.from(bytes.subarray(0, 256)).toString('latin1');
  return OTHER_FORMATS.find(([, pattern]) => pattern.test(start))?.[0] ?? 'data of another kind';
}

interface Header {
  width: number;
  height: number;
  depth: number;
  colorType: number;
  interlaced: boolean;
}

/** Checks the file chunk by chunk; returns its header and a PNG of the chunks that make the pixels. */
function readChunks(bytes: Uint8Array, fail: Fail): { header: Header; kept: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 8)];
  const compressed: Uint8Array[] = [];
  let header: Header | null = null;
  let paletteSize = 0;
  let offset = 8;
  for (let ended = false; !ended; ) {
    if (offset + 12 > bytes.length)
      throw fail('more chunks up to IEND', 'the file', `its end after ${bytes.length} bytes`);
    const length = view.getUint32(offset);
    const type = Buffer.from(bytes.subarray(offset + 4, offset + 8)).toString('latin1');
    const next = offset + 12 + length;
    if (!/^[A-Za-z]{4}$/.test(type))
      throw fail('four letters', `the type of the chunk at byte ${offset}`, 'other bytes');
    if (next > bytes.length)
      throw fail(`${next - offset} bytes`, `chunk ${type} at byte ${offset}`, `${bytes.length - offset} up to the end`);
    if (crc32(bytes.subarray(offset + 4, next - 4)) !== view.getUint32(next - 4))
      throw fail('the checksum in the file', `chunk ${type} at byte ${offset}`, 'another checksum');
    if ((header === null) !== (type === 'IHDR')) throw fail('IHDR first and once', 'the order of chunks', type);

    const data = bytes.subarray(offset + 8, next - 4);
    if (type === 'IHDR') header = readHeader(data, fail);
    else if (type === 'PLTE') paletteSize = length / 3;
    else if (type === 'IDAT') compressed.push(data);
    else if (type === 'IEND') ended = true;
    else if (/^[A-Z]/.test(type)) throw fail('a chunk that PNG defines', `the chunk at byte ${offset}`, type);
    // Everything else (profiles, texts, animation) does not change what is drawn, and need not be trusted.
    if (/^(?:IHDR|PLTE|tRNS|IDAT|IEND)$/.test(type)) kept.push(bytes.subarray(offset, next));
    offset = next;
  }
  if (header!.colorType === PALETTE && paletteSize === 0) throw fail('a palette', 'the PLTE chunk', 'none');
  checkCompressed(compressed, header!, fail);
  return { header: header!, kept: new Uint8Array(Buffer.concat(kept)) };
}

function readHeader(data: Uint8Array, fail: Fail): Header {
  if (data.length !== 13) throw fail('13 bytes', 'chunk IHDR', data.length);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  if (width === 0 || height === 0 || width * height > MAX_PIXELS)
    throw fail(`1 to ${MAX_PIXELS} pixels`, 'the size', `${width} x ${height}`, 'Scale the image down first.');
  const [depth, colorType, compression, filter, interlace] = data.subarray(8);
  if (!COLOR_TYPES[colorType]?.depths.includes(depth))
    throw fail('a colour type and bit depth of PNG', 'chunk IHDR', `type ${colorType} with ${depth} bits`);
  if (compression !== 0 || filter !== 0 || interlace > 1)
    throw fail('methods 0, 0 and 0 or 1', 'chunk IHDR', `${compression}, ${filter} and ${interlace}`);
  // fast-png reads such files as if each sample took a byte.
  if (interlace === 1 && depth < 8)
    throw fail('8 or 16 bits', 'an interlaced image', depth, 'Save the image without interlacing.');
  return { width, height, depth, colorType, interlaced: interlace === 1 };
}

/** The first column and row and the steps of the seven passes of Adam7. */
const ADAM7_PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** The pixel data must inflate to exactly what the header promises; inflating stops one byte behind that. */
function checkCompressed(compressed: readonly Uint8Array[], header: Header, fail: Fail): void {
  const { width, height, depth, colorType, interlaced } = header;
  const passes = interlaced ? ADAM7_PASSES : ([[0, 0, 1, 1]] as const);
  let promised = 0;
  for (const [x, y, stepX, stepY] of passes) {
    const columns = Math.ceil((width - x) / stepX);
    const rows = Math.ceil((height - y) / stepY);
    if (columns > 0 && rows > 0)
      promised += rows * (1 + Math.ceil((columns * COLOR_TYPES[colorType].channels * depth) / 8));
  }
  if (promised > MAX_SAMPLE_BYTES)
    throw fail(
      `at most ${MAX_SAMPLE_BYTES} bytes`,
      'the pixel data',
      promised,
      'Save it with 8 bits a channel, or scale it down.',
    );
  let found: number;
  try {
    found = inflateSync(Buffer.concat(compressed), { maxOutputLength: promised + 1 }).length;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw fail(`${promised} bytes`, 'the pixel data', code === 'ERR_BUFFER_TOO_LARGE' ? 'more' : `"${message}"`);
  }
  if (found !== promised) throw fail(`${promised} bytes`, 'the pixel data', found);
}

function toPicture(png: DecodedPng, colorType: number, fail: Fail): Picture {
  const { width, height, depth, channels, palette } = png;
  const count = width * height;
  const samples = depth < 8 ? unpack(png.data, width, height, depth) : png.data;
  const to8 = (sample: number) => (depth === 16 ? Math.round(sample / 257) : sample);
  const luminance = new Uint8Array(count);
  let alpha: Uint8Array | null = null;

  if (colorType === PALETTE) {
    if (palette!.some((color) => color.length > 3)) alpha = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const color = palette![samples[i]];
      if (!color) throw fail(`a colour below ${palette!.length}`, `pixel ${i}`, samples[i]);
      luminance[i] = luminanceOf(color[0], color[1], color[2]);
      if (alpha) alpha[i] = color[3];
    }
    return { width, height, luminance, alpha };
  }

  const colors = channels > 2 ? 3 : 1;
  const hasAlpha = channels === 2 || channels === 4;
  // Without an alpha channel, a tRNS chunk names the one colour that is transparent.
  const key = hasAlpha ? undefined : png.transparency;
  if (key && key.length !== colors) throw fail(`${colors} values`, 'chunk tRNS', key.length);
  if (hasAlpha || key) alpha = new Uint8Array(count);
  const greyScale = depth < 8 ? 255 / (2 ** depth - 1) : 1;
  for (let i = 0; i < count; i++) {
    const at = i * channels;
    luminance[i] =
      colors === 1
        ? to8(samples[at]) * greyScale
        : luminanceOf(to8(samples[at]), to8(samples[at + 1]), to8(samples[at + 2]));
    if (hasAlpha) alpha![i] = to8(samples[at + colors]);
    else if (key) alpha![i] = key.every((value, color) => value === samples[at + color]) ? 0 : 255;
  }
  return { width, height, luminance, alpha };
}

/** Rec. 601 in 16-bit fixed point. The weights add up to 65536, so that greys keep their value. */
function luminanceOf(red: number, green: number, blue: number): number {
  return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

/** Samples of 1, 2 or 4 bits, a byte each. Rows begin at whole bytes. */
function unpack(packed: ArrayLike<number>, width: number, height: number, depth: number): Uint8Array {
  const samples = new Uint8Array(width * height);
  const perByte = 8 / depth;
  const rowBytes = Math.ceil(width / perByte);
  const mask = 2 ** depth - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = packed[y * rowBytes + Math.floor(x / perByte)];
      samples[y * width + x] = (byte >> (8 - depth * ((x % perByte) + 1))) & mask;
    }
  }
  return samples;
}
