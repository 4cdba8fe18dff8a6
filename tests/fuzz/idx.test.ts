import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type IdxArray, parseIdx, readIdxFile } from '../../src/data/idx.js';
import { type ElementType, encodeIdx } from '../helpers/idx.js';
import { allocatedBy } from './helpers/allocation.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-idx-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'some-idx');

const VALUES: Record<ElementType, fc.Arbitrary<number>> = {
  u8: fc.integer({ min: 0, max: 255 }),
  i8: fc.integer({ min: -128, max: 127 }),
  i16: fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  f32: fc.float(),
  f64: fc.double(),
};

/** Arrays of every type and rank, a few values each. */
const array = fc
  .record({
    type: fc.constantFrom(...(Object.keys(VALUES) as ElementType[])),
    shape: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
  })
  .chain(({ type, shape }) => {
    const count = shape.reduce((product, dimension) => product * dimension, 1);
    const values = fc.array(VALUES[type], { minLength: count, maxLength: count });
    return fc.record({ type: fc.constant(type), shape: fc.constant(shape), values });
  });

const seeds = [
  encodeIdx(
    'u8',
    [2, 3, 3],
    Array.from({ length: 18 }, (_, i) => i * 13),
  ),
  encodeIdx('u8', [5], [0, 1, 2, 3, 9]),
  encodeIdx('i16', [2, 2], [-1, 256, 32767, -32768]),
  encodeIdx('f64', [1, 2], [Math.PI, -0]),
];

/** The rules of the format, with nothing taken from the parser. */
function expectSound({ shape, data, type }: IdxArray, bytes: Uint8Array): void {
  const size = { u8: 1, i8: 1, i16: 2, i32: 4, f32: 4, f64: 8 }[type];
  expect(shape.length).toBe(bytes[3]);
  expect(data.length).toBe(shape.reduce((product, dimension) => product * dimension, 1));
  expect(4 + 4 * shape.length + size * data.length).toBe(bytes.length);
  expect([...encodeIdx(type, shape, data)].slice(4)).toEqual([...bytes].slice(4));
}

async function checkBytes(bytes: Uint8Array): Promise<Verdict> {
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => parseIdx(bytes, 'some-idx'), { codes: ['ERR_FORMAT'], source: 'some-idx' }),
  );
  expect(allocated).toBeLessThanOrEqual(4 * bytes.length + 4096);
  if ('refused' in outcome) return 'refused';
  expectSound(outcome.value, bytes);
  return 'accepted';
}

/** A gzip has a checksum: whatever was done to it, it is refused or gives one of the arrays that went in. */
async function checkGzip(bytes: Uint8Array): Promise<Verdict> {
  writeFileSync(file, bytes);
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => readIdxFile(file), { codes: ['ERR_FORMAT'], source: file }),
  );
  // Up to 4 KB may be inflated before the header is known, to a thousand times as much.
  expect(allocated).toBeLessThanOrEqual(12 * 2 ** 20);
  if ('refused' in outcome) return 'refused';
  const { type, shape, data } = outcome.value;
  const again = Buffer.from(encodeIdx(type, shape, data));
  expect(seeds.some((seed) => again.equals(seed))).toBe(true);
  return 'accepted';
}

describe('IDX', () => {
  fuzz(
    'idx-round-trip',
    array,
    async ({ type, shape, values }): Promise<Verdict> => {
      const bytes = encodeIdx(type, shape, values);
      const expected = {
        u8: Uint8Array,
        i8: Int8Array,
        i16: Int16Array,
        i32: Int32Array,
        f32: Float32Array,
        f64: Float64Array,
      };
      const wanted = { type, shape, data: expected[type].from(values) };
      expect(parseIdx(bytes, 'some-idx')).toEqual(wanted);
      writeFileSync(file, gzipSync(bytes));
      expect(await readIdxFile(file)).toEqual(wanted);
      return 'accepted';
    },
    { sees: ['accepted'] },
  );
  fuzz('idx', mutated(seeds), ({ bytes }) => checkBytes(bytes), { runs: 600 });
  fuzz('gzip', mutated(seeds.map((seed) => gzipSync(seed))), ({ bytes }) => checkGzip(bytes), { runs: 300 });
});

describe('files that promise much', () => {
  const vast = [2 ** 32 - 1, 2 ** 20, 1];

  it('refuses an IDX of 16 bytes before it allocates what the header declares', async () => {
    expect(await checkBytes(encodeIdx('f64', vast, []))).toBe('refused');
  });

  it('refuses a gzip of 50 bytes that declares more than the limit', async () => {
    expect(await checkGzip(gzipSync(encodeIdx('u8', vast, [])))).toBe('refused');
  });

  it('stops a gzip of some kilobytes that goes on to 64 megabytes', async () => {
    const bomb = gzipSync(Buffer.concat([encodeIdx('u8', [4], []), Buffer.alloc(2 ** 26)]));
    expect(await checkGzip(bomb)).toBe('refused');
  });
});
