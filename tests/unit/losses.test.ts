import { describe, expect, it } from 'vitest';
import { categoricalCrossentropy, dense, meanSquaredError, oneHot, sequential } from '../../src/index.js';
import { backend, errorOf, failure } from '../helpers/toy.js';

function lossOf(
  loss: Parameters<ReturnType<typeof sequential>['compile']>[0]['loss'],
  activation: 'linear' | 'softmax',
) {
  const model = sequential([dense({ units: 3, activation })], { inputShape: [2], backend });
  // Logits of a sample (x, y) are (x, y, 0).
  model.setWeights([Float32Array.of(1, 0, 0, 0, 1, 0), new Float32Array(3)]);
  model.compile({ loss, optimizer: 'sgd' });
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

  it.each(['relu', 'sigmoid', 'tanh', 'gelu', 'leakyRelu'] as const)('refuses a last layer with %s', (activation) => {
    const model = sequential([dense({ units: 3, activation })], { inputShape: [2], backend });
    const message = /softmax \(or linear, for logits\).*received/;
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses a single unit, a bad smoothing and unknown options', () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [2], backend });
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /at least 2/));
    const smoothing = () => categoricalCrossentropy({ labelSmoothing: 1 });
    expect(errorOf(smoothing)).toEqual(failure('ERR_ARGUMENT', /below 1 for labelSmoothing, received 1/));
    const unknown = () => categoricalCrossentropy({ fromLogits: true } as never);
    expect(errorOf(unknown)).toEqual(failure('ERR_ARGUMENT', /"fromLogits"/));
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
  expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', /categoricalCrossentropy, meanSquaredError.*"hinge"/));
});
