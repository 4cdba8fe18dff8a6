/** The reference in double precision: against the engine's numbers, and against differences of its own. */
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import {
  binaryCrossentropy,
  categoricalCrossentropy,
  dense,
  huber,
  type Loss,
  meanAbsoluteError,
  meanSquaredError,
} from '../../src/index.js';
import { referenceLoss } from '../../src/model/reference/loss.js';
import { ReferenceNetwork, referenceInputs } from '../../src/model/reference/network.js';
import { buildStack } from '../../src/model/stack.js';
import { trainingGradients } from '../../src/model/training-gradients.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { differences, U } from '../helpers/differences.js';
import { errorsThrough } from '../helpers/reference-errors.js';
import { buildNetwork, NETWORKS, normals } from '../helpers/reference-models.js';

const ROWS = 5;
const js = createJsBackend();
const wide = (values: ArrayLike<number>) => Float64Array.from(values);
const greatest = (values: ArrayLike<number>) =>
  Array.prototype.reduce.call(values, (a, b) => Math.max(a as number, Math.abs(b as number)), 0) as number;

function inputsOf(name: string): Float32Array {
  const { inputShape } = NETWORKS[name];
  return normals(ROWS * inputShape.reduce((a, b) => a * b, 1), 99);
}

describe.each(Object.keys(NETWORKS))('%s', (name) => {
  it.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
    'predicts what $title does, but for its rounding',
    ({ backend }) => {
      const { model, stack, weights } = buildNetwork(name, backend);
      const inputs = inputsOf(name);
      const predictions = model.predictSync(inputs);
      model.dispose();
      const { output } = new ReferenceNetwork(stack, weights).forward(wide(inputs));
      for (let row = 0; row < ROWS; row++) {
        const own = wide(inputs.subarray(row * stack.inputSize, (row + 1) * stack.inputSize));
        const { values, errors } = errorsThrough(stack.layers, weights, own);
        for (let j = 0; j < stack.outputSize; j++) {
          const at = row * stack.outputSize + j;
          expect(Math.abs(values[j] - output[at])).toBeLessThan(1e-14);
          expect(Math.abs(predictions[at] - output[at]), `row ${row}, output ${j}`).toBeLessThanOrEqual(errors[j]);
          // The bound says something.
          expect(errors[j]).toBeLessThan(1e-3);
        }
      }
    },
  );

  it.each(['inference', 'training'] as const)('gives the gradients of its own forward pass in %s', (mode) => {
    const { stack, weights } = buildNetwork(name, js);
    const values = new Map([...weights].map(([parameter, each]) => [parameter, wide(each)]));
    const network = new ReferenceNetwork(stack, values, { mode });
    const inputs = wide(inputsOf(name));
    const dLogits = wide(normals(ROWS * stack.outputSize, 7));
    const value = (x: Float64Array) => network.forward(x).logits.reduce((sum, logit, i) => sum + logit * dLogits[i], 0);
    const { dInput, gradients } = network.backward(network.forward(inputs), dLogits);

    expectEqual(dInput, differences(inputs, value), 'dInput');
    for (const [parameter, gradient] of gradients) {
      const own = values.get(parameter)!;
      const before = own.slice();
      const wanted = differences(before, (moved) => {
        own.set(moved);
        return value(inputs);
      });
      own.set(before);
      expectEqual(gradient, wanted, parameter);
    }
    const trainable = stack.parameters.filter(({ spec }) => spec.trainable);
    expect([...gradients.keys()].sort()).toEqual(trainable.map((parameter) => parameter.name).sort());
  });

  it('gives the gradients of a training step, but for its rounding', async () => {
    const { stack, weights } = buildNetwork(name, js);
    const loss = categoricalCrossentropy({ labelSmoothing: 0.1, classWeights: [1, 2, 0.5] });
    const samples = { inputs: inputsOf(name), targets: Uint8Array.from([0, 1, 2, 1, 0]), count: ROWS };
    const setup = { stack, weights, loss, seed: 0, choice: { backend: js } };
    const actual = await trainingGradients(setup, samples);
    const network = new ReferenceNetwork(stack, weights, { mode: 'training' });
    const trace = network.forward(wide(samples.inputs));
    const wanted = referenceLoss(loss, trace.logits, samples.targets, ROWS);
    expect(Math.abs(actual.loss - wanted.mean)).toBeLessThan(100 * U * wanted.mean);
    const { gradients } = network.backward(trace, wanted.dLogits);
    expect([...gradients.keys()].sort()).toEqual([...actual.gradients.keys()].sort());
    for (const [parameter, gradient] of actual.gradients) {
      const own = gradients.get(parameter)!;
      // Of a few hundred roundings on the way to each number, relative to the parameter's greatest.
      const bound = 300 * U * Math.max(greatest(own), 0.01);
      expect(greatest(own.map((value, i) => value - gradient[i])), parameter).toBeLessThan(bound);
    }
  });

  it('has logits that the inputs and the offsets of the layers add up to', () => {
    const { stack, weights } = buildNetwork(name, js);
    const network = new ReferenceNetwork(stack, weights);
    const inputs = wide(inputsOf(name));
    const trace = network.forward(inputs);
    for (let j = 0; j < stack.outputSize; j++) {
      const { dInput, layers } = network.backward(
        trace,
        trace.logits.map((_, i) => Number(i % stack.outputSize === j)),
      );
      for (let row = 0; row < ROWS; row++) {
        let sum = layers.reduce((total, { offsets }) => total + offsets[row], 0);
        for (let i = row * stack.inputSize; i < (row + 1) * stack.inputSize; i++) sum += dInput[i] * inputs[i];
        expect(sum).toBeCloseTo(trace.logits[row * stack.outputSize + j], 12);
      }
    }
  });

  it('goes on from any layer as from the first', () => {
    const { stack, weights } = buildNetwork(name, js);
    const network = new ReferenceNetwork(stack, weights);
    const trace = network.forward(wide(inputsOf(name)));
    for (let place = 0; place < stack.layers.length; place++) {
      const again = network.again(trace, place);
      expect(again.output).toEqual(trace.output);
      expect(again.layers.map(({ link }) => link)).toEqual(stack.layers);
    }
  });
});

/** Central differences of a step of 1e-4 are off by its square times a third derivative; numbers here are a few units. */
function expectEqual(actual: Float64Array, wanted: readonly number[], what: string): void {
  const bound = 1e-6 * Math.max(1, greatest(wanted));
  wanted.forEach((value, i) => {
    if (!(Math.abs(actual[i] - value) <= bound)) expect.fail(`${what}[${i}] is ${actual[i]}, wanted ${value}`);
  });
}

it('the offset of a dense layer is what its biases add, behind a rectifier that is on', () => {
  const name = 'a rectifier of dense layers';
  const { stack, weights } = buildNetwork(name, js);
  const network = new ReferenceNetwork(stack, weights);
  const trace = network.forward(wide(inputsOf(name)).subarray(0, 9), 1);
  const { layers } = network.backward(trace, Float64Array.of(0, 1, 0));
  stack.layers.forEach(({ layer, index }, place) => {
    const bias = weights.get(`${index}.bias`);
    const { offsets, dSums } = layers[place];
    const wanted = layer.type === 'dense' ? bias!.reduce((sum, b, unit) => sum + b * dSums![unit], 0) : 0;
    expect(offsets[0]).toBeCloseTo(wanted, 13);
  });
});

it('keeps weighted sums beside outputs, and tells which rectifiers are on', () => {
  const stack = buildStack([dense({ units: 2, activation: 'relu' })], [1]);
  const weights = new Map([
    ['0.weight', Float32Array.of(2, -3)],
    ['0.bias', Float32Array.of(1, 0.5)],
  ]);
  const [layer] = new ReferenceNetwork(stack, weights).forward(Float64Array.of(4)).layers;
  expect(layer.sums).toEqual(Float64Array.of(9, -11.5));
  expect(layer.output).toEqual(Float64Array.of(9, 0));
  expect(layer.switches()).toEqual([Int32Array.of(1, 0)]);
});

it('leaves out the activation that the loss applies, and no other', () => {
  const stack = buildStack([dense({ units: 2, activation: 'sigmoid', useBias: false })], [1]);
  const weights = new Map([['0.weight', Float32Array.of(1, -1)]]);
  const probabilities = [1 / (1 + Math.exp(-2)), 1 / (1 + Math.exp(2))];
  const left = new ReferenceNetwork(stack, weights).forward(Float64Array.of(2));
  expect([...left.logits]).toEqual([2, -2]);
  expect(left.output[0]).toBeCloseTo(probabilities[0], 15);
  const whole = new ReferenceNetwork(stack, weights, { leftOut: null }).forward(Float64Array.of(2));
  expect(whole.logits[1]).toBeCloseTo(probabilities[1], 15);
  expect(whole.output).toEqual(whole.logits);
});

it('reads pixels as the engine does', () => {
  expect(referenceInputs(Uint8Array.of(0, 1, 255))).toEqual(Float64Array.of(0, Math.fround(1 / 255), 1));
  expect(referenceInputs(Float32Array.of(0.5, -2))).toEqual(Float64Array.of(0.5, -2));
});

const values = { targets: normals(ROWS * 3, 21), tolerance: 1e-6 };
const LOSSES: [Loss, Uint8Array | Float32Array][] = [
  [categoricalCrossentropy(), Uint8Array.of(2, 0, 1, 1, 0)],
  [categoricalCrossentropy({ labelSmoothing: 0.2, classWeights: [1, 0, 3] }), Uint8Array.of(2, 0, 1, 1, 0)],
  [categoricalCrossentropy(), Float32Array.from({ length: ROWS * 3 }, (_, i) => [0.5, 0.25, 0.25][i % 3])],
  [binaryCrossentropy({ labelSmoothing: 0.1 }), Float32Array.from({ length: ROWS * 3 }, (_, i) => (i % 4) / 3)],
  [meanSquaredError(), values.targets],
  [meanAbsoluteError(), values.targets],
  [huber({ delta: 0.7 }), values.targets],
];

describe.each(
  LOSSES.map(([loss, targets]) => ({ loss, targets, title: `${loss.name} ${JSON.stringify(loss.config)}` })),
)('the loss $title', ({ loss, targets }) => {
  it('has the gradient of its value', () => {
    const logits = wide(normals(ROWS * 3, 20)).map((x) => 3 * x);
    const { dLogits, losses, mean } = referenceLoss(loss, logits, targets, ROWS);
    expectEqual(
      dLogits,
      differences(logits, (moved) => referenceLoss(loss, moved, targets, ROWS).mean),
      'dLogits',
    );
    expect(losses.reduce((a, b) => a + b, 0) / ROWS).toBeCloseTo(mean, 14);
  });

  it('has the value and the gradient of the engine, but for their rounding', async () => {
    const stack = buildStack([dense({ units: 3 })], [4]);
    const weights = new Map([
      ['0.weight', normals(12, 1)],
      ['0.bias', normals(3, 2)],
    ]);
    const samples = { inputs: normals(ROWS * 4, 3), targets, count: ROWS };
    const actual = await trainingGradients({ stack, weights, loss, seed: 0, choice: { backend: js } }, samples);
    const network = new ReferenceNetwork(stack, weights);
    const trace = network.forward(wide(samples.inputs));
    const wanted = referenceLoss(loss, trace.logits, targets, ROWS);
    expect(Math.abs(actual.loss - wanted.mean)).toBeLessThan(100 * U * Math.max(1, wanted.mean));
    const { gradients } = network.backward(trace, wanted.dLogits);
    for (const [name, gradient] of actual.gradients) {
      const own = gradients.get(name)!;
      expect(greatest(own.map((value, i) => value - gradient[i])), name).toBeLessThan(100 * U * greatest(own));
    }
  });
});

it('knows the losses of this package alone', () => {
  const other: Loss = { ...meanSquaredError(), name: 'cubed' };
  expect(() => referenceLoss(other, new Float64Array(1), new Float32Array(1), 1)).toThrow(
    /Expected a loss of this package/,
  );
});
