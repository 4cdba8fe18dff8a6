import { describe, expect, it } from 'vitest';
import { categoricalCrossentropy, dense, l2, type Optimizer, sequential, sgd } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { separable, softmaxLayers } from '../helpers/toy.js';

const layers = () => [
  dense({ units: 5, activation: 'tanh', kernelRegularizer: l2(0.1), kernelConstraint: { maxNorm: 2 } }),
  dense({ units: 3, activation: 'softmax', useBias: false }),
];
const lowered = (optimizer: Optimizer) => opsOf(layers(), [4], categoricalCrossentropy(), optimizer).train;
const gradients = ['0.weight', '0.bias', '1.weight'].map((name) => `train/${name}.gradient`);

describe('clipping', () => {
  it('by norm stands between penalties and updates, over all gradients', () => {
    const train = lowered(sgd({ globalClipNorm: 0.5, useEma: true }));
    const backward = namesOf(train).lastIndexOf('denseBackward');
    expect(namesOf(train).slice(backward + 1)).toEqual([
      'regularize',
      ...Array(3).fill('columnSquares'),
      ...Array(3).fill('addSquares'),
      ...Array(3).fill('clipByGlobalNorm'),
      ...Array(3).fill('sgd'),
      'maxNorm',
      ...Array(3).fill('average'),
    ]);
    expect(only(train, 'columnSquares').map(({ gradient }) => gradient)).toEqual(gradients);
    expect(only(train, 'addSquares').map(({ squares }) => squares)).toEqual(
      only(train, 'columnSquares').map(({ output }) => output),
    );
    expect(only(train, 'addSquares').map(({ first }) => first)).toEqual([true, false, false]);
    expect(only(train, 'clipByGlobalNorm')).toEqual(
      gradients.map((gradient) => ({ op: 'clipByGlobalNorm', gradient, total: 'train/squaredNorm', maxNorm: 0.5 })),
    );
  });

  it('by value too, and updates wait for it', () => {
    const train = lowered(sgd({ clipValue: 0.5 }));
    expect(only(train, 'clipByValue')).toEqual(
      gradients.map((gradient) => ({ op: 'clipByValue', gradient, limit: 0.5 })),
    );
    expect(namesOf(train).lastIndexOf('clipByValue')).toBeLessThan(namesOf(train).indexOf('sgd'));
    for (const optimizer of [sgd({ clipValue: 0.5 }), sgd({ globalClipNorm: 0.5 })]) {
      expect(only(lowered(optimizer), 'denseBackward').some(({ update }) => update)).toBe(false);
    }
    // Without it, the layer without a penalty is updated as its gradient is made.
    expect(only(lowered(sgd()), 'denseBackward').some(({ update }) => update)).toBe(true);
  });
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_title, backend) => {
  /** How one step of learning rate 1 moves all weights. */
  const move = async (optimizer: Optimizer) => {
    const model = sequential(softmaxLayers(), { inputShape: [2, 2, 1], seed: 5, backend });
    try {
      model.compile({ optimizer, loss: 'categoricalCrossentropy' });
      const before = model.getWeights();
      await model.fit(separable(16), { batchSize: 16 });
      const after = model.getWeights();
      return after.flatMap((values, place) => [...values].map((value, i) => value - before[place][i]));
    } finally {
      model.dispose();
    }
  };
  /** Weights and moves are below 2, and each is rounded once. */
  const ROUNDING = 2 ** -23;

  it('scales all gradients together to the norm, and only where theirs is greater', async () => {
    const free = await move(sgd({ learningRate: 1 }));
    const norm = Math.hypot(...free);
    const clipped = await move(sgd({ learningRate: 1, globalClipNorm: norm / 4 }));
    clipped.forEach((value, i) => {
      expect(Math.abs(value - free[i] / 4)).toBeLessThan(2 * ROUNDING);
    });
    expect(Math.abs(Math.hypot(...clipped) - norm / 4)).toBeLessThan(norm * 1e-5);
    expect(await move(sgd({ learningRate: 1, globalClipNorm: norm * 1.01 }))).toEqual(free);
  });

  it('keeps every element within the value', async () => {
    const free = await move(sgd({ learningRate: 1 }));
    const clipValue = free.map(Math.abs).sort((a, b) => a - b)[Math.floor(free.length / 2)];
    const clipped = await move(sgd({ learningRate: 1, clipValue }));
    clipped.forEach((value, i) => {
      const wanted = Math.max(-clipValue, Math.min(clipValue, free[i]));
      expect(Math.abs(value - wanted)).toBeLessThan(2 * ROUNDING);
    });
    expect(clipped.filter((value, i) => Math.abs(value - free[i]) > 4 * ROUNDING).length).toBeGreaterThan(5);
  });
});
