import { describe, expect, it } from 'vitest';
import {
  activation,
  binaryCrossentropy,
  categoricalCrossentropy,
  dense,
  huber,
  meanAbsoluteError,
  meanSquaredError,
  oneHot,
  sequential,
} from '../../src/index.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

function lossOf(
  loss: Parameters<ReturnType<typeof sequential>['compile']>[0]['loss'],
  activation: 'linear' | 'softmax' | 'sigmoid',
  optimizer: 'sgd' | 'adam' = 'sgd',
) {
  const model = sequential([dense({ units: 3, activation })], { inputShape: [2], backend });
  // Logits of a sample (x, y) are (x, y, 0).
  model.setWeights([Float32Array.of(1, 0, 0, 0, 1, 0), new Float32Array(3)]);
  model.compile({ loss, optimizer });
  return model;
}

const inputs = Float32Array.of(1, 2, -1, 0.5);
const logSumExp = (values: number[]) => Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));

describe('categoricalCrossentropy', () => {
  const entropies = [logSumExp([1, 2, 0]) - 2, logSumExp([-1, 0.5, 0]) - 0];
  const wanted = (entropies[0] + entropies[1]) / 2;

  it.each(['softmax', 'linear'] as const)('is the mean of -log p of the target, after %s', async (activation) => {
    const { loss, accuracy, count } = await lossOf('categoricalCrossentropy', activation).evaluate({
      inputs,
      targets: Uint8Array.of(1, 2),
    });
    // Two samples, each a few float32 roundings of numbers below 4.
    expect(Math.abs(loss - wanted)).toBeLessThan(8 * 4 * 2 ** -24);
    expect(accuracy).toBe(0.5);
    expect(count).toBe(2);
  });

  it('predicts what the model outputs: probabilities or logits', async () => {
    const logits = await lossOf('categoricalCrossentropy', 'linear').predict(inputs);
    expect([...logits]).toEqual([1, 2, 0, -1, 0.5, 0]);
    const [first] = await lossOf('categoricalCrossentropy', 'softmax').predict(inputs);
    expect(Math.abs(first - Math.exp(1 - logSumExp([1, 2, 0])))).toBeLessThan(8 * 2 ** -24);
  });

  it('smooths labels', async () => {
    const smoothed = await lossOf(categoricalCrossentropy({ labelSmoothing: 0.3 }), 'linear').evaluate({
      inputs: Float32Array.of(1, 2),
      targets: [1],
    });
    const logarithms = [1, 2, 0].map((logit) => logit - logSumExp([1, 2, 0]));
    const loss = -(0.7 * logarithms[1] + 0.1 * (logarithms[0] + logarithms[1] + logarithms[2]));
    expect(Math.abs(smoothed.loss - loss)).toBeLessThan(16 * 4 * 2 ** -24);
  });

  it('takes one-hot and soft labels, and weighs classes', async () => {
    // log softmax of the two samples, whose logits are (1, 2, 0) and (-1, 0.5, 0).
    const rows = [
      [1, 2, 0],
      [-1, 0.5, 0],
    ];
    const logarithms = rows.map((row) => row.map((logit) => logit - logSumExp(row)));
    const labels = Float32Array.of(0, 1, 0, 0.25, 0.25, 0.5);
    const classWeights = [2, 0.5, 3];
    const mean = (weights: number[], epsilon: number) =>
      logarithms
        .flat()
        .reduce((sum, log, at) => sum - weights[at % 3] * ((1 - epsilon) * labels[at] + epsilon / 3) * log, 0) / 2;
    for (const [options, wanted] of [
      [{}, mean([1, 1, 1], 0)],
      [{ classWeights }, mean(classWeights, 0)],
      [{ classWeights, labelSmoothing: 0.3 }, mean(classWeights, 0.3)],
    ] as const) {
      const model = lossOf(categoricalCrossentropy(options), 'softmax');
      const { loss, accuracy } = await model.evaluate({ inputs, targets: labels });
      expect(Math.abs(loss - wanted)).toBeLessThan(32 * 4 * 2 ** -24);
      // The largest share of the second sample is of class 2, its largest logit of class 1.
      expect(accuracy).toBe(0.5);
      const ofArray = await model.evaluate({ inputs, targets: [...labels] });
      expect(ofArray).toEqual({ loss, accuracy, count: 2 });
    }
    const weighted = lossOf(categoricalCrossentropy({ classWeights }), 'softmax');
    const { loss } = await weighted.evaluate({ inputs, targets: [1, 2] });
    // The mean is over samples, not over their weights.
    const wanted = (0.5 * entropies[0] + 3 * entropies[1]) / 2;
    expect(Math.abs(loss - wanted)).toBeLessThan(32 * 4 * 2 ** -24);
  });

  it('gives the same for indices and for their one-hot rows, in training too', async () => {
    const train = async (targets: Uint8Array | Float32Array, options: object) => {
      const model = lossOf(categoricalCrossentropy(options), 'softmax');
      await model.fit({ inputs, targets }, { epochs: 5 });
      return model;
    };
    const labels = Uint8Array.of(1, 2);
    const options = { classWeights: [1, 2, 3], labelSmoothing: 0.1 };
    const [ofIndices, ofRows] = [await train(labels, options), await train(oneHot(labels, 3), options)];
    expect(ofRows.weightsSha256()).toBe(ofIndices.weightsSha256());
    // Without weights, indices have an op of their own, which rounds otherwise.
    const [plain, rows] = [await train(labels, {}), await train(oneHot(labels, 3), {})];
    plain.getWeights().forEach((values, index) => {
      values.forEach((value, i) => {
        expect(Math.abs(value - rows.getWeights()[index][i])).toBeLessThan(1e-6);
      });
    });
    // One model learns from either, one after the other, and is measured on the other.
    await plain.fit({ inputs, targets: oneHot(labels, 3) }, { validationData: { inputs, targets: labels } });
    await plain.fit({ inputs, targets: labels });
    const both = [
      await plain.evaluate({ inputs, targets: labels }),
      await plain.evaluate({ inputs, targets: oneHot(labels, 3) }),
    ];
    expect(Math.abs(both[0].loss - both[1].loss)).toBeLessThan(1e-6);
    expect(both[0].accuracy).toBe(both[1].accuracy);
  });

  it('keeps momentum and class weights when the kind of targets changes', async () => {
    const labels = Uint8Array.of(1, 2);
    const train = async (kinds: (Uint8Array | Float32Array)[]) => {
      const model = lossOf(categoricalCrossentropy({ classWeights: [1, 2, 3] }), 'softmax', 'adam');
      for (const targets of kinds) await model.fit({ inputs, targets });
      return model.weightsSha256();
    };
    const rows = oneHot(labels, 3);
    expect(await train([labels, rows, labels])).toBe(await train([labels, labels, labels]));
  });

  it.each([
    [[], /a number above 0 for classWeights/],
    [[0, 0, 0], /a number above 0 for classWeights/],
    [[1, -1, 1], /for classWeights\[1\], received -1/],
    [[1, Number.NaN, 1], /for classWeights\[1\], received NaN/],
    [{ 0: 1, 1: 2 }, /a list of numbers, one per class, for classWeights/],
  ])('refuses classWeights %j', (classWeights, message) => {
    const make = () => categoricalCrossentropy({ classWeights: classWeights as never });
    expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses as many weights as there are no classes', () => {
    const compile = () => lossOf(categoricalCrossentropy({ classWeights: [1, 2] }), 'softmax');
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /3 numbers for classWeights.*3 units, one per class/));
  });

  it('lists its options, for a resumed run to compare', () => {
    expect(categoricalCrossentropy().config).toEqual({ labelSmoothing: 0 });
    const classWeights = [1, 2];
    const { config } = categoricalCrossentropy({ classWeights });
    classWeights[0] = 5;
    expect(config).toEqual({ labelSmoothing: 0, classWeights: [1, 2] });
  });

  it.each(['relu', 'sigmoid', 'tanh', 'gelu', 'leakyRelu'] as const)('refuses a last layer with %s', (activation) => {
    const model = sequential([dense({ units: 3, activation })], { inputShape: [2], backend });
    const message = /softmax \(or linear, for logits\).*received/;
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses a single unit, a bad smoothing and unknown options', () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [2], backend });
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /at least 2.*binaryCrossentropy/));
    const smoothing = () => categoricalCrossentropy({ labelSmoothing: 1 });
    expect(errorOf(smoothing)).toEqual(failure('ERR_ARGUMENT', /below 1 for labelSmoothing, received 1/));
    const unknown = () => categoricalCrossentropy({ fromLogits: true } as never);
    expect(errorOf(unknown)).toEqual(failure('ERR_ARGUMENT', /"fromLogits"/));
  });
});

describe('binaryCrossentropy', () => {
  // Logits of the two samples: (1, 2, 0) and (-1, 0.5, 0).
  const logits = [1, 2, 0, -1, 0.5, 0];
  const targets = [1, 0, 1, 0, 1, 0.25];
  const entropy = (x: number, t: number) => t * Math.log1p(Math.exp(-x)) + (1 - t) * Math.log1p(Math.exp(x));
  const mean = (epsilon: number) =>
    logits.reduce((sum, x, i) => sum + entropy(x, (1 - epsilon) * targets[i] + epsilon / 2), 0) / 6;

  it.each(['sigmoid', 'linear'] as const)('is the mean over outputs and samples, after %s', async (activation) => {
    for (const labelSmoothing of [0, 0.2]) {
      const model = lossOf(binaryCrossentropy({ labelSmoothing }), activation);
      const { loss, accuracy, count } = await model.evaluate({ inputs, targets: Float32Array.from(targets) });
      expect(Math.abs(loss - mean(labelSmoothing))).toBeLessThan(8 * 4 * 2 ** -24);
      // Right: 1 and the 0s that are not above 0.
      expect(accuracy).toBe((1 / 3 + 3 / 3) / 2);
      expect(count).toBe(2);
    }
  });

  it('takes bytes, whole numbers and arrays of 0 and 1', async () => {
    const model = lossOf('binaryCrossentropy', 'sigmoid');
    const labels = [1, 0, 1, 0, 1, 0];
    const wanted = await model.evaluate({ inputs, targets: Float32Array.from(labels) });
    for (const given of [labels, Uint8Array.from(labels), Int32Array.from(labels)]) {
      expect(await model.evaluate({ inputs, targets: given })).toEqual(wanted);
    }
  });

  it('predicts probabilities after sigmoid and logits after linear', async () => {
    const probabilities = await lossOf('binaryCrossentropy', 'sigmoid').predict(inputs);
    probabilities.forEach((p, i) => {
      expect(Math.abs(p - 1 / (1 + Math.exp(-logits[i])))).toBeLessThan(8 * 2 ** -24);
    });
    expect([...(await lossOf('binaryCrossentropy', 'linear').predict(inputs))]).toEqual(logits);
  });

  it('applies the sigmoid itself, and the next loss does not', () => {
    for (const layers of [
      [dense({ units: 3, activation: 'sigmoid' })],
      [dense({ units: 3 }), activation({ activation: 'sigmoid' })],
    ]) {
      const { train, evaluate, infer } = opsOf(layers, [2], binaryCrossentropy());
      const activationsOf = (ops: typeof train) => only(ops, 'dense').map((op) => op.activation);
      expect([activationsOf(train), activationsOf(evaluate), activationsOf(infer)]).toEqual([
        ['linear'],
        ['linear'],
        ['sigmoid'],
      ]);
      expect(namesOf(train)).not.toContain('activation');
      expect(namesOf(train)).toContain('binaryCrossEntropy');
      const squared = opsOf(layers, [2], meanSquaredError());
      expect(namesOf(squared.train)).toContain('activationBackward');
    }
  });

  it('leaves a sigmoid in the middle', () => {
    const layers = [dense({ units: 4, activation: 'sigmoid' }), dense({ units: 3, activation: 'sigmoid' })];
    const { train } = opsOf(layers, [2], binaryCrossentropy());
    expect(only(train, 'dense').map((op) => op.activation)).toEqual(['sigmoid', 'linear']);
  });

  it.each(['relu', 'softmax', 'tanh', 'gelu', 'leakyRelu'] as const)('refuses a last layer with %s', (kind) => {
    const model = sequential([dense({ units: 3, activation: kind })], { inputShape: [2], backend });
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'binaryCrossentropy' });
    const message = /sigmoid \(or linear, for logits\) for the activation of the last layer/;
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses a bad smoothing and unknown options', () => {
    const smoothing = () => binaryCrossentropy({ labelSmoothing: -0.1 });
    expect(errorOf(smoothing)).toEqual(failure('ERR_ARGUMENT', /for labelSmoothing, received -0.1/));
    const unknown = () => binaryCrossentropy({ fromLogits: true } as never);
    expect(errorOf(unknown)).toEqual(failure('ERR_ARGUMENT', /"fromLogits"/));
  });
});

describe('meanAbsoluteError and huber', () => {
  // Predictions are the logits (1, 2, 0) and (-1, 0.5, 0): differences 0, 2, 0 and -1, 0.5, -1.
  const targets = Float32Array.of(1, 0, 0, 0, 0, 1);

  it('are means over samples and outputs, without accuracy', async () => {
    expect(await lossOf(meanAbsoluteError(), 'linear').evaluate({ inputs, targets })).toEqual({
      loss: (2 / 3 + 2.5 / 3) / 2,
      count: 2,
    });
    expect(await lossOf('huber', 'linear').evaluate({ inputs, targets })).toEqual({
      loss: (1.5 / 3 + (0.5 + 0.125 + 0.5) / 3) / 2,
      count: 2,
    });
    // Every difference but 0.5 is on the straight part.
    const narrow = await lossOf(huber({ delta: 0.5 }), 'linear').evaluate({ inputs, targets });
    expect(narrow.loss).toBe((0.5 * 1.75) / 3 / 2 + (0.375 + 0.125 + 0.375) / 3 / 2);
  });

  it.each([0, -1, 1e-50, 1e50, Number.NaN, '1'])('huber refuses delta %s', (delta) => {
    expect(errorOf(() => huber({ delta: delta as never }))).toEqual(failure('ERR_ARGUMENT', /for delta, received/));
  });

  it('refuse unknown options', () => {
    expect(errorOf(() => huber({ Delta: 1 } as never))).toEqual(failure('ERR_ARGUMENT', /Did you mean "delta"/));
    const unknown = () => meanAbsoluteError({ delta: 1 } as never);
    expect(errorOf(unknown)).toEqual(failure('ERR_ARGUMENT', /"delta"/));
  });
});

describe('meanSquaredError', () => {
  it('is the mean over samples and outputs, without accuracy', async () => {
    const model = lossOf(meanSquaredError(), 'linear');
    const evaluation = await model.evaluate({ inputs, targets: Float32Array.of(1, 0, 0, 0, 0, 1) });
    expect(evaluation).toEqual({ loss: (4 / 3 + (1 + 0.25 + 1) / 3) / 2, count: 2 });
  });

  it('takes oneHot targets where class indices are refused', async () => {
    const model = lossOf('meanSquaredError', 'softmax');
    const labels = Uint8Array.of(1, 2);
    await expect(model.evaluate({ inputs, targets: labels })).rejects.toEqual(
      failure('ERR_ARGUMENT', /Float32Array of \[2, 3\].*oneHot\(targets, 3\)/),
    );
    expect((await model.evaluate({ inputs, targets: oneHot(labels, 3) })).loss).toBeGreaterThan(0);
  });
});

describe('oneHot', () => {
  it('puts a 1 at the class', () => {
    expect([...oneHot([2, 0], 3)]).toEqual([0, 0, 1, 1, 0, 0]);
  });

  it.each([[[0, 3]], [[0, -1]], [[0, 0.5]]])('refuses %j', (labels) => {
    expect(errorOf(() => oneHot(labels, 3))).toEqual(failure('ERR_DATA', /class index from 0 to 2 for label 1/));
  });
});

it('refuses a loss it does not know', () => {
  const model = sequential([dense({ units: 3 })], { inputShape: [2], backend });
  const compile = () => model.compile({ optimizer: 'sgd', loss: 'hinge' as never });
  expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /categoricalCrossentropy, .*meanSquaredError, .*"hinge"/));
});
