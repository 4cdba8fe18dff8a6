import { describe, expect, it } from 'vitest';
import {
  activation,
  conv2d,
  dense,
  flatten,
  globalAveragePooling2d,
  maxPooling2d,
  residual,
  sequential,
  sgd,
} from '../../src/index.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

describe('residual', () => {
  it('names parameters after the outer layer, and starts each from numbers of its own', () => {
    const block = () => [dense({ units: 4 }), residual({ layers: [dense({ units: 4, useBias: false })] })];
    const nested = residual({ layers: block(), shortcut: [dense({ units: 4, useBias: false })] });
    const model = sequential([dense({ units: 4, useBias: false }), nested], { inputShape: [4], seed: 3 });
    const names = model.program().buffers.flatMap(({ role, name }) => (role === 'parameter' ? [name] : []));
    expect(names).toEqual(['0.weight', '1.0.weight', '1.0.bias', '1.1.0.weight', '1.shortcut.0.weight']);
    const weights = model.getWeights().filter(({ length }) => length === 16);
    expect(new Set(weights.map(String)).size).toBe(4);
  });

  it('survives in the configuration', () => {
    const layer = residual({
      layers: [conv2d({ filters: 2, kernelSize: 3, padding: 'same' }), residual({ layers: [flatten()] })],
      shortcut: [activation({ activation: 'tanh' })],
    });
    const restored = layerFromConfig(JSON.parse(JSON.stringify(layer.config)));
    expect(restored.config).toEqual(layer.config);
    expect(residual({ layers: [flatten()] }).config).not.toHaveProperty('shortcut');
  });

  it.each<[unknown, RegExp]>([
    [{}, /a list of at least one layer for layers of residual, received undefined/],
    [{ layers: [] }, /a list of at least one layer for layers of residual/],
    [{ layers: [3] }, /a layer, such as dense.*for layer 0 of layers of residual, received 3/],
    [{ layers: [flatten()], shortcut: flatten() }, /for shortcut of residual/],
    [{ layers: [flatten()], add: true }, /"add"/],
  ])('refuses %j', (options, message) => {
    expect(errorOf(() => residual(options as never))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses what is no layer in a configuration', () => {
    expect(errorOf(() => layerFromConfig({ type: 'residual', layers: [{ type: 'lambda' }] }))).toEqual(
      failure('ERR_ARGUMENT', /type of a layer, received "lambda"/),
    );
  });

  it('refuses more than 64 within each other, which no network has and a file may claim', () => {
    const nest = (levels: number) => {
      let layer = dense({ units: 2 });
      for (let level = 0; level < levels; level++) layer = residual({ layers: [layer] });
      return layer;
    };
    expect(nest(64).build([2]).outputShape).toEqual([2]);
    const message = /at most 64 residuals within each other for layers of residual, received 65/;
    expect(errorOf(() => nest(65))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses ways that end in different shapes, naming both', () => {
    const layer = residual({ layers: [conv2d({ filters: 2, kernelSize: 3 })] });
    const message = /\[6, 6, 2\], as its shortcut gives, for the output of the layers of residual.*\[4, 4, 2\]/;
    expect(errorOf(() => layer.build([6, 6, 2]))).toEqual(failure('ERR_SHAPE', message));
  });
});

describe('lowering', () => {
  it('keeps the gradient of the output until both ways have read it', () => {
    const relu = activation({ activation: 'relu' });
    const layers = [
      dense({ units: 4 }),
      residual({ layers: [dense({ units: 4 }), relu] }),
      residual({ layers: [flatten()], shortcut: [relu] }),
      dense({ units: 3 }),
    ];
    const { train } = opsOf(layers, [4]);
    const [shortcut, main] = only(train, 'activationBackward');
    // The second block's way without layers passes the gradient on as it is, so the other one leaves it alone.
    expect(shortcut).toMatchObject({ dOutput: 'train/3.dInput', dInput: 'train/2.shortcut.0.dSums' });
    expect(only(train, 'add').slice(2)).toMatchObject([
      { a: 'train/3.dInput', b: 'train/2.shortcut.0.dSums', output: 'train/3.dInput' },
      { a: 'train/1.0.dInput', b: 'train/3.dInput', output: 'train/1.0.dInput' },
    ]);
    expect(main).toMatchObject({ dOutput: 'train/3.dInput', dInput: 'train/1.1.dSums' });
    const dOutputs = only(train, 'denseBackward').map(({ dOutput }) => dOutput);
    expect(dOutputs.at(-1)).toBe('train/1.0.dInput');
  });

  it('adds no gradients where nothing before it learns', () => {
    const { train } = opsOf([residual({ layers: [dense({ units: 4 })] }), dense({ units: 3 })], [4]);
    expect(only(train, 'add')).toHaveLength(1);
    expect(only(train, 'denseBackward').at(-1)!.dInput).toBeNull();
  });

  it('holds image layers, too', () => {
    const block = residual({
      layers: [conv2d({ filters: 3, kernelSize: 3, padding: 'same' }), maxPooling2d({ poolSize: 3 })],
      shortcut: [conv2d({ filters: 3, kernelSize: 3, strides: 3 })],
    });
    const { infer } = opsOf([block, globalAveragePooling2d()], [6, 6, 1]);
    expect(namesOf(infer)).toEqual(['conv2d', 'maxPool2d', 'conv2d', 'add', 'averagePool2d']);
    expect(only(infer, 'add')[0]).toMatchObject({ a: 'infer/0.1.output', b: 'infer/0.shortcut.0.output' });
  });
});

it('computes forward and backward what one computes by hand', async () => {
  // y = V · (relu(W x) + S x) for x of two numbers, loss (y - t)²; every number is exact in float32.
  const layers = [
    dense({ units: 2, useBias: false }),
    residual({
      layers: [dense({ units: 2, useBias: false, activation: 'relu' })],
      shortcut: [dense({ units: 2, useBias: false })],
    }),
    dense({ units: 1, useBias: false }),
  ];
  const model = sequential(layers, { inputShape: [1], backend });
  const a = Float32Array.of(1, 2); // x = [1] · a = [1, 2]
  const w = Float32Array.of(1, -1, 0.5, -2); // x · w = [2, -5]
  const s = Float32Array.of(0.5, 1, -1, 0.25); // x · s = [-1.5, 1.5]
  const v = Float32Array.of(2, 4); // [2, 0] + [-1.5, 1.5] = [0.5, 1.5]; y = 7
  model.setWeights([a, w, s, v]);
  expect([...model.predictSync([1])]).toEqual([7]);

  model.compile({ optimizer: sgd({ learningRate: 1 }), loss: 'meanSquaredError' });
  await model.fit({ inputs: [1], targets: Float32Array.of(6) });
  // dy = 2 (7 - 6) = 2; dv = 2 [0.5, 1.5]; dr = 2 v = [4, 8]; behind relu [4, 0].
  // dw = xᵀ [4, 0]; ds = xᵀ [4, 8]; dx = [4, 0] wᵀ + [4, 8] sᵀ = [4, 2] + [10, -2] = [14, 0] = da.
  const expected = [
    [1 - 14, 2 - 0],
    [1 - 4, -1, 0.5 - 8, -2],
    [0.5 - 4, 1 - 8, -1 - 8, 0.25 - 16],
    [2 - 1, 4 - 3],
  ];
  expect(model.getWeights().map((values) => [...values])).toEqual(expected);
});
