import { describe, expect, it } from 'vitest';
import { conv2d, dense, flatten, type Layer, l1, l1l2, l2, sequential, sgd } from '../../src/index.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { backend, errorOf, failure, separable } from '../helpers/toy.js';

const oneStep = async (layer: Layer, learningRate: number) => {
  const model = sequential([layer], { inputShape: [2, 2, 1], seed: 3, backend });
  model.compile({ optimizer: sgd({ learningRate }), loss: 'categoricalCrossentropy' });
  const before = model.getWeights()[0];
  const { epochs } = await model.fit(separable(16), { batchSize: 16, shuffle: false });
  return { model, before, after: model.getWeights()[0], loss: epochs[0].loss };
};

describe('kernelRegularizer', () => {
  it('helpers make what the options take', () => {
    expect(l1(0.1)).toEqual({ l1: 0.1 });
    expect(l2(0.1)).toEqual({ l2: 0.1 });
    expect(l1l2({ l1: 0.1, l2: 0.2 })).toEqual({ l1: 0.1, l2: 0.2 });
    expect(errorOf(() => l2(-1))).toEqual(failure('ERR_ARGUMENT', /for l2\.l2, received -1/));
    expect(errorOf(() => l1(Number.NaN))).toEqual(failure('ERR_ARGUMENT', /for l1\.l1, received NaN/));
    expect(errorOf(() => l1l2({ L1: 1 } as never))).toEqual(failure('ERR_ARGUMENT', /Did you mean "l1"/));
  });

  it('joins the gradient behind its parts and before the update', () => {
    const layers = [
      conv2d({ filters: 2, kernelSize: 2, kernelRegularizer: l2(0.5) }),
      dense({ units: 3, kernelRegularizer: l1(0.25) }),
      dense({ units: 3, kernelRegularizer: l1l2({ l1: 0, l2: 0 }) }),
    ];
    const { train } = opsOf(layers, [3, 3, 1]);
    expect(only(train, 'regularize')).toEqual([
      { op: 'regularize', parameter: '0.weight', gradient: 'train/0.weight.gradient', l1: 0, l2: 0.5 },
      { op: 'regularize', parameter: '1.weight', gradient: 'train/1.weight.gradient', l1: 0.25, l2: 0 },
    ]);
    const names = namesOf(train);
    expect(names.lastIndexOf('sumParts')).toBeLessThan(names.indexOf('regularize'));
    // The last layer has no penalty and is updated as its gradient is made, the others are not.
    expect(only(train, 'denseBackward').map(({ update }) => update)).toEqual([false, true, false]);
    const penalized = train.findIndex((op) => op.op === 'regularize' && op.parameter === '1.weight');
    const updated = train.findIndex((op) => op.op === 'sgd' && op.parameter === '1.weight');
    expect(updated).toBeGreaterThan(penalized);
  });

  it('pulls weights by 2 · l2 · w + l1 · sign(w), and leaves the loss that is reported alone', async () => {
    const layer = (penalty?: object) => dense({ units: 3, activation: 'softmax', kernelRegularizer: penalty });
    const plain = await oneStep(layer(), 0.5);
    const penalized = await oneStep(layer(l1l2({ l1: 0.125, l2: 0.25 })), 0.5);
    expect(penalized.loss).toBe(plain.loss);
    penalized.after.forEach((value, i) => {
      const weight = plain.before[i];
      const pull = 0.5 * (2 * 0.25 * weight + 0.125 * Math.sign(weight));
      // Four roundings of numbers below 2.
      expect(Math.abs(value - (plain.after[i] - pull))).toBeLessThan(8 * 2 ** -24);
    });
    expect(penalized.model.getWeights()[1]).toEqual(plain.model.getWeights()[1]);
    const { loss } = await plain.model.evaluate(separable(16));
    plain.model.setWeights(penalized.model.getWeights());
    const same = await plain.model.evaluate(separable(16));
    expect((await penalized.model.evaluate(separable(16))).loss).toBe(same.loss);
    expect(same.loss).not.toBe(loss);
  });
});

describe('kernelConstraint', () => {
  it('acts behind the update, which a plain dense layer still takes with its gradient', () => {
    const limited = dense({ units: 3, kernelConstraint: { maxNorm: 2 } });
    const { train } = opsOf([flatten(), limited], [2, 2, 1]);
    expect(namesOf(train).slice(-4)).toEqual(['denseBackward', 'sgd', 'sgd', 'maxNorm']);
    expect(train.at(-1)).toEqual({ op: 'maxNorm', parameter: '1.weight', maxValue: 2 });
    expect(only(train, 'denseBackward')[0].update).toBe(true);
  });

  it('keeps the weights of every unit to the norm', async () => {
    const maxNorm = 0.5;
    const free = await oneStep(dense({ units: 3 }), 1);
    const { after } = await oneStep(dense({ units: 3, kernelConstraint: { maxNorm } }), 1);
    const norms = (weights: Float32Array) =>
      [0, 1, 2].map((unit) => Math.hypot(...weights.filter((_, i) => i % 3 === unit)));
    expect(Math.max(...norms(free.after))).toBeGreaterThan(maxNorm);
    for (const norm of norms(after)) expect(norm).toBeLessThan(maxNorm * (1 + 8 * 2 ** -24));
  });
});
