import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import type { AugmentOp } from '../../src/program/ops.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { NO_AUGMENTATION } from '../helpers/op-cases-images.js';
import { normal, type OpSetupBuilder, runOp, setUpOp } from '../helpers/op-harness.js';
import { failure } from '../helpers/toy.js';

/** What augmentation promises beyond its arithmetic. Native has the same bits: tests/parity. */
const backend = createJsBackend();

type Change = Partial<typeof NO_AUGMENTATION & { seedLow: number; seedHigh: number; epoch: number }>;
type Shape = [height: number, width: number, channels: number];

/** The samples that `order` names, augmented; `pixels` makes the image of each. */
async function augmented(
  [inputHeight, inputWidth, channels]: Shape,
  order: number[],
  change: Change,
  pixels: (sample: number) => Float32Array,
): Promise<Float32Array[]> {
  const { epoch = 1, seedLow = 42, seedHigh = 0, ...options } = change;
  const size = inputHeight * inputWidth * channels;
  const inputs = order.flatMap((sample) => [...pixels(sample)]);
  const setup = setUpOp(order.length, 1, (builder) => {
    builder.data(null, Uint32Array.from(order));
    let place = 0;
    const op: AugmentOp = {
      op: 'augment',
      input: builder.batched('input', size, () => inputs[place++]),
      output: builder.batched('output', size),
      ...{ inputHeight, inputWidth, channels, ...NO_AUGMENTATION, ...options, seedLow, seedHigh },
      epoch: builder.scalar('epoch', epoch),
    };
    builder.add(op);
  });
  const { output } = (await runOp(backend, setup)).outputs;
  return order.map((_, i) => output.slice(i * size, (i + 1) * size));
}

const first = (count: number) => [...Array(count).keys()];

/** An image of a sample's own, without zeros. */
function noise([height, width, channels]: Shape): (sample: number) => Float32Array {
  return (sample) => {
    const stream = new RandomStream(sample, RandomPurpose.initialize);
    return Float32Array.from({ length: height * width * channels }, () => 1 + stream.uniform());
  };
}

/** The image moved so many pixels down and to the right. */
function moved([height, width, channels]: Shape, pixels: Float32Array, down: number, right: number): Float32Array {
  return pixels.map((_, at) => {
    const y = Math.floor(at / channels / width) - down;
    const x = (Math.floor(at / channels) % width) - right;
    const inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? pixels[(y * width + x) * channels + (at % channels)] : 0;
  });
}

const SIDE = 41;
const SQUARE: Shape = [SIDE, SIDE, 1];
const CENTRE = (SIDE - 1) / 2;

/** A round spot, wide enough for interpolation to leave its centre of mass where it is. */
function spot(y: number, x: number): Float32Array {
  return Float32Array.from({ length: SIDE * SIDE }, (_, at) => {
    const square = (Math.floor(at / SIDE) - CENTRE - y) ** 2 + ((at % SIDE) - CENTRE - x) ** 2;
    return Math.exp(-square / 8);
  });
}

/** An image's centre of mass, from its centre, and its mass. */
function massOf(pixels: Float32Array): { y: number; x: number; mass: number } {
  let [mass, y, x] = [0, 0, 0];
  pixels.forEach((value, at) => {
    mass += value;
    y += value * (Math.floor(at / SIDE) - CENTRE);
    x += value * ((at % SIDE) - CENTRE);
  });
  return { y: y / mass, x: x / mass, mass };
}

const massesOf = async (change: Change, y: number, x: number, count = 60) =>
  (await augmented(SQUARE, first(count), change, () => spot(y, x))).map(massOf);

/** That numbers stay within a range and come close to both of its ends. */
function expectToFill(values: number[], least: number, most: number, slack: number): void {
  const room = (most - least) / 8;
  for (const value of values) {
    expect(value).toBeGreaterThan(least - slack);
    expect(value).toBeLessThan(most + slack);
  }
  expect(Math.min(...values)).toBeLessThan(least + room);
  expect(Math.max(...values)).toBeGreaterThan(most - room);
}

describe('a shift', () => {
  it.each<[Shape, number]>([
    [[6, 5, 1], 2],
    [[4, 9, 3], 1],
    [[2, 2, 1], 2],
  ])('moves images of %j by every number of whole pixels up to %i, and changes none', async (shape, shift) => {
    const made = await augmented(shape, first(400), { shift }, noise(shape));
    const found = new Set<string>();
    for (const [sample, pixels] of made.entries()) {
      const source = noise(shape)(sample);
      const offsets = first((2 * shift + 1) ** 2).map((n) => [Math.floor(n / (2 * shift + 1)), n % (2 * shift + 1)]);
      const fits = offsets
        .map(([down, right]) => [down - shift, right - shift])
        .filter(([down, right]) => moved(shape, source, down, right).every((value, at) => value === pixels[at]));
      expect(fits.length).toBeGreaterThan(0);
      if (pixels.some((value) => value !== 0)) found.add(String(fits[0]));
    }
    const reachable = (size: number) => 2 * Math.min(shift, size - 1) + 1;
    expect(found.size).toBe(reachable(shape[0]) * reachable(shape[1]));
  });
});

describe('what turns, stretches and bends', () => {
  it.each<[string, Change]>([
    ['rotation', { rotation: 1e-30 }],
    ['scale', { scale: 1e-30 }],
    ['aspect', { aspect: 1e-30 }],
    ['shear', { shear: 1e-30 }],
    ['elastic', { elasticAlpha: 1e-30, elasticSpacing: 3 }],
  ])('leaves images as they are at next to nothing: %s', async (_, change) => {
    for (const shape of [
      [6, 6, 1],
      [5, 7, 2],
      [1, 1, 1],
    ] as Shape[]) {
      const made = await augmented(shape, first(5), change, noise(shape));
      for (const [sample, pixels] of made.entries()) expect(pixels).toEqual(noise(shape)(sample));
    }
  });

  it('moves as a shift by itself does', async () => {
    const shape: Shape = [9, 8, 2];
    const alone = await augmented(shape, first(20), { shift: 3 }, noise(shape));
    expect(await augmented(shape, first(20), { shift: 3, rotation: 1e-30 }, noise(shape))).toEqual(alone);
  });

  // Interpolation blurs a spot of this size without moving it: 0.02 pixels are room for its tails.
  it('turns about the centre by up to the angle, whatever lies in the centre stays', async () => {
    const rotation = 30;
    const spots = await massesOf({ rotation }, 0, 10);
    expectToFill(
      spots.map(({ y, x }) => (-Math.atan2(y, x) * 180) / Math.PI),
      -rotation,
      rotation,
      0.2,
    );
    for (const { y, x, mass } of spots) {
      expect(Math.hypot(y, x)).toBeCloseTo(10, 1);
      expect(Math.abs(mass / massOf(spot(0, 0)).mass - 1)).toBeLessThan(0.01);
    }
    for (const { y, x } of await massesOf({ rotation: 45 }, 0, 0)) {
      expect(Math.abs(y)).toBeLessThan(0.02);
      expect(Math.abs(x)).toBeLessThan(0.02);
    }
  });

  it('scales both sides by one factor, aspect the width alone, shear slants', async () => {
    const scaled = await massesOf({ scale: 0.3 }, 6, 9);
    for (const { y, x } of scaled) expect(x / y).toBeCloseTo(1.5, 1);
    expectToFill(
      scaled.map(({ y }) => y / 6),
      0.7,
      1.3,
      0.01,
    );
    const stretched = await massesOf({ aspect: 0.3 }, 6, 9);
    for (const { y } of stretched) expect(y).toBeCloseTo(6, 1);
    expectToFill(
      stretched.map(({ x }) => x / 9),
      0.7,
      1.3,
      0.01,
    );
    const slanted = await massesOf({ shear: 0.4 }, 10, 2);
    for (const { y } of slanted) expect(y).toBeCloseTo(10, 1);
    expectToFill(
      slanted.map(({ x }) => (x - 2) / 10),
      -0.4,
      0.4,
      0.01,
    );
  });

  /** The displacements in x inside an image, which a ramp shows. */
  async function bends(change: Change, width: number, count: number): Promise<number[][]> {
    const shape: Shape = [width, width, 1];
    const ramp = Float32Array.from({ length: width * width }, (_, at) => at % width);
    const made = await augmented(shape, first(count), change, () => ramp);
    const alpha = Math.ceil(change.elasticAlpha!);
    const middle = Math.floor(width / 2);
    return made.map((pixels) =>
      first(width - 2 * alpha - 2).map((n) => {
        const x = n + alpha + 1;
        return pixels[middle * width + x] - x;
      }),
    );
  }

  it('bends by up to alpha, smoothly, typically by a quarter of it', async () => {
    const [elasticAlpha, elasticSpacing] = [4, 9];
    const rows = await bends({ elasticAlpha, elasticSpacing }, 60, 100);
    for (const row of rows) {
      for (const [n, value] of row.entries()) {
        expect(Math.abs(value)).toBeLessThanOrEqual(elasticAlpha);
        // A cubic B-spline is no steeper than its nodes: 2 alpha over a spacing.
        if (n > 0) expect(Math.abs(value - row[n - 1])).toBeLessThanOrEqual((2 * elasticAlpha) / elasticSpacing);
        // Nor does the slope jump: its change over a pixel is that of the nodes' second differences.
        if (n > 1) {
          const change = Math.abs(value - 2 * row[n - 1] + row[n - 2]);
          expect(change).toBeLessThanOrEqual((4 * elasticAlpha) / elasticSpacing ** 2 + 1e-4);
        }
      }
    }
    const all = rows.flat();
    const typical = Math.sqrt(all.reduce((sum, value) => sum + value * value, 0) / all.length) / elasticAlpha;
    expect(typical).toBeGreaterThan(0.22);
    expect(typical).toBeLessThan(0.3);
    expect(Math.abs(all.reduce((sum, value) => sum + value, 0) / all.length)).toBeLessThan(0.3);
  });
});

describe('erasing', () => {
  const shape: Shape = [12, 17, 2];

  /** The rectangle of zeros in an image that had none, or null; an error for any other pattern. */
  function erasedOf(pixels: Float32Array): { height: number; width: number; top: number; left: number } | null {
    const [height, width, channels] = shape;
    const isZero = (y: number, x: number) => first(channels).map((c) => pixels[(y * width + x) * channels + c] === 0);
    const zeros = first(height).flatMap((y) =>
      first(width).flatMap((x) => (isZero(y, x).includes(true) ? [[y, x]] : [])),
    );
    if (zeros.length === 0) return null;
    const [ys, xs] = [zeros.map(([y]) => y), zeros.map(([, x]) => x)];
    const [top, left] = [Math.min(...ys), Math.min(...xs)];
    const found = { height: Math.max(...ys) - top + 1, width: Math.max(...xs) - left + 1, top, left };
    expect(zeros.length).toBe(found.height * found.width);
    expect(zeros.every(([y, x]) => !isZero(y, x).includes(false))).toBe(true);
    return found;
  }

  it('makes one rectangle of every size and place within bounds 0, and nothing else', async () => {
    const made = await augmented(shape, first(500), { eraseProbability: 1, eraseSize: 5 }, noise(shape));
    const found = made.map((pixels) => erasedOf(pixels)!);
    for (const side of ['height', 'width'] as const) {
      expect([...new Set(found.map((rectangle) => rectangle[side]))].sort()).toEqual([1, 2, 3, 4, 5]);
    }
    expect(Math.min(...found.map(({ top }) => top))).toBe(0);
    expect(Math.max(...found.map(({ top, height }) => top + height))).toBe(12);
    expect(Math.min(...found.map(({ left }) => left))).toBe(0);
    expect(Math.max(...found.map(({ left, width }) => left + width))).toBe(17);
    made.forEach((pixels, sample) => {
      const source = noise(shape)(sample);
      expect(pixels.every((value, at) => value === 0 || value === source[at])).toBe(true);
    });
  });

  it.each([0, 0.25, 1])('erases a share of %f', async (eraseProbability) => {
    const made = await augmented(shape, first(600), { eraseProbability, eraseSize: 12 }, noise(shape));
    const share = made.filter((pixels) => erasedOf(pixels) !== null).length / made.length;
    // Five standard deviations of a binomial share.
    const bound = 5 * Math.sqrt((eraseProbability * (1 - eraseProbability)) / made.length);
    expect(Math.abs(share - eraseProbability)).toBeLessThanOrEqual(bound);
  });

  it('changes nothing else that is drawn', async () => {
    const change: Change = { shift: 2, rotation: 10, elasticAlpha: 1, elasticSpacing: 4 };
    const without = await augmented(shape, first(30), change, noise(shape));
    const erased = await augmented(shape, first(30), { ...change, eraseProbability: 1, eraseSize: 3 }, noise(shape));
    erased.forEach((pixels, sample) => {
      expect(pixels.every((value, at) => value === 0 || value === without[sample][at])).toBe(true);
    });
    expect(erased).not.toEqual(without);
  });
});

describe('what an image becomes', () => {
  const shape: Shape = [8, 8, 1];
  const all: Change = {
    ...{ shift: 2, rotation: 20, scale: 0.2, aspect: 0.1, shear: 0.1, elasticAlpha: 1, elasticSpacing: 4 },
    ...{ eraseProbability: 0.5, eraseSize: 3 },
  };
  const one = noise(shape)(0);
  const made = (order: number[], change: Change = {}) => augmented(shape, order, { ...all, ...change }, () => one);

  it('does not depend on its batch or its row there', async () => {
    const [a, b, c, d] = await made([7, 100, 3, 4_000_000_000]);
    expect(await made([3])).toEqual([c]);
    expect(await made([4_000_000_000, 7, 5])).toEqual([d, a, expect.anything()]);
    expect((await made([...first(40), 100]))[40]).toEqual(b);
  });

  it('is another one in another epoch or sample, or with another seed, and the same otherwise', async () => {
    const [image] = await made([9]);
    expect(await made([9])).toEqual([image]);
    const others = [
      ...(await made([9], { epoch: 2 })),
      ...(await made([9], { epoch: 3 })),
      ...(await made([10])),
      ...(await made([9], { seedLow: 43 })),
      ...(await made([9], { seedHigh: 1 })),
    ];
    for (const [n, other] of others.entries()) {
      expect(other).not.toEqual(image);
      for (const another of others.slice(n + 1)) expect(other).not.toEqual(another);
    }
  });

  it.each(['shift', 'rotation', 'scale', 'aspect', 'shear', 'elasticAlpha'] as const)(
    'has numbers of its own for %s, in another epoch others',
    async (name) => {
      const change = { ...NO_AUGMENTATION, [name]: all[name], elasticSpacing: 4 };
      const images = await Promise.all([1, 2, 3].map((epoch) => made(first(4), { ...change, epoch })));
      expect(new Set(images.flat().map(String)).size).toBeGreaterThan(name === 'shift' ? 6 : 11);
    },
  );
});

describe('the op refuses, when the program is opened,', () => {
  const open = (change: Partial<AugmentOp>, size = 72, output = 'output') => {
    const declare = (builder: OpSetupBuilder) => {
      const input = builder.batched('input', size, normal);
      const other = builder.batched('output', size);
      const image = { inputHeight: 4, inputWidth: 6, channels: 3, ...NO_AUGMENTATION, seedLow: 1, seedHigh: 0 };
      const epoch = builder.scalar('epoch', 1);
      const to = output === 'output' ? other : input;
      builder.add({ op: 'augment', input, output: to, ...image, epoch, ...change });
    };
    return () => backend.open(setUpOp(3, 1, declare).program);
  };

  it.each<[Partial<AugmentOp>, RegExp]>([
    [{ inputHeight: 0 }, /whole number of at least 1 for inputHeight of augment, received 0/],
    [{ shift: 9 }, /whole number from 0 to 8 for shift of augment, received 9/],
    [{ rotation: 46 }, /from 0 up to 45 for rotation of augment, received 46/],
    [{ scale: 0.6 }, /from 0 up to 0.5 for scale of augment, received 0.6/],
    [{ aspect: -0.1 }, /for aspect of augment, received -0.1/],
    [{ shear: Number.NaN }, /for shear of augment, received NaN/],
    [{ elasticAlpha: 17 }, /from 0 up to 16 for elasticAlpha of augment/],
    [{ elasticSpacing: 1 }, /whole number from 2 to 64 for elasticSpacing of augment, received 1/],
    [{ eraseProbability: 1.5 }, /from 0 up to 1 for eraseProbability of augment/],
    [{ eraseSize: 5 }, /whole number from 1 to 4 for eraseSize of augment, received 5/],
    [{ seedHigh: 2 ** 32 }, /for seedHigh of augment/],
  ])('%j', (change, message) => {
    expect(open({})).not.toThrow();
    expect(open(change)).toThrow(failure('ERR_ARGUMENT', message));
  });

  it('images of another size, and working in place', () => {
    expect(open({}, 71)).toThrow(failure('ERR_SHAPE', /Expected 72 columns for buffer train\/input of augment/));
    expect(open({}, 72, 'input')).toThrow(failure('ERR_ARGUMENT', /another buffer than the input/));
    expect(open({ inputHeight: 2 ** 13, inputWidth: 2 ** 11 })).toThrow(
      failure('ERR_SHAPE', /at most 16777216 pixels/),
    );
  });
});
