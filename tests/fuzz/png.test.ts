import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { importImage } from '../../src/data/image.js';
import { decodePng, type Picture } from '../../src/data/png.js';
import { allocatedBy } from './helpers/allocation.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';
import { chunk, encodePng, type PngContent, repairPng, SIGNATURE } from './helpers/png.js';

const SOURCE = 'some.png';

const KINDS: readonly [colorType: number, channels: number, depths: readonly number[]][] = [
  [0, 1, [1, 2, 4, 8, 16]],
  [2, 3, [8, 16]],
  [3, 1, [1, 2, 4, 8]],
  [4, 2, [8, 16]],
  [6, 4, [8, 16]],
];

/** Images of every colour type, depth, filter and interlacing that is read, a few pixels each. */
const content: fc.Arbitrary<PngContent> = fc
  .tuple(fc.constantFrom(...KINDS), fc.nat(4), fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 11 }))
  .chain(([[colorType, channels, depths], choice, width, height]) => {
    const depth = depths[choice % depths.length];
    const count = width * height * channels;
    const most = 2 ** depth - 1;
    const transparent = colorType === 4 || colorType === 6;
    const pixel = fc.array(fc.nat(most), { minLength: channels, maxLength: channels });
    return fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      depth: fc.constant(depth),
      colorType: fc.constant(colorType),
      channels: fc.constant(channels),
      samples: fc.array(fc.nat(most), { minLength: count, maxLength: count }),
      interlaced: depth < 8 ? fc.constant(false) : fc.boolean(),
      filters: fc.array(fc.nat(4), { minLength: 1, maxLength: 8 }),
      pieces: fc.integer({ min: 1, max: 4 }),
      palette:
        colorType === 3
          ? fc.array(fc.array(fc.nat(255), { minLength: 4, maxLength: 4 }), {
              minLength: most + 1,
              maxLength: most + 1,
            })
          : fc.constant(null),
      // fast-png refuses a key of more values than there are pixels.
      key: transparent || width * height < 3 ? fc.constant(null) : fc.option(pixel),
    });
  });

/** What the format says that the pixels mean: Rec. 601, sixteen bits rounded, opaque where nothing else is said. */
function meaningOf({ width, height, depth, colorType, channels, samples, palette, key }: PngContent): Picture {
  const most = 2 ** depth - 1;
  const luminance = new Uint8Array(width * height);
  const alpha = new Uint8Array(width * height).fill(255);
  const grey = ([red, green, blue]: readonly number[]) =>
    Math.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536);
  for (let i = 0; i < width * height; i++) {
    const raw = samples.slice(i * channels, (i + 1) * channels);
    const pixel = colorType === 3 ? palette![raw[0]] : raw.map((value) => Math.round((value * 255) / most));
    luminance[i] = colorType === 0 || colorType === 4 ? pixel[0] : grey(pixel);
    if (colorType === 4) alpha[i] = pixel[1];
    else if (colorType === 6 || (colorType === 3 && key)) alpha[i] = pixel[3];
    else if (key) alpha[i] = key.every((value, channel) => value === raw[channel]) ? 0 : 255;
  }
  const opaque = colorType !== 4 && colorType !== 6 && !key;
  return { width, height, luminance, alpha: opaque ? null : alpha };
}

const seeds = fc.sample(content, { numRuns: 24, seed: 1 }).map(encodePng);
const LIMIT = 64 * 1024 * 1024;

async function check(bytes: Uint8Array): Promise<Verdict> {
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => decodePng(bytes, SOURCE), { codes: ['ERR_FORMAT'], source: SOURCE }),
  );
  // Compressed a thousandfold at the most, and held some times over.
  expect(allocated).toBeLessThanOrEqual(2 ** 17 + 20_000 * bytes.length);
  if ('refused' in outcome) return 'refused';
  const { width, height, luminance, alpha } = outcome.value;
  expect(width * height).toBeLessThanOrEqual(LIMIT);
  expect(luminance.length).toBe(width * height);
  if (alpha) expect(alpha.length).toBe(width * height);
  // The rest of the way to a model's input, which counts on the above.
  const imported = await outcomeOf(() => importImage(bytes, SOURCE), { codes: ['ERR_DATA'], source: SOURCE });
  if ('value' in imported) expect(imported.value.pixels.length).toBe(28 * 28);
  return 'accepted';
}

describe('PNG', () => {
  fuzz(
    'png-round-trip',
    content,
    (image) => {
      expect(decodePng(encodePng(image), SOURCE)).toEqual(meaningOf(image));
      return 'accepted';
    },
    { runs: 300, sees: ['accepted'] },
  );
  fuzz(
    'png',
    mutated(seeds, { words: ['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND', 'acTL', 'tEXt', 'iCCP'], repair: repairPng }),
    ({ bytes }) => check(bytes),
    { runs: 600 },
  );

  it('stops data that inflate to more than the header promises', async () => {
    const image = fc.sample(content, { numRuns: 1, seed: 2 })[0];
    const whole = encodePng(image);
    const header = whole.subarray(8, 33);
    const bomb = deflateSync(Buffer.alloc(2 ** 26));
    const file = Buffer.concat([SIGNATURE, header, chunk('IDAT', bomb), chunk('IEND', Buffer.alloc(0))]);
    expect(await check(file)).toBe('refused');
  });
});
