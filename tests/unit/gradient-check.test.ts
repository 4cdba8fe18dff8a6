import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import {
  batchNormalization,
  conv2d,
  dense,
  dropout,
  gradientCheck,
  type Layer,
  type LossName,
  l1l2,
  type Sequential,
  sequential,
} from '../../src/index.js';
import { resolveLoss } from '../../src/losses/resolve.js';
import { differenceOf } from '../../src/model/inspect/central-difference.js';
import { type CheckSetup, checkGradients } from '../../src/model/inspect/check-gradients.js';
import { trainingGradients } from '../../src/model/training-gradients.js';
import { atOnce } from '../../src/pieces.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { buildNetwork, NETWORKS, normals } from '../helpers/reference-models.js';
import { failure } from '../helpers/toy.js';

const js = createJsBackend();
const ROWS = 6;
const samplesOf = (size: number) => ({
  inputs: normals(ROWS * size, 31),
  targets: Uint8Array.of(0, 1, 2, 0, 1, 2),
  count: ROWS,
});

const CASES = availableBackends().flatMap((backend) =>
  Object.keys(NETWORKS).map((name) => ({ backend, name, title: titleOf(backend) })),
);

describe.each(CASES)('$name on $title', ({ backend, name }) => {
  it('has gradients within their bounds, which are small', async () => {
    const { stack, weights } = buildNetwork(name, js);
    const check = await checkOf({ name, backend, stack, weights });
    for (const { worst, ok, name: parameter } of check) expect(ok, `${parameter} ${JSON.stringify(worst)}`).toBe(true);
    // A bias before a normalization has the gradient 0 and nothing but rounding; all others are known to a thousandth.
    const bounds = check.map(({ worst }) => worst!.bound).filter((bound) => bound < 1);
    expect(bounds.length).toBeGreaterThan(check.length / 2);
    for (const bound of bounds) expect(bound).toBeLessThan(1e-3);
  });
});

interface Case extends Pick<CheckSetup, 'stack' | 'weights'> {
  name: string;
  backend: typeof js;
}

async function setupOf({ name, backend, stack, weights }: Case): Promise<CheckSetup> {
  const samples = samplesOf(NETWORKS[name].inputShape.reduce((a, b) => a * b, 1));
  const loss = resolveLoss('categoricalCrossentropy');
  const { gradients } = await trainingGradients({ stack, weights, loss, seed: 0, choice: { backend } }, samples);
  return { stack, weights, loss, samples, gradients, count: 8, seed: 4 };
}

const checkOf = async (of: Case) => atOnce(checkGradients(await setupOf(of)));

describe('a wrong gradient', () => {
  const name = 'batch normalization and residuals';
  const wrong = async (change: (gradients: Map<string, Float32Array>) => void) => {
    const setup = await setupOf({ name, backend: js, ...buildNetwork(name, js) });
    const gradients = new Map([...setup.gradients].map(([parameter, values]) => [parameter, values.slice()]));
    change(gradients);
    const count = Math.max(...[...gradients.values()].map(({ length }) => length));
    const check = atOnce(checkGradients({ ...setup, gradients, count }));
    return check.filter(({ ok }) => !ok);
  };

  it('is noticed in one weight, off by a hundredth of the greatest', async () => {
    const found = await wrong((gradients) => {
      const own = gradients.get('4.0.weight')!;
      own[7] += 0.01 * Math.max(...own.map(Math.abs));
    });
    expect(found.map(({ name: parameter }) => parameter)).toEqual(['4.0.weight']);
    expect(found[0].worst).toMatchObject({ index: 7 });
    expect(found[0].worst!.error).toBeCloseTo(0.01, 3);
    expect(found[0].worst!.error).toBeGreaterThan(found[0].worst!.bound);
    expect(found[0].weights.filter(({ error, bound }) => error > bound)).toHaveLength(1);
  });

  it('is noticed where it is not a number, has the wrong sign, or lacks a factor', async () => {
    expect(
      await wrong((gradients) => {
        gradients.get('8.bias')![1] = Number.NaN;
      }),
    ).toMatchObject([{ name: '8.bias', worst: { index: 1 } }]);
    const scaled = (factor: number) => (gradients: Map<string, Float32Array>) => {
      gradients.set(
        '2.weight',
        gradients.get('2.weight')!.map((value) => factor * value),
      );
    };
    expect(await wrong(scaled(-1))).toMatchObject([{ name: '2.weight' }]);
    expect(await wrong(scaled(1.01))).toMatchObject([{ name: '2.weight' }]);
    expect(await wrong(scaled(1))).toEqual([]);
  });
});

describe('gradientCheck', () => {
  const model = (layers: Layer[], inputShape = [4]): Sequential =>
    sequential(layers, { inputShape, seed: 2, backend: 'js' });

  it('draws as many weights as asked for, the same for the same seed, among those with a gradient', async () => {
    const network = model([dense({ units: 9, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })]);
    const data = { ...samplesOf(4) };
    // Nothing comes from input 1: no weight of its has a gradient.
    for (let i = 1; i < data.inputs.length; i += 4) data.inputs[i] = 0;
    const before = network.weightsSha256();
    const progress: number[] = [];
    const check = await gradientCheck(network, data, {
      weights: 5,
      seed: 3,
      onProgress: ({ done, of }) => progress.push(done / of),
    });
    expect(check).toMatchObject({ ok: true, samples: ROWS });
    expect(check.parameters.map(({ name, weights, skipped }) => [name, weights.length + skipped])).toEqual([
      ['0.weight', 5],
      ['0.bias', 5],
      ['1.weight', 5],
      ['1.bias', 3],
    ]);
    const indices = check.parameters[0].weights.map(({ index }) => index);
    expect(indices.every((index) => index < 9 || index >= 18)).toBe(true);
    expect([...indices].sort((a, b) => a - b)).toEqual(indices);
    expect(progress).toEqual(Array.from({ length: 18 }, (_, i) => (i + 1) / 18));
    expect(network.weightsSha256()).toBe(before);
    expect(await gradientCheck(network, data, { weights: 5, seed: 3 })).toEqual(check);
    const other = await gradientCheck(network, data, { weights: 5, seed: 4 });
    expect(other.parameters[0].weights.map(({ index }) => index)).not.toEqual(indices);
  });

  it('takes penalties in, and leaves dropout out', async () => {
    const network = model([
      dense({ units: 8, activation: 'tanh', kernelRegularizer: l1l2({ l1: 0.3, l2: 0.2 }) }),
      dropout({ rate: 0.5 }),
      batchNormalization(),
      dense({ units: 3, activation: 'softmax' }),
    ]);
    expect(await gradientCheck(network, samplesOf(4), { weights: 32 })).toMatchObject({ ok: true });
  });

  it.each<[LossName, Layer, Float32Array]>([
    ['meanSquaredError', dense({ units: 2 }), normals(2 * ROWS, 8)],
    ['meanAbsoluteError', dense({ units: 2 }), normals(2 * ROWS, 8)],
    ['huber', dense({ units: 2, activation: 'softmax' }), normals(2 * ROWS, 8)],
    [
      'binaryCrossentropy',
      dense({ units: 2, activation: 'sigmoid' }),
      Float32Array.from({ length: 12 }, (_, i) => i % 2),
    ],
  ])('checks the loss %s', async (loss, last, targets) => {
    const network = model([dense({ units: 5, activation: 'gelu' }), last]);
    const check = await gradientCheck(network, { inputs: normals(4 * ROWS, 9), targets }, { loss });
    expect(check.ok, JSON.stringify(check)).toBe(true);
  });

  it('leaves weights out that stand on a kink', async () => {
    const network = model([dense({ units: 2, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })], [1]);
    // Both neurons have the sum 0: one step up they are on, one down they are off.
    network.setWeights([new Float32Array(2), new Float32Array(2), normals(6, 3), new Float32Array(3)]);
    const check = await gradientCheck(network, { inputs: [1], targets: [0] });
    expect(check.parameters.slice(0, 2).map(({ skipped, weights }) => [skipped, weights])).toEqual([
      [2, []],
      [2, []],
    ]);
    expect(check.ok).toBe(true);
  });

  it('refuses wrong options, data and losses', async () => {
    const network = model(
      [conv2d({ filters: 2, kernelSize: 2 }), dense({ units: 3, activation: 'softmax' })],
      [2, 2, 1],
    );
    const data = samplesOf(4);
    await expect(gradientCheck(network, data, { weights: 0 })).rejects.toThrow(failure('ERR_ARGUMENT', /weights/));
    await expect(gradientCheck(network, data, { seed: -1 })).rejects.toThrow(failure('ERR_ARGUMENT', /seed/));
    await expect(gradientCheck(network, data, { wieghts: 3 } as never)).rejects.toThrow(
      failure('ERR_ARGUMENT', /wieghts/),
    );
    await expect(gradientCheck(network, data, { loss: 'binaryCrossentropy' })).rejects.toThrow(
      failure('ERR_ARGUMENT', /sigmoid/),
    );
    await expect(gradientCheck(network, { inputs: [1, 2], targets: [0] })).rejects.toThrow(
      failure('ERR_SHAPE', /inputs/),
    );
    const own = { ...resolveLoss('categoricalCrossentropy'), name: 'mine' };
    await expect(gradientCheck(network, data, { loss: own })).rejects.toThrow(
      failure('ERR_ARGUMENT', /of this package/),
    );
  });

  it('ends after the signal', async () => {
    const network = model([dense({ units: 64, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })]);
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    const check = gradientCheck(network, samplesOf(4), { weights: 500, signal: controller.signal, onProgress });
    await expect(check).rejects.toThrow(failure('ERR_ABORTED', /gradient check/));
  });
});

describe('the difference quotient', () => {
  it('is as near to the derivative as it says', () => {
    for (const x of [-1.5, 0.25, 2]) {
      const { value, error } = atOnce(differenceOf(Math.sin, x))!;
      expect(Math.abs(value - Math.cos(x))).toBeLessThanOrEqual(error);
      expect(error).toBeLessThan(1e-7);
    }
  });

  it('takes a shorter step where a kink is near, and none where it is too near', () => {
    const kinked = (kink: number) => (x: number) => (x < kink ? x * x : null);
    const near = atOnce(differenceOf(kinked(1 + 1e-4), 1))!;
    expect(Math.abs(near.value - 2)).toBeLessThanOrEqual(near.error);
    expect(atOnce(differenceOf(kinked(1 + 1e-9), 1))).toBeNull();
  });
});
