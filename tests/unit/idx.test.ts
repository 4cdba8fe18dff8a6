import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseIdx, readIdxBytes, readIdxFile } from '../../src/data/idx.js';
import { MnistTrainError } from '../../src/errors.js';
import { type ElementType, encodeIdx } from '../helpers/idx.js';
import { temporaryFolder } from '../helpers/small-dataset.js';

const SAMPLES: Record<ElementType, number[]> = {
  u8: [0, 1, 127, 128, 254, 255],
  i8: [0, 1, -1, 127, -128, 5],
  i16: [0, 1, -2, 32767, -32768, 258],
  i32: [0, 1, -2, 2147483647, -2147483648, 16909060],
  f32: [0, -1.5, 0.1, 3.4e38, 1e-45, Infinity].map(Math.fround),
  f64: [0, -1.5, 0.1, Number.MAX_VALUE, Number.MIN_VALUE, -Infinity],
};

function formatErrorOf(bytes: Uint8Array): string {
  try {
    parseIdx(bytes, 'some/file');
  } catch (error) {
    expect(error).toBeInstanceOf(MnistTrainError);
    expect((error as MnistTrainError).code).toBe('ERR_FORMAT');
    expect((error as MnistTrainError).message).toContain('some/file');
    return (error as MnistTrainError).message;
  }
  throw new Error('parseIdx accepted damaged bytes');
}

const small = () => encodeIdx('u8', [2, 3, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);

function changed(offset: number, value: number): Uint8Array {
  const bytes = small();
  bytes[offset] = value;
  return bytes;
}

describe('parseIdx', () => {
  it.each(Object.keys(SAMPLES) as ElementType[])('reads big-endian %s values and their shape', (type) => {
    const result = parseIdx(encodeIdx(type, [3, 2], SAMPLES[type]), 'file');
    expect(result.type).toBe(type);
    expect(result.shape).toEqual([3, 2]);
    expect(Array.from(result.data)).toEqual(SAMPLES[type]);
  });

  it('reads values that do not begin at an even address', () => {
    const file = encodeIdx('f64', [6], SAMPLES.f64);
    const shifted = new Uint8Array(file.length + 3);
    shifted.set(file, 3);
    expect(Array.from(parseIdx(shifted.subarray(3), 'file').data)).toEqual(SAMPLES.f64);
  });

  it('leaves the bytes it was given as they are', () => {
    const file = encodeIdx('i32', [6], SAMPLES.i32);
    const before = Array.from(file);
    parseIdx(file, 'file');
    expect(Array.from(file)).toEqual(before);
  });

  it('returns plain arrays even for a Buffer', () => {
    const { data } = parseIdx(Buffer.from(small()), 'file');
    expect(data.constructor).toBe(Uint8Array);
  });

  it('refuses a file cut at any byte, saying how much was expected', () => {
    const whole = small();
    for (let length = 0; length < whole.length; length++) {
      const message = formatErrorOf(whole.subarray(0, length));
      const [wanted, found] = length < 4 ? [4, length] : length < 16 ? [16, length] : [12, length - 16];
      expect(message, `cut at ${length}`).toContain(`${wanted} bytes`);
      expect(message, `cut at ${length}`).toContain(`received ${found}.`);
    }
  });

  it('refuses trailing bytes', () => {
    const whole = small();
    const longer = new Uint8Array(whole.length + 1);
    longer.set(whole);
    expect(formatErrorOf(longer)).toMatch(/12 bytes.*data of some\/file, received 13\./);
  });

  it('refuses every other magic', () => {
    for (let bit = 0; bit < 8; bit++) {
      expect(formatErrorOf(changed(0, 1 << bit))).toContain('first two bytes');
      expect(formatErrorOf(changed(1, 1 << bit))).toContain('first two bytes');
    }
    expect(formatErrorOf(new TextEncoder().encode('<html>not here</html>'))).toContain('received 3c 68');
  });

  it('refuses every unknown type byte', () => {
    const known = [8, 9, 11, 12, 13, 14];
    for (let type = 0; type < 256; type++) {
      if (!known.includes(type)) expect(formatErrorOf(changed(2, type))).toContain('type byte');
    }
  });

  it('refuses rank 0 and ranks above 8', () => {
    for (const rank of [0, 9, 255]) expect(formatErrorOf(changed(3, rank))).toMatch(/rank of .* received \d+\./);
    expect(parseIdx(encodeIdx('u8', [1, 1, 1, 1, 1, 1, 1, 1], [7]), 'file').shape).toHaveLength(8);
  });

  it('refuses dimensions of zero', () => {
    expect(formatErrorOf(encodeIdx('u8', [0, 3, 2], []))).toContain('dimension 0 of');
    expect(formatErrorOf(encodeIdx('u8', [2, 3, 0], []))).toContain('dimension 2 of');
  });

  it('refuses dimensions whose product is too large, also when it wraps to the payload', () => {
    const largest = 0xffffffff;
    expect(formatErrorOf(encodeIdx('u8', [largest, largest], [1]))).toContain('2^53');
    expect(formatErrorOf(encodeIdx('f64', [2 ** 31, 2 ** 31, 4], [1]))).toContain('2^53'); // 2^64 elements: 0 in 64 bits
    expect(formatErrorOf(encodeIdx('u8', [2 ** 31, 2], []))).toContain('4294967296 bytes'); // 0 in 32 bits
  });
});

describe('readIdxFile', () => {
  function fileOf(bytes: Uint8Array, name = 'file'): string {
    const path = join(temporaryFolder(), name);
    writeFileSync(path, bytes);
    return path;
  }

  it('reads raw and gzipped files whatever they are called', async () => {
    const data = Array.from(parseIdx(small(), '').data);
    for (const [bytes, name] of [
      [small(), 'a'],
      [small(), 'a.gz'],
      [gzipSync(small()), 'a'],
      [gzipSync(small()), 'a.gz'],
    ] as const) {
      const result = await readIdxFile(fileOf(bytes, name));
      expect(result.shape).toEqual([2, 3, 2]);
      expect(Array.from(result.data)).toEqual(data);
    }
  });

  it('inflates files longer than what it first looks at', async () => {
    const values = Uint8Array.from({ length: 50_000 }, (_, i) => (Math.imul(i, 2654435761) >>> 13) & 255);
    const file = encodeIdx('u8', [50_000], values);
    expect(await readIdxBytes(fileOf(gzipSync(file)))).toEqual(Buffer.from(file));
  });

  it('refuses a gzip that is cut or damaged, and says what to do', async () => {
    const whole = gzipSync(
      encodeIdx(
        'u8',
        [9000],
        Uint8Array.from({ length: 9000 }, (_, i) => (i * i) % 251),
      ),
    );
    for (const length of [2, 10, 12, 20, 100, whole.length - 9, whole.length - 1]) {
      const path = fileOf(whole.subarray(0, length));
      const refused = readIdxFile(path);
      await expect(refused, `cut at ${length}`).rejects.toMatchObject({ code: 'ERR_FORMAT' });
      await expect(refused, `cut at ${length}`).rejects.toThrow(`${path}: the gzip data are damaged`);
    }
    const flipped = Uint8Array.from(whole);
    flipped[whole.length - 6] ^= 1; // within the CRC
    await expect(readIdxFile(fileOf(flipped))).rejects.toThrow(/gzip data are damaged .*Delete the file/);
  });

  it('stops inflating where the header says the data end', async () => {
    const bomb = new Uint8Array(20_000_000);
    bomb.set(encodeIdx('u8', [4], [1, 2, 3, 4]));
    const path = fileOf(gzipSync(bomb));
    await expect(readIdxFile(path)).rejects.toThrow(/inflates to more than its IDX header declares/);
    await expect(readIdxFile(path)).rejects.toMatchObject({ code: 'ERR_FORMAT' });
  });

  it('refuses a header that asks for more than the limit before inflating, and a raw file above it', async () => {
    const declared = gzipSync(encodeIdx('u8', [0xffffffff], [1]));
    await expect(readIdxFile(fileOf(declared))).rejects.toThrow(/at most 1073741824 bytes.*4294967303 bytes/);
    await expect(readIdxFile(fileOf(gzipSync(small())), { maxBytes: 27 })).rejects.toThrow(/at most 27 bytes/);
    await expect(readIdxFile(fileOf(small()), { maxBytes: 27 })).rejects.toThrow(/at most 27 bytes/);
    await expect(readIdxFile(fileOf(small()), { maxBytes: 28 })).resolves.toMatchObject({ shape: [2, 3, 2] });
  });

  it('refuses gzipped content that is not IDX, naming the file', async () => {
    const path = fileOf(gzipSync('just text'));
    await expect(readIdxFile(path)).rejects.toThrow(`first two bytes of ${path}`);
    await expect(readIdxFile(fileOf(gzipSync('')))).rejects.toThrow(/4 bytes for the magic number/);
  });

  it('tells a missing file and a folder apart', async () => {
    const folder = temporaryFolder();
    await expect(readIdxFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'ERR_FILE' });
    await expect(readIdxFile(join(folder, 'none'))).rejects.toThrow(/none: there is no such file/);
    await expect(readIdxFile(folder)).rejects.toThrow(/it is a folder/);
  });
});
