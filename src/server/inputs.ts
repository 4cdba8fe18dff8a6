import { constants } from 'node:buffer';
import { importImage } from '../data/image.js';
import { pixelsInHeader } from '../data/png.js';
import { describeValue, MnistTrainError } from '../errors.js';
import type { Predictor } from '../index.js';
import { sizeOf } from '../program/program.js';
import { HttpError } from './http-error.js';

/**
 * Bodies of requests to samples. The thread that decodes large bodies loads this file too, so that it must not import the
 * package as a whole.
 */

/** What a body is, by its content-type. */
export type BodyKind = 'bytes' | 'png' | 'json';

/** What the body of a request asks a prediction for. */
export interface RequestedSamples {
  /** Bytes are pixels, read as value / 255; floats are taken as they are. */
  values: Uint8Array | Float32Array;
  count: number;
  /** Whether one answer is wanted, not a list of them. */
  single: boolean;
}

export interface Wanted {
  /** Numbers in a sample. */
  size: number;
  shape: readonly number[];
  /** The most samples in a request. */
  batchLimit: number;
  /** The most pixels in the PNGs of a request: a small file may hold many, and decoding them takes their time. */
  pixelLimit: number;
}

export const wantedBy = ({ inputShape }: Predictor, batchLimit: number, pixelLimit: number): Wanted => ({
  size: sizeOf(inputShape),
  shape: inputShape,
  batchLimit,
  pixelLimit,
});

const refuse = (message: string): HttpError => new HttpError(400, message);

/** Throws a 400, or a 413 for more samples or pixels than allowed. */
export function readBody(kind: BodyKind, body: Uint8Array, wanted: Wanted): RequestedSamples {
  switch (kind) {
    case 'bytes':
      return readBytes(body, wanted);
    case 'png':
      return readPng(body, wanted);
    case 'json':
      return readJson(parseJson(body), wanted);
  }
}

/** Bytes of one sample, or of several one behind the other. Throws a 400. */
function readBytes(body: Uint8Array, { size, shape, batchLimit }: Wanted): RequestedSamples {
  const count = body.length / size;
  if (count === 0 || !Number.isInteger(count)) {
    throw refuse(
      `Expected ${size} bytes, or a multiple, for samples of [${shape.join(', ')}], received ${body.length} bytes.`,
    );
  }
  checkCount(count, batchLimit);
  return { values: body, count, single: count === 1 };
}

/** A PNG, converted as MNIST was made. Throws a 400, or a 413 for too many pixels. */
function readPng(body: Uint8Array, { shape, pixelLimit }: Wanted): RequestedSamples {
  checkPixels(pixelsInHeader(body), pixelLimit);
  return { values: pixelsOf(body, 'the PNG', shape), count: 1, single: true };
}

/** The width and height of the grey images that a model takes; null where it takes something else. */
function imageSizeOf(shape: readonly number[]): { width: number; height: number } | null {
  const side = Math.sqrt(shape[0]);
  const [height, width, channels = 1] = shape.length === 1 ? [side, side] : shape;
  return shape.length <= 3 && Number.isInteger(height) && channels === 1 ? { width, height } : null;
}

function pixelsOf(png: Uint8Array, name: string, shape: readonly number[]): Uint8Array {
  const size = imageSizeOf(shape);
  if (!size)
    throw refuse(`Expected numbers, since the model takes samples of [${shape.join(', ')}], received ${name}.`);
  try {
    return importImage(png, name, size).pixels;
  } catch (error) {
    if (error instanceof MnistTrainError) throw refuse(error.message);
    throw error;
  }
}

const KINDS = {
  image: 'one image of numbers from 0 to 255',
  images: 'a list of them',
  input: 'one sample of numbers, taken as they are',
  inputs: 'a list of them',
  png: 'one PNG in base64',
  pngs: 'a list of them',
} as const;
type Kind = keyof typeof KINDS;
const LIST = Object.keys(KINDS).join(', ');

/** Throws a 400, or a 413 for more than a string holds. */
export function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) throw refuse("Body cannot be empty when content-type is set to 'application/json'");
  const most = constants.MAX_STRING_LENGTH;
  if (body.length > most) throw new HttpError(413, `Expected at most ${most} bytes of JSON, received ${body.length}.`);
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString();
  try {
    return JSON.parse(text.startsWith('\uFEFF') ? text.slice(1) : text);
  } catch {
    throw refuse("Body is not valid JSON but content-type is set to 'application/json'");
  }
}

/** The pixels that the PNGs in a parsed body claim to have; 0 where there are none. */
export function pixelsInJson(body: unknown): number {
  const { png, pngs = [png] } = Object(body) as { png?: unknown; pngs?: unknown };
  // 24 bytes of a head are 32 characters.
  const heads = (Array.isArray(pngs) ? pngs : []).map((each) => (typeof each === 'string' ? each.slice(0, 32) : ''));
  return sumOfPixels(heads.map((head) => Buffer.from(head, 'base64')));
}

const sumOfPixels = (pngs: readonly Uint8Array[]): number => pngs.reduce((sum, png) => sum + pixelsInHeader(png), 0);

/** An object with one of the members of `KINDS`. Throws a 400. */
export function readJson(body: unknown, wanted: Wanted): RequestedSamples {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw refuse(`Expected an object with one of ${LIST}, received ${describeValue(body)}.`);
  }
  const members = Object.keys(body);
  const [kind] = members as Kind[];
  if (members.length !== 1 || !Object.hasOwn(KINDS, kind)) {
    throw refuse(`Expected one of ${LIST} in the object, received ${describeValue(members)}.`);
  }
  const value = (body as Record<string, unknown>)[kind];
  const single = kind === 'image' || kind === 'input' || kind === 'png';
  const samples = single ? [value] : value;
  if (!Array.isArray(samples) || samples.length === 0) {
    throw refuse(`Expected a list of one or more for ${kind}, received ${describeValue(value)}.`);
  }
  checkCount(samples.length, wanted.batchLimit);
  const nameOf = (index: number) => (single ? kind : `${kind}[${index}]`);
  if (kind.startsWith('png')) {
    const pngs = samples.map((sample, index) => readBase64(sample, nameOf(index)));
    checkPixels(sumOfPixels(pngs), wanted.pixelLimit);
    const values = new Uint8Array(samples.length * wanted.size);
    pngs.forEach((png, index) => {
      values.set(pixelsOf(png, nameOf(index), wanted.shape), index * wanted.size);
    });
    return { values, count: samples.length, single };
  }
  const lists = samples.map((sample, index) => numbersOf(sample, nameOf(index), wanted));
  // Only now: a list of a thousand zeros is no reason to make room for a thousand samples.
  const values = new (kind.startsWith('input') ? Float32Array : Uint8Array)(samples.length * wanted.size);
  lists.forEach((numbers, index) => {
    copyNumbers(numbers, nameOf(index), values, index * wanted.size);
  });
  return { values, count: samples.length, single };
}

function readBase64(text: unknown, name: string): Uint8Array {
  if (typeof text !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw refuse(`Expected a PNG in base64 for ${name}, received ${describeValue(text)}.`);
  }
  return Buffer.from(text, 'base64');
}

/** A sample's numbers, flat or nested: [[...], [...]]. As many as there have to be, but not looked at yet. */
function numbersOf(sample: unknown, name: string, { size, shape }: Wanted): unknown[] {
  const numbers: unknown[] = Array.isArray(sample) ? sample.flat(3) : [];
  if (numbers.length === size) return numbers;
  const received = Array.isArray(sample) ? `${numbers.length} of them` : describeValue(sample);
  throw refuse(`Expected ${size} numbers for ${name}, a sample of [${shape.join(', ')}], received ${received}.`);
}

function copyNumbers(
  numbers: readonly unknown[],
  name: string,
  target: Uint8Array | Float32Array,
  place: number,
): void {
  const bytes = target instanceof Uint8Array;
  numbers.forEach((number, index) => {
    const sound =
      typeof number === 'number' &&
      (bytes ? Number.isInteger(number) && number >= 0 && number <= 255 : Number.isFinite(Math.fround(number)));
    if (!sound) {
      const what = bytes ? 'a whole number from 0 to 255' : 'a finite float32 number';
      throw refuse(`Expected ${what} for ${name}[${index}], received ${describeValue(number)}.`);
    }
    target[place + index] = number;
  });
}

function checkPixels(pixels: number, pixelLimit: number): void {
  if (pixels <= pixelLimit) return;
  throw new HttpError(413, `Expected at most ${pixelLimit} pixels in PNGs, received ${pixels}. Scale them down first.`);
}

function checkCount(count: number, batchLimit: number): void {
  if (count > batchLimit) throw new HttpError(413, `Expected at most ${batchLimit} samples, received ${count}.`);
}
