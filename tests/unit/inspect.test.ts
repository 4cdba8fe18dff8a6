import { describe, expect, it } from 'vitest';
import {
  activityTable,
  gradientTable,
  statisticsTable,
  weightPreview,
  wrongGradients,
} from '../../src/cli/ui/inspection.js';
import { weightSheet } from '../../src/cli/weight-sheet.js';
import {
  activation,
  batchNormalization,
  conv2d,
  dense,
  flatten,
  type Layer,
  maxPooling2d,
  neuronActivity,
  parameterStatistics,
  residual,
  type Sequential,
  sequential,
} from '../../src/index.js';
import { namedWeights } from '../../src/model/activations.js';
import { statisticsOf } from '../../src/model/inspect/parameter-statistics.js';
import { sideBySide, weightPictures } from '../../src/model/inspect/weight-pictures.js';
import { buildStack } from '../../src/model/stack.js';
import { signedColor } from '../../src/pictures/picture.js';
import { normals } from '../helpers/reference-models.js';
import { failure } from '../helpers/toy.js';

const modelOf = (layers: Layer[], inputShape: number[]): Sequential =>
  sequential(layers, { inputShape, seed: 1, backend: 'js' });

describe('parameterStatistics', () => {
  it('describes every parameter', () => {
    const model = modelOf([dense({ units: 2 }), batchNormalization({ center: false })], [2]);
    model.setWeights([
      Float32Array.of(3, -1, 0, 4),
      Float32Array.of(0, 0),
      Float32Array.of(1, 2),
      Float32Array.of(0, 1),
      Float32Array.of(2, 2),
    ]);
    const [weight, bias, gamma, mean] = parameterStatistics(model);
    expect(weight).toEqual({
      name: '0.weight',
      layer: 0,
      shape: [2, 2],
      count: 4,
      trainable: true,
      mean: 1.5,
      deviation: Math.sqrt((1.5 ** 2 + 2.5 ** 2 + 1.5 ** 2 + 2.5 ** 2) / 4),
      least: -1,
      greatest: 4,
      norm: Math.sqrt(26),
      zeros: 0.25,
      notFinite: 0,
    });
    expect(bias).toMatchObject({ name: '0.bias', zeros: 1, norm: 0, deviation: 0 });
    expect(gamma).toMatchObject({ name: '1.weight', trainable: true });
    expect(mean).toMatchObject({ name: '1.running_mean', layer: 1, trainable: false, count: 2 });
  });

  it('counts numbers that are not finite, and leaves them out of the rest', () => {
    const statistics = statisticsOf(Float32Array.of(Number.NaN, 2, Infinity, 4));
    expect(statistics).toMatchObject({ mean: 3, deviation: 1, least: 2, greatest: 4, notFinite: 2, zeros: 0 });
    expect(statisticsOf(Float32Array.of(Number.NaN))).toMatchObject({
      mean: Number.NaN,
      least: Number.NaN,
      norm: Number.NaN,
    });
  });

  it('is a table that calls them out', () => {
    const row = { name: '0.weight', layer: 0, shape: [1, 2], count: 2, trainable: true };
    const text = statisticsTable([
      { ...row, ...statisticsOf(Float32Array.of(1, 3)) },
      { ...row, name: '0.bias', ...statisticsOf(Float32Array.of(0, Number.NaN)) },
    ]);
    const [head, first, second] = text.split('\n').map((line) => line.split(/ {2,}/));
    expect(head.at(-1)).toBe('not finite');
    expect(first.slice(0, 8)).toEqual(['0.weight', '[1, 2]', '2', '1', '1', '3', '3.162', '0.0 %']);
    expect(second.at(-1)).toBe('1!');
  });
});

describe('neuronActivity', () => {
  const model = () => {
    const layers = [dense({ units: 4, activation: 'relu' }), dense({ units: 2 }), activation({ activation: 'relu' })];
    const network = modelOf(layers, [1]);
    // Neurons: on for positive inputs, for negative ones, always, never.
    network.setWeights([
      Float32Array.of(1, -1, 0, 0),
      Float32Array.of(0, 0, 1, -1),
      Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0),
      Float32Array.of(-1, -1),
    ]);
    return network;
  };
  const inputs = Float32Array.from({ length: 40 }, (_, i) => (i % 4 === 0 ? -2 : 2));

  it('counts how often neurons are on, and names the dead ones', async () => {
    const progress: number[] = [];
    const activity = await neuronActivity(model(), inputs, { onProgress: ({ done }) => progress.push(done) });
    expect(activity.samples).toBe(40);
    expect(progress).toEqual([16, 32, 40]);
    expect(activity.layers).toMatchObject([
      { layer: 0, name: '0 dense (relu)', unit: 'neuron', shape: [4], medianShare: 0.5, dead: [3] },
      { layer: 2, name: '2 activation (relu)', unit: 'neuron', medianShare: 0.375, dead: [1] },
    ]);
    expect([...activity.layers[0].shares]).toEqual([0.75, 0.25, 1, 0]);
    const lines = activityTable(activity.layers).split('\n');
    expect(lines[1]).toMatch(/^0 dense \(relu\) +4 neurons +50\.0 % +1 {2}3$/);
  });

  it('counts channels of images, over all positions', async () => {
    const network = modelOf(
      [conv2d({ filters: 3, kernelSize: 1, activation: 'relu' }), flatten(), dense({ units: 1 })],
      [1, 2, 1],
    );
    network.setWeights([Float32Array.of(1, -1, 0), new Float32Array(3), normals(6, 1), new Float32Array(1)]);
    const { layers } = await neuronActivity(network, { inputs: Float32Array.of(1, 1, 1, -1), shape: [1, 2, 1] });
    expect(layers).toMatchObject([{ unit: 'channel', medianShare: 0.25, dead: [2] }]);
    expect([...layers[0].shares]).toEqual([0.75, 0.25, 0]);
  });

  it('refuses models without rectifiers and inputs of another shape', async () => {
    const linear = modelOf([dense({ units: 2, activation: 'tanh' })], [4]);
    await expect(neuronActivity(linear, [1, 2, 3, 4])).rejects.toThrow(failure('ERR_ARGUMENT', /activation relu/));
    const network = modelOf([dense({ units: 2, activation: 'relu' })], [2, 2, 1]);
    await expect(neuronActivity(network, { inputs: normals(4, 1), shape: [4, 1, 1] })).resolves.toBeDefined();
    await expect(neuronActivity(network, { inputs: normals(12, 1), shape: [2, 3, 2] })).rejects.toThrow(
      failure('ERR_SHAPE', /shape/),
    );
    await expect(neuronActivity(network, normals(5, 1))).rejects.toThrow(failure('ERR_SHAPE', /multiple of 4/));
    await expect(neuronActivity(network, normals(4, 1), { onprogress: 1 } as never)).rejects.toThrow(
      failure('ERR_ARGUMENT', /onprogress/),
    );
  });

  it('ends after the signal', async () => {
    const controller = new AbortController();
    let calls = 0;
    const onProgress = () => {
      calls++;
      controller.abort();
    };
    const activity = neuronActivity(model(), inputs, { signal: controller.signal, onProgress });
    await expect(activity).rejects.toThrow(failure('ERR_ABORTED', /neurons/));
    expect(calls).toBe(1);
  });
});

describe('weightPictures', () => {
  const picturesOf = (layers: Layer[], inputShape: number[], layer?: number) => {
    const stack = buildStack(layers, inputShape);
    const weights = stack.parameters.map(({ spec }, i) =>
      normals(
        spec.shape.reduce((a, b) => a * b, 1),
        i,
      ),
    );
    return { pictures: weightPictures(stack, namedWeights(stack, weights), layer), weights };
  };

  it("shows each dense neuron's weights as an image of the input", () => {
    const { pictures, weights } = picturesOf([dense({ units: 3 })], [2, 4, 1]);
    expect(pictures).toMatchObject({ layer: 0, type: 'dense', height: 2, width: 4, channels: 1 });
    expect(pictures!.images).toHaveLength(3);
    expect(pictures!.images[2]).toEqual(Float32Array.from({ length: 8 }, (_, pixel) => weights[0][pixel * 3 + 2]));
  });

  it("shows each filter's window, channels side by side", () => {
    const { pictures, weights } = picturesOf([conv2d({ filters: 2, kernelSize: [2, 1] })], [3, 3, 3]);
    expect(pictures).toMatchObject({ layer: 0, type: 'conv2d', height: 2, width: 1, channels: 3 });
    const at = (y: number, c: number) => weights[0][(y * 3 + c) * 2 + 1];
    const { values, width, height } = sideBySide(pictures!.images[1], pictures!);
    expect({ width, height }).toEqual({ width: 5, height: 2 });
    expect([...values]).toEqual([at(0, 0), 0, at(0, 1), 0, at(0, 2), at(1, 0), 0, at(1, 1), 0, at(1, 2)]);
    expect(sideBySide(pictures!.images[1], pictures!, 1)).toMatchObject({ width: 1, height: 2 });
  });

  it('shows another layer where asked, and none where weights are no picture', () => {
    const layers = () => [
      conv2d({ filters: 2, kernelSize: 2 }),
      maxPooling2d(),
      dense({ units: 4 }),
      dense({ units: 3 }),
    ];
    expect(picturesOf(layers(), [5, 5, 1], 2).pictures).toMatchObject({
      type: 'dense',
      height: 2,
      width: 2,
      channels: 2,
    });
    expect(picturesOf(layers(), [5, 5, 1], 3).pictures).toBeNull();
    expect(picturesOf(layers(), [5, 5, 1], 1).pictures).toBeNull();
    expect(() => picturesOf(layers(), [5, 5, 1], 4)).toThrow(failure('ERR_ARGUMENT', /layer/));
    expect(picturesOf([dense({ units: 4 }), dense({ units: 3 })], [9]).pictures).toBeNull();
    const inside = residual({ layers: [conv2d({ filters: 1, kernelSize: 3, padding: 'same' })] });
    expect(picturesOf([inside, dense({ units: 3 })], [4, 4, 1]).pictures).toMatchObject({ layer: 1, type: 'dense' });
  });

  const square = (count: number, width: number, channels = 1) => ({
    layer: 0,
    type: 'conv2d' as const,
    images: Array.from({ length: count }, (_, i) =>
      new Float32Array(width * width * channels).fill(i % 2 === 0 ? 1 : -0.5),
    ),
    height: width,
    width,
    channels,
  });

  it('has a preview as wide as the terminal, with numbers', () => {
    const preview = weightPreview(square(5, 3), { most: 1, columns: 22, colors: 'none' });
    expect(preview).toMatchObject({ shown: 5, channels: 1 });
    expect(preview.lines[0]).toBe('0       1       2');
    expect(preview.lines[1]).toBe('+@+@+@  -+-+-+  +@+@+@');
    expect(preview.lines[4]).toBe('3       4');
    expect(Math.max(...preview.lines.map(({ length }) => length))).toBeLessThanOrEqual(22);
    const colored = weightPreview(square(5, 3), { most: 1, columns: 22, colors: 'truecolor' });
    expect(colored.lines).toHaveLength(6);
    expect(colored.lines[1]).toContain(`\x1b[38;2;${signedColor(1, 1).join(';')}`);
  });

  it('shows as many pictures and channels as fit', () => {
    expect(weightPreview(square(100, 20), { most: 1, columns: 90, colors: 'none' })).toMatchObject({ shown: 2 });
    expect(weightPreview(square(9, 3, 8), { most: 1, columns: 30, colors: 'none' })).toMatchObject({ channels: 4 });
    expect(weightPreview(square(9, 30), { most: 1, columns: 40, colors: 'none' })).toEqual({
      lines: [],
      shown: 0,
      channels: 0,
    });
  });

  it('has a sheet of all, on one scale', () => {
    const { picture, shown, across } = weightSheet(square(5, 4), 1);
    expect({ shown, across }).toEqual({ shown: 5, across: 3 });
    const side = 4 * 21;
    expect({ width: picture.width, height: picture.height }).toEqual({
      width: 3 * (side + 1) + 1,
      height: 2 * (side + 1) + 1,
    });
    const at = (x: number, y: number) => [
      ...picture.pixels.subarray(3 * (y * picture.width + x), 3 * (y * picture.width + x) + 3),
    ];
    expect(at(1, 1)).toEqual(signedColor(1, 1).map(Math.round));
    expect(at(1 + side + 1, 1)).toEqual([...Uint8ClampedArray.from(signedColor(-0.5, 1))]);
    expect(weightSheet(square(7, 1), 1, 6)).toMatchObject({ shown: 6, across: 3 });
  });
});

describe('the gradient check for people', () => {
  const weight = { index: 7, engine: 0.5, numerical: 0.25, error: 0.5, bound: 1e-5 };
  const good = { ...weight, index: 2, engine: 0.25, error: 1e-7 };
  const check = {
    ok: false,
    samples: 8,
    parameters: [
      { name: '0.weight', layer: 0, weights: [good, weight], skipped: 1, worst: weight, ok: false },
      { name: '0.bias', layer: 0, weights: [good], skipped: 0, worst: good, ok: true },
      { name: '1.bias', layer: 1, weights: [], skipped: 3, worst: null, ok: true },
    ],
  };

  it('is a table, with what is wrong marked', () => {
    const lines = gradientTable(check).split('\n');
    expect(lines[1]).toMatch(/^0\.weight +2 +1 +5\.0e-1 +1\.0e-5 {2}WRONG$/);
    expect(lines[2]).toMatch(/^0\.bias +1 +0 +1\.0e-7 +1\.0e-5$/);
    expect(lines[3]).toMatch(/^1\.bias +0 +3 +- +-$/);
  });

  it('says which weight is wrong, and by how much', () => {
    expect(wrongGradients(check)).toEqual([
      '0.weight[7]: the engine computed 0.5, the difference quotient is 0.25: off by 5.0e-1, where 1.0e-5 is the bound',
    ]);
    const nan = { ...weight, engine: Number.NaN, error: Number.NaN };
    expect(wrongGradients({ ...check, parameters: [{ ...check.parameters[0], weights: [nan] }] })).toHaveLength(1);
  });
});
