import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DecodedSafetensors, decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.js';
import { atOnce } from '../../src/pieces.js';
import { allocatedBy } from './helpers/allocation.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

const SOURCE = 'some.safetensors';

/** Names that objects have anyway, numbers, any characters. `__proto__` is refused on both sides. */
const name = fc
  .oneof(fc.constantFrom('constructor', 'toString', '0.weight', '10', '2', '', 'dtype'), fc.string({ unit: 'binary' }))
  .filter((text) => text !== '__proto__' && text !== '__metadata__');

const shape = fc.array(fc.nat(3), { maxLength: 4 });
const sizeOf = (dimensions: readonly number[]) => dimensions.reduce((product, dimension) => product * dimension, 1);

const tensors = fc.uniqueArray(
  fc
    .tuple(name, shape)
    .chain(([text, dimensions]) =>
      fc
        .array(fc.float(), { minLength: sizeOf(dimensions), maxLength: sizeOf(dimensions) })
        .map((values) => ({ name: text, shape: dimensions, data: Float32Array.from(values) })),
    ),
  { selector: (tensor) => tensor.name, maxLength: 5 },
);

/** A file from a header and a buffer, with nothing checked. */
function fileOf(header: string, buffer: Uint8Array = new Uint8Array()): Uint8Array {
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
  return Uint8Array.from(Buffer.concat([start, Buffer.from(header), buffer]));
}

/** Types of value that others write: what the bits mean, from the bits. */
const HALF = fc.record({ sign: fc.nat(1), exponent: fc.nat(30), fraction: fc.nat(1023) }).map((bits) => ({
  dtype: 'F16',
  bytes: Buffer.of(bits.fraction & 255, (bits.sign << 7) | (bits.exponent << 2) | (bits.fraction >> 8)),
  value:
    (bits.sign ? -1 : 1) *
    (bits.exponent === 0 ? bits.fraction / 2 ** 24 : (1024 + bits.fraction) * 2 ** (bits.exponent - 25)),
}));
const BRAIN = fc.float().map((value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  bytes.fill(0, 0, 2);
  return { dtype: 'BF16', bytes: Buffer.from(bytes.subarray(2)), value: bytes.readFloatLE() };
});
const DOUBLE = fc.double().map((value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return { dtype: 'F64', bytes, value: Math.fround(value) };
});

const seeds = [
  atOnce(
    encodeSafetensors(
      [
        { name: '0.bias', shape: [2], data: Float32Array.of(1, -2) },
        { name: '0.weight', shape: [2, 1], data: Float32Array.of(0.5, 3) },
        { name: 'empty', shape: [0, 7], data: new Float32Array() },
      ],
      { format: 'pt', note: 'some "text"' },
    ),
  ),
  fileOf('{"x":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}', new Uint8Array(2)),
];
const WORDS = ['"', '{', '}', '[', ']', ',', ':', '\\', 'null', '-1', '-0', '1e999', '1.5', '9007199254740993', 'true']
  .concat([
    '"__proto__":',
    '"toString":{},',
    '"__metadata__":{},',
    '"F64"',
    '"F16"',
    '\u0000',
    '{}',
    '[[[[[[[[[[[[[[[[[[',
  ])
  .concat(['"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},', '"shape":[4294967296,4294967296],', '[0,0]']);

/** The beginning says how long the header is: with the right length, what is wrong inside it is reached. */
function repair(bytes: Buffer): Buffer {
  const end = bytes.lastIndexOf('}') + 1;
  if (end > 8) bytes.writeBigUInt64LE(BigInt(end - 8));
  return bytes;
}

/** Every value is the one at the place where the header has it, as JSON.parse reads that. */
function expectSound({ tensors: found, metadata }: DecodedSafetensors, bytes: Uint8Array): void {
  const whole = Buffer.from(bytes);
  const start = 8 + Number(whole.readBigUInt64LE());
  const { __metadata__: texts = {}, ...entries } = JSON.parse(whole.toString('utf8', 8, start));
  expect(metadata).toEqual(texts);
  expect([...found.keys()].sort()).toEqual(Object.keys(entries).sort());
  let size = 0;
  for (const [key, { dtype, shape: dimensions, data_offsets: offsets }] of Object.entries<Record<string, never>>(
    entries,
  )) {
    const tensor = found.get(key)!;
    expect(tensor.shape).toEqual(dimensions);
    expect(tensor.data.length).toBe(sizeOf(tensor.shape));
    size += offsets[1] - offsets[0];
    if (dtype !== 'F32') continue;
    const own = whole.subarray(start + offsets[0], start + offsets[1]);
    expect(Buffer.from(tensor.data.buffer).equals(own)).toBe(true);
  }
  expect(start + size).toBe(bytes.length);
}

async function check(bytes: Uint8Array): Promise<Verdict> {
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => atOnce(decodeSafetensors(bytes, SOURCE)), { codes: ['ERR_FORMAT'], source: SOURCE }),
  );
  expect(allocated).toBeLessThanOrEqual(4 * bytes.length + 4096);
  if ('refused' in outcome) return 'refused';
  expectSound(outcome.value, bytes);
  return 'accepted';
}

describe('safetensors', () => {
  fuzz(
    'safetensors-round-trip',
    fc.tuple(tensors, fc.dictionary(name, fc.string({ unit: 'binary' }), { noNullPrototype: true })),
    ([list, metadata]) => {
      const decoded = atOnce(decodeSafetensors(atOnce(encodeSafetensors(list, metadata)), SOURCE));
      expect(decoded.metadata).toEqual(metadata);
      const wanted = list.map(
        (tensor) => [tensor.name, { dtype: 'F32', shape: tensor.shape, data: tensor.data }] as const,
      );
      expect(decoded.tensors).toEqual(new Map(wanted));
      return 'accepted';
    },
    { sees: ['accepted'] },
  );
  fuzz(
    'safetensors-types',
    fc.oneof(HALF, BRAIN, DOUBLE),
    ({ dtype, bytes, value }) => {
      const header = { x: { dtype, shape: [1], data_offsets: [0, bytes.length] } };
      const { tensors: found } = atOnce(decodeSafetensors(fileOf(JSON.stringify(header), bytes), SOURCE));
      expect(found.get('x')!.data).toEqual(Float32Array.of(value));
      return 'accepted';
    },
    { sees: ['accepted'] },
  );
  fuzz('safetensors', mutated(seeds, { words: WORDS, repair }), ({ bytes }) => check(bytes), { runs: 800 });

  it.each([
    ['a tensor of 2^53 values', '{"x":{"dtype":"F32","shape":[67108864,67108864,2],"data_offsets":[0,4]}}'],
    ['a hundred thousand brackets', `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['a hundred thousand objects', `{"x":${'{"x":'.repeat(100_000)}1${'}'.repeat(100_000)}}`],
  ])('refuses %s in a header, and allocates nothing for it', async (_, header) => {
    expect(await check(fileOf(header, new Uint8Array(4)))).toBe('refused');
  });
});
