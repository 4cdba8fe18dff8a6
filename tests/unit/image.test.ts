import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { encode, type ImageData } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { colorSupport, renderImage } from '../../src/cli/ui/image.js';
import { otsuThreshold } from '../../src/data/digit.js';
import { type ImportedImage, importImage } from '../../src/data/image.js';
import { importImages } from '../../src/data/image-files.js';
import { decodePng } from '../../src/data/png.js';
import { type ErrorCode, MnistTrainError } from '../../src/errors.js';
import { RandomStream } from '../../src/random.js';

const SOURCE = 'some/digit.png';

/** An image from a function of the place: light on dark, 0 to 255. */
function draw(width: number, height: number, ink: (x: number, y: number) => number): Uint8Array {
  return Uint8Array.from({ length: width * height }, (_, i) => ink(i % width, Math.floor(i / width)));
}

const invert = (pixels: Uint8Array) => pixels.map((value) => 255 - value);

const png = (
  width: number,
  height: number,
  data: ImageData['data'],
  more: Partial<ImageData> = {},
  interlace = false,
) => encode({ width, height, data, channels: 1, depth: 8, ...more }, { interlace: interlace ? 'Adam7' : 'null' });

/** A stroke in the form of a seven, in a frame of `side` at (left, top), antialiased by nothing. */
const seven = (left: number, top: number, side: number) => (x: number, y: number) => {
  const u = (x - left) / side;
  const v = (y - top) / side;
  const inside = u >= 0 && u < 0.6 && v >= 0 && v < 1;
  return inside && (v < 0.15 || Math.abs(u - (0.6 - 0.4 * v)) < 0.09) ? 255 : 0;
};

function centerOfMass(pixels: Uint8Array, width = 28) {
  let mass = 0;
  let x = 0;
  let y = 0;
  pixels.forEach((value, i) => {
    mass += value;
    x += value * (i % width);
    y += value * Math.floor(i / width);
  });
  return { x: x / mass, y: y / mass };
}

function boxOf(pixels: Uint8Array, width = 28) {
  const columns = [...pixels.keys()].filter((i) => pixels[i] > 0).map((i) => i % width);
  const rows = [...pixels.keys()].filter((i) => pixels[i] > 0).map((i) => Math.floor(i / width));
  return {
    width: Math.max(...columns) - Math.min(...columns) + 1,
    height: Math.max(...rows) - Math.min(...rows) + 1,
  };
}

const meanDifference = (a: Uint8Array, b: Uint8Array) =>
  a.reduce((sum, value, i) => sum + Math.abs(value - b[i]), 0) / a.length;

function refusal(run: () => unknown): MnistTrainError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(MnistTrainError);
    expect((error as MnistTrainError).message).toMatch(/^Expected .+ for .+, received .+\. .+/s);
    expect((error as MnistTrainError).message).toContain(SOURCE);
    return error as MnistTrainError;
  }
  throw new Error('The image was accepted.');
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const ends = Buffer.alloc(8);
  ends.writeUInt32BE(data.length, 0);
  ends.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
}

/** A PNG put together by hand: its pixel data as raw scan lines (filter byte first), and any more chunks. */
function handMade(
  [width, height, depth, colorType, interlace = 0]: number[],
  lines: Uint8Array,
  before: Buffer[] = [],
  compressed = deflateSync(lines),
): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colorType, 0, 0, interlace], 8);
  const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const end = chunk('IEND', new Uint8Array(0));
  return new Uint8Array(Buffer.concat([signature, chunk('IHDR', header), ...before, chunk('IDAT', compressed), end]));
}

const small = draw(28, 28, seven(8, 4, 20));
// Greys at the edges, so that "exactly" means more than black and white.
const soft = small.map((value, i) => (value === 0 && small[i - 1] > 0 ? 40 + (i % 90) : value));

describe('importImage at the size of the model', () => {
  it('keeps light on dark exactly', () => {
    const image = importImage(png(28, 28, soft), SOURCE);
    expect(image).toEqual({ pixels: soft, notes: ['kept as it is'], width: 28, height: 28 });
  });

  it('inverts dark on light, exactly', () => {
    const image = importImage(png(28, 28, invert(soft)), SOURCE);
    expect(image.pixels).toEqual(soft);
    expect(image.notes).toEqual(['inverted to light on dark']);
  });

  it('reads the same pixels from every way to store a grey image', () => {
    const channels = (...values: ((grey: number) => number)[]) =>
      Uint8Array.from([...soft].flatMap((grey) => values.map((value) => value(grey))));
    const same = (grey: number) => grey;
    const opaque = () => 255;
    const palette = Array.from({ length: 256 }, (_, i) => [i, i, i]);
    const variants = {
      interlaced: png(28, 28, soft, {}, true),
      greyAlpha: png(28, 28, channels(same, opaque), { channels: 2 }),
      rgb: png(28, 28, channels(same, same, same), { channels: 3 }),
      rgbInterlaced: png(28, 28, channels(same, same, same), { channels: 3 }, true),
      rgba: png(28, 28, channels(same, same, same, opaque), { channels: 4 }),
      palette: png(28, 28, soft, { palette }),
      sixteenBits: png(
        28,
        28,
        Uint16Array.from(soft, (grey) => grey * 257),
        { depth: 16 },
      ),
      rgb16: png(
        28,
        28,
        Uint16Array.from(channels(same, same, same), (v) => v * 257),
        { depth: 16, channels: 3 },
      ),
    };
    for (const [name, bytes] of Object.entries(variants)) {
      expect(importImage(bytes, name).pixels, name).toEqual(soft);
    }
  });

  it('tells polarity by the difference from the background, not by its brightness', () => {
    const onDarkGrey = soft.map((ink) => 90 - Math.round((ink * 80) / 255));
    expect(importImage(png(28, 28, onDarkGrey), SOURCE).pixels).toEqual(invert(onDarkGrey));
    const onLightGrey = soft.map((ink) => 160 + Math.round((ink * 80) / 255));
    expect(importImage(png(28, 28, onLightGrey), SOURCE).pixels).toEqual(onLightGrey);
  });

  it('lays a dark drawing on white and a light one on black when the background is transparent', () => {
    const drawing = (level: number) => Uint8Array.from([...soft].flatMap((grey) => [level, level, level, grey]));
    for (const level of [0, 255]) {
      const { pixels, notes } = importImage(png(28, 28, drawing(level), { channels: 4 }), SOURCE);
      expect(pixels).toEqual(soft);
      expect(notes[0]).toBe(level === 0 ? 'transparency laid on light' : 'transparency laid on dark');
    }
  });

  it('fills transparent holes in an opaque background with that background', () => {
    const data = Uint8Array.from([...soft].flatMap((grey, i) => (i < 3 ? [255, 0] : [grey, 255])));
    expect(importImage(png(28, 28, data, { channels: 2 }), SOURCE).pixels).toEqual(soft);
  });

  it('follows the size asked for', () => {
    const pixels = draw(12, 10, (x, y) => (x === 5 && y > 1 && y < 8 ? 200 : 0));
    expect(importImage(png(12, 10, pixels), SOURCE, { width: 12, height: 10 }).pixels).toEqual(pixels);
    const larger = importImage(png(28, 28, soft), SOURCE, { width: 56, height: 56 });
    expect(boxOf(larger.pixels, 56).height).toBe(40);
  });
});

describe('importImage at any other size', () => {
  /** A digit of the size of MNIST's box, and the same ten times as large with room around it. */
  const large = (pixels: Uint8Array) =>
    draw(400, 330, (x, y) => pixelAt(pixels, Math.floor((x - 90) / 10), Math.floor((y - 20) / 10)));
  const pixelAt = (pixels: Uint8Array, x: number, y: number) =>
    x >= 0 && y >= 0 && x < 28 && y < 28 ? pixels[y * 28 + x] : 0;

  it('gets back a digit that was enlarged ten times and moved', () => {
    const original = importImage(png(200, 200, draw(200, 200, seven(40, 10, 160))), SOURCE).pixels;
    for (const data of [large(original), invert(large(original))]) {
      const image = importImage(png(400, 330, data), SOURCE);
      expect(meanDifference(image.pixels, original)).toBeLessThan(0.5);
      expect(image).toMatchObject({ width: 400, height: 330 });
      expect(image.notes.at(-1)).toBe('centred by mass');
    }
  });

  it('does the same for colours on colours', () => {
    const data = Uint8Array.from(
      [...draw(300, 300, seven(30, 100, 150))].flatMap((v) => (v ? [20, 40, 160] : [250, 240, 190])),
    );
    const color = importImage(png(300, 300, data, { channels: 3 }), SOURCE);
    const grey = importImage(png(300, 300, draw(300, 300, seven(30, 100, 150))), SOURCE);
    expect(color.pixels).toEqual(grey.pixels);
    expect(color.notes[0]).toBe('inverted to light on dark');
  });

  it.each([
    [0, 0],
    [150, 3],
    [90, 180],
  ])('brings a drawing at (%i, %i) to the middle by its mass', (left, top) => {
    const { pixels } = importImage(png(300, 300, draw(300, 300, seven(left + 2, top + 2, 110))), SOURCE);
    const { x, y } = centerOfMass(pixels);
    expect(Math.abs(x - 14)).toBeLessThanOrEqual(0.5);
    expect(Math.abs(y - 14)).toBeLessThanOrEqual(0.5);
    expect(Math.max(...pixels)).toBe(255);
  });

  it.each([
    [40, 200],
    [200, 40],
    [120, 90],
    [7, 5],
    [1, 90],
  ])('keeps the aspect ratio of a drawing of %i x %i in a box of 20 x 20', (width, height) => {
    const image = draw(260, 260, (x, y) => (x >= 30 && x < 30 + width && y >= 25 && y < 25 + height ? 255 : 0));
    const box = boxOf(importImage(png(260, 260, image), SOURCE).pixels);
    const scale = 20 / Math.max(width, height);
    expect(box).toEqual({ width: Math.ceil(width * scale - 1e-9), height: Math.ceil(height * scale - 1e-9) });
  });

  it('shows strokes of one pixel in a large drawing', () => {
    const frame = (x: number, y: number) => x >= 100 && x <= 700 && y >= 50 && y <= 900;
    const line = (x: number, y: number) => frame(x, y) && (x === 100 || x === 700 || y === 50 || y === 900);
    const { pixels } = importImage(
      png(
        1000,
        1000,
        draw(1000, 1000, (x, y) => (line(x, y) ? 0 : 255)),
      ),
      SOURCE,
    );
    const middleRow = [...pixels.subarray(14 * 28, 15 * 28)].filter((value) => value > 60);
    expect(middleRow.length).toBeGreaterThanOrEqual(2);
    expect(boxOf(pixels)).toEqual({ width: 15, height: 20 });
  });

  it('is not misled by noise and uneven light', () => {
    const random = new RandomStream(7, 5);
    const paper = draw(220, 220, (x, y) => {
      const light = 205 - 25 * ((x + y) / 440) + 6 * random.normal();
      return Math.round(seven(60, 40, 130)(x, y) ? light - 130 : light);
    });
    const clean = importImage(png(220, 220, draw(220, 220, seven(60, 40, 130))), SOURCE).pixels;
    expect(meanDifference(importImage(png(220, 220, paper), SOURCE).pixels, clean)).toBeLessThan(6);
  });

  it('never cuts ink off, however lopsided', () => {
    // Nearly all mass at one end, with a faint long tail.
    const { pixels } = importImage(
      png(
        500,
        100,
        draw(500, 100, (x, y) => (y < 20 || y >= 80 || x < 20 || x > 480 ? 0 : x < 80 ? 255 : y === 50 ? 90 : 0)),
      ),
      SOURCE,
    );
    expect(boxOf(pixels).width).toBe(20);
  });

  it('takes an image of a single row or pixel size without failing in another way', () => {
    expect(refusal(() => importImage(png(1, 1, Uint8Array.of(9)), SOURCE)).code).toBe('ERR_DATA');
    const row: ImportedImage = importImage(png(9, 1, Uint8Array.of(0, 0, 0, 255, 255, 0, 0, 0, 0)), SOURCE);
    expect(Math.max(...row.pixels)).toBe(255);
  });
});

describe('otsuThreshold', () => {
  it('lies halfway between the means of two clear classes', () => {
    const histogram = new Float64Array(256);
    histogram[10] = 900;
    histogram[200] = 50;
    histogram[220] = 50;
    expect(otsuThreshold(histogram)).toBe(110);
  });
});

describe('images without a drawing', () => {
  it.each([
    ['white', new Uint8Array(784).fill(255), {}],
    ['black', new Uint8Array(784), {}],
    ['nearly even grey', draw(28, 28, (x) => 100 + (x % 3)), {}],
    ['fully transparent', new Uint8Array(784 * 2).map((_, i) => (i % 2 ? 0 : i % 256)), { channels: 2 }],
  ])('refuses %s', (_name, data, more) => {
    const error = refusal(() => importImage(png(28, 28, data, more), SOURCE));
    expect(error.code).toBe('ERR_DATA' satisfies ErrorCode);
  });

  it('refuses a large blank one', () => {
    expect(refusal(() => importImage(png(300, 200, new Uint8Array(60_000).fill(240)), SOURCE)).code).toBe('ERR_DATA');
  });
});

describe('decodePng', () => {
  it('reads samples of 1, 2 and 4 bits, whose rows end within a byte', () => {
    // Three pixels a row: 1 0 1, then 0 1 1.
    const one = decodePng(handMade([3, 2, 1, 0], Uint8Array.of(0, 0b10100000, 0, 0b01100000)), SOURCE);
    expect([...one.luminance]).toEqual([255, 0, 255, 0, 255, 255]);
    const two = decodePng(handMade([3, 1, 2, 0], Uint8Array.of(0, 0b00_01_11_00)), SOURCE);
    expect([...two.luminance]).toEqual([0, 85, 255]);
    const four = decodePng(handMade([3, 1, 4, 0], Uint8Array.of(0, 0x0f, 0x80)), SOURCE);
    expect([...four.luminance]).toEqual([0, 255, 136]);
  });

  it('reads palettes with transparency, and the transparent colour of images without alpha', () => {
    const palette = [chunk('PLTE', Uint8Array.of(255, 0, 0, 0, 0, 255)), chunk('tRNS', Uint8Array.of(0))];
    const indexed = decodePng(handMade([2, 1, 1, 3], Uint8Array.of(0, 0b01000000), palette), SOURCE);
    expect([...indexed.luminance]).toEqual([76, 29]);
    expect([...indexed.alpha!]).toEqual([0, 255]);
    const grey = decodePng(
      handMade([2, 1, 8, 0], Uint8Array.of(0, 9, 7), [chunk('tRNS', Uint8Array.of(0, 7))]),
      SOURCE,
    );
    expect([...grey.alpha!]).toEqual([255, 0]);
    const color = Uint8Array.of(0, 1, 2, 3, 1, 2, 4, 9, 2, 4);
    const rgb = decodePng(handMade([3, 1, 8, 2], color, [chunk('tRNS', Uint8Array.of(0, 1, 0, 2, 0, 4))]), SOURCE);
    expect([...rgb.alpha!]).toEqual([255, 0, 255]);
  });

  it('rounds sixteen bits to the nearest of eight', () => {
    const lines = Uint8Array.of(0, 0x01, 0x80, 0x01, 0xff, 0xff, 0x7e);
    expect([...decodePng(handMade([3, 1, 16, 0], lines), SOURCE).luminance]).toEqual([1, 2, 254]);
  });

  it('weighs colours by Rec. 601', () => {
    const lines = Uint8Array.of(0, 255, 0, 0, 0, 255, 0, 0, 0, 255);
    expect([...decodePng(handMade([3, 1, 8, 2], lines), SOURCE).luminance]).toEqual([76, 150, 29]);
  });

  it('leaves profiles and texts unread, damaged as they may be', () => {
    const profile = [chunk('iCCP', Buffer.from('x\0\0no zlib data')), chunk('tEXt', Buffer.from('no terminator'))];
    expect([...decodePng(handMade([1, 1, 8, 0], Uint8Array.of(0, 5), profile), SOURCE).luminance]).toEqual([5]);
  });
});

describe('damaged and foreign files', () => {
  const whole = png(28, 28, soft);

  it('refuses a PNG cut off at every byte', () => {
    for (let length = 0; length < whole.length; length++) {
      expect(refusal(() => importImage(whole.subarray(0, length), SOURCE)).code).toBe('ERR_FORMAT');
    }
  });

  it('refuses every byte changed, wherever it lies', () => {
    for (let i = 0; i < whole.length; i++) {
      const damaged = whole.slice();
      damaged[i] ^= 0x41;
      expect(refusal(() => importImage(damaged, SOURCE)).code, `byte ${i}`).toBe('ERR_FORMAT');
    }
  });

  it.each([
    ['a JPEG image', Buffer.from('ffd8ffe000104a464946', 'hex')],
    ['a GIF image', Buffer.from('GIF89a\x01\x00')],
    ['a WebP image', Buffer.from('RIFF\x24\0\0\0WEBPVP8 ')],
    ['a BMP image', Buffer.from('BM\x46\0\0\0')],
    ['a TIFF image', Buffer.from('II*\0')],
    ['an AVIF or HEIC image', Buffer.from('\0\0\0\x20ftypavif')],
    ['an SVG drawing', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['an empty file', Buffer.alloc(0)],
    ['data of another kind', Buffer.from('hello')],
  ])('names %s and says what to do', (name, bytes) => {
    const error = refusal(() => importImage(bytes, SOURCE));
    expect(error.code).toBe('ERR_FORMAT');
    expect(error.message).toContain(`received ${name}. Convert it to PNG first.`);
  });

  const line = Uint8Array.of(0, 1, 2);
  const cases: [title: string, bytes: Uint8Array, message: RegExp][] = [
    ['a size of 4 gigapixels', handMade([65536, 65536, 8, 0], line), /1 to 67108864 pixels .* 65536 x 65536/],
    ['a size past 2^53', handMade([0xffffffff, 0xffffffff, 16, 6], line), /1 to 67108864 pixels/],
    ['a width of 0', handMade([0, 1, 8, 0], line), /1 to 67108864 pixels/],
    ['a large size with hardly any data', handMade([8000, 8000, 8, 6], line), /256008000 bytes .* received 3/],
    ['more bytes than are held', handMade([8000, 8000, 16, 6], line), /at most 285212672 bytes .* 512008000/],
    ['an unknown colour type', handMade([2, 1, 8, 5], line), /colour type and bit depth/],
    ['an unknown bit depth', handMade([2, 1, 3, 0], line), /colour type and bit depth/],
    ['a depth that the colour type does not have', handMade([2, 1, 4, 2], line), /colour type and bit depth/],
    ['an unknown interlace method', handMade([2, 1, 8, 0, 2], line), /methods 0, 0 and 0 or 1/],
    ['interlacing below 8 bits', handMade([2, 1, 4, 0, 1], line), /without interlacing/],
    ['a line too few', handMade([2, 2, 8, 0], line), /6 bytes for the pixel data .* received 3/],
    ['a line too many', handMade([2, 1, 8, 0], Uint8Array.of(0, 1, 2, 0, 1, 2)), /3 bytes for the pixel data .* more/],
    ['a bomb', handMade([2, 1, 8, 0], new Uint8Array(50_000_000)), /3 bytes for the pixel data .* more/],
    ['pixel data that do not inflate', handMade([2, 1, 8, 0], line, [], Buffer.from('??')), /pixel data/],
    ['pixel data cut off', handMade([2, 1, 8, 0], line, [], deflateSync(line).subarray(0, 5)), /pixel data/],
    ['an unknown filter', handMade([2, 1, 8, 0], Uint8Array.of(9, 1, 2)), /can be decoded/],
    ['a palette image without palette', handMade([2, 1, 8, 3], line), /a palette/],
    [
      'a colour behind the palette',
      handMade([2, 1, 8, 3], line, [chunk('PLTE', Uint8Array.of(1, 1, 1))]),
      /a colour below 1/,
    ],
    ['a palette of four bytes', handMade([2, 1, 8, 3], line, [chunk('PLTE', new Uint8Array(4))]), /can be decoded/],
    ['a short tRNS', handMade([2, 1, 8, 0], line, [chunk('tRNS', new Uint8Array(0))]), /1 values for chunk tRNS/],
    ['an unknown critical chunk', handMade([2, 1, 8, 0], line, [chunk('ABCD', line)]), /a chunk that PNG defines/],
    ['a second header', handMade([2, 1, 8, 0], line, [chunk('IHDR', new Uint8Array(13))]), /IHDR first and once/],
  ];
  it.each(cases)('refuses %s', (_title, bytes, message) => {
    const error = refusal(() => importImage(bytes, SOURCE));
    expect(error.code).toBe('ERR_FORMAT');
    expect(error.message).toMatch(message);
  });
});

describe('importImages', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'mnist-train-images-'));
  });
  afterAll(() => rm(directory, { recursive: true }));

  const idxImages = (count: number, side: number, fill = 3) =>
    Buffer.concat([
      Buffer.from([0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, side, 0, 0, 0, side]),
      Buffer.alloc(count * side * side, fill),
    ]);

  it('reads a PNG as one image', async () => {
    await writeFile(join(directory, 'seven.png'), png(28, 28, invert(soft)));
    expect(await importImages(join(directory, 'seven.png'))).toEqual([
      { pixels: soft, name: 'seven.png', notes: ['inverted to light on dark'] },
    ]);
  });

  it('reads all images of an IDX file, with the labels beside it', async () => {
    await writeFile(join(directory, 'some-images-idx3-ubyte'), idxImages(2, 28));
    const path = join(directory, 'some-images-idx3-ubyte');
    const unlabelled = await importImages(path);
    expect(unlabelled.map(({ name, label }) => [name, label])).toEqual([
      ['some-images-idx3-ubyte[0]', undefined],
      ['some-images-idx3-ubyte[1]', undefined],
    ]);
    expect(unlabelled[1].pixels).toEqual(new Uint8Array(784).fill(3));
    await writeFile(join(directory, 'some-labels-idx1-ubyte'), Buffer.from([0, 0, 8, 1, 0, 0, 0, 2, 7, 4]));
    expect((await importImages(path)).map(({ label }) => label)).toEqual([7, 4]);
    await writeFile(join(directory, 'some-labels-idx1-ubyte'), Buffer.from([0, 0, 8, 1, 0, 0, 0, 1, 7]));
    await expect(importImages(path)).rejects.toMatchObject({ code: 'ERR_DATA' });
  });

  it('refuses other sizes, other files and files that are not there', async () => {
    await writeFile(join(directory, 'large-idx'), idxImages(1, 30));
    await expect(importImages(join(directory, 'large-idx'))).rejects.toMatchObject({ code: 'ERR_SHAPE' });
    expect(await importImages(join(directory, 'large-idx'), { width: 30, height: 30 })).toHaveLength(1);
    await writeFile(join(directory, 'text.png'), 'not a picture');
    await expect(importImages(join(directory, 'text.png'))).rejects.toMatchObject({ code: 'ERR_FORMAT' });
    await expect(importImages(join(directory, 'none.png'))).rejects.toMatchObject({ code: 'ERR_FILE' });
    await expect(importImages(directory)).rejects.toMatchObject({ code: 'ERR_FILE' });
  });
});

describe('renderImage', () => {
  it('uses a ramp of characters without colour', () => {
    expect(renderImage([0, 26, 128, 255], 2, 2)).toEqual(['  ..', '++@@']);
  });

  it('puts two rows into one line in 24 bits, and repeats a colour only when it changes', () => {
    expect(renderImage([0, 0, 9, 255, 255, 8], 3, 2, 'truecolor')).toEqual([
      '\x1b[38;2;0;0;0;48;2;255;255;255m▀▀\x1b[38;2;9;9;9;48;2;8;8;8m▀\x1b[0m',
    ]);
  });

  it('uses the greys of the 256-colour palette, and leaves the row below an odd height alone', () => {
    expect(renderImage([0, 8, 128, 238, 255], 5, 1, '256')).toEqual([
      `${[16, 232, 244, 255, 231].map((color) => `\x1b[38;5;${color};49m▀`).join('')}\x1b[0m`,
    ]);
  });

  it('asks the stream what it can show', () => {
    expect(colorSupport({ isTTY: true, getColorDepth: () => 24 })).toBe('truecolor');
    expect(colorSupport({ isTTY: true, getColorDepth: () => 8 })).toBe('256');
    expect(colorSupport({ isTTY: true, getColorDepth: () => 4 })).toBe('none');
    expect(colorSupport({ isTTY: false as true, getColorDepth: () => 24 })).toBe('none');
  });
});
