import { beforeAll, describe, expect, it } from 'vitest';
import {
  activation,
  averagePooling2d,
  conv2d,
  dense,
  dropout,
  expectedCalibrationError,
  flatten,
  globalAveragePooling2d,
  type Layer,
  type LossName,
  loadModel,
  negativeLogLikelihood,
  residual,
  type Sequential,
  sequential,
  sgd,
  softmax,
} from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { backend, backendWith, classifier, failure, separable } from '../helpers/toy.js';

/** More than one portion; a fifth of the labels say something else, so that no model is right on all. */
function noisy(count = 1500, seed = 7) {
  const data = separable(count, 3, seed);
  const stream = new RandomStream(seed + 1, RandomPurpose.augment);
  const targets = (data.targets as Uint8Array).map((label) => (stream.below(5) === 0 ? stream.below(3) : label));
  return { ...data, targets };
}

const data = noisy();
const labels = data.targets;

/** Far too sure of itself: trained well, and then its logits multiplied by 6. */
let weights: Float32Array[];
let sure: (options?: Parameters<typeof classifier>[0]) => Sequential;
beforeAll(async () => {
  const trained = classifier();
  await trained.fit(noisy(600, 99), { epochs: 30 });
  weights = trained.getWeights().map((values, index) => (index < 2 ? values : values.map((value) => 6 * value)));
  sure = (options) => {
    const model = classifier(options);
    model.setWeights(weights);
    return model;
  };
});

const answersOf = async (model: Sequential) => {
  const outputs = await model.predict(data);
  return Array.from({ length: data.count }, (_, sample) => {
    const row = outputs.subarray(sample * 3, sample * 3 + 3);
    return row.indexOf(Math.max(...row));
  });
};

describe.each(availableBackends().map((each) => [titleOf(each), each] as const))('on %s', (_title, where) => {
  it('divides the last weights by the best temperature', async () => {
    const model = sure({ backend: where });
    const [answers, evaluation] = [await answersOf(model), await model.evaluate(data)];
    const { temperature, before, after } = await model.calibrate(data);
    expect(temperature).toBeGreaterThan(2);
    const found = model.getWeights();
    expect(found.slice(0, 2)).toEqual(weights.slice(0, 2));
    expect(found.slice(2)).toEqual(weights.slice(2).map((values) => values.map((value) => value / temperature)));

    expect(await answersOf(model)).toEqual(answers);
    const now = await model.evaluate(data);
    expect(now.accuracy).toBe(evaluation.accuracy);
    expect(before.loss).toBeCloseTo(evaluation.loss, 5);
    expect(after.loss).toBeCloseTo(now.loss, 5);
    expect(after.loss).toBeLessThan(before.loss);
    expect(after.expectedCalibrationError).toBeLessThan(before.expectedCalibrationError / 2);
    const outputs = await model.predict(data);
    expect(after.expectedCalibrationError).toBeCloseTo(expectedCalibrationError(labels, outputs), 5);
  });
});

it('is done when it was done before', async () => {
  const model = sure();
  const { after } = await model.calibrate(data);
  const again = await model.calibrate(data);
  // Weights are float32 numbers, and the temperature has six digits.
  expect(Math.abs(again.temperature - 1)).toBeLessThan(2e-5);
  expect(again.before).toEqual(after);
});

it('takes the temperature from logits, where probabilities have lost it', async () => {
  const model = sure();
  const extreme = weights.map((values, index) => (index < 2 ? values : values.map((value) => 10 * value)));
  model.setWeights(weights);
  const { temperature } = await model.calibrate(data);
  model.setWeights(extreme);
  const outputs = await model.predict(data);
  expect(outputs).toContain(0);
  const calibration = await model.calibrate(data);
  expect(Math.abs(calibration.temperature / (10 * temperature) - 1)).toBeLessThan(2e-5);
  expect(Number.isFinite(calibration.before.loss)).toBe(true);
});

it('is saved with the model, without compile', async () => {
  const model = sequential([dense({ units: 5, activation: 'tanh' }), dense({ units: 3, activation: 'softmax' })], {
    inputShape: [2, 2, 1],
    backend,
  });
  model.setWeights(weights);
  await model.calibrate(data);
  const path = `${temporaryFolder()}/calibrated.safetensors`;
  await model.save(path);
  const loaded = await loadModel(path, { backend });
  expect(await loaded.predict(data)).toEqual(await model.predict(data));
});

describe('ends of models', () => {
  const pixel = [2, 2, 1];
  it.each<[string, Layer[], LossName | null]>([
    ['dense with softmax', [dense({ units: 3, activation: 'softmax' })], null],
    ['without a bias', [dense({ units: 3, activation: 'softmax', useBias: false })], null],
    ['dense, then softmax', [dense({ units: 3 }), softmax()], null],
    [
      'an activation softmax behind dropout',
      [dense({ units: 3 }), dropout({ rate: 0.5 }), activation({ activation: 'softmax' })],
      null,
    ],
    [
      'a convolution, pooled',
      [conv2d({ filters: 3, kernelSize: 2, padding: 'same' }), globalAveragePooling2d(), softmax()],
      null,
    ],
    [
      'a pool, a flatten and a linear activation between',
      [
        conv2d({ filters: 3, kernelSize: 1 }),
        averagePooling2d({ poolSize: 2 }),
        flatten(),
        activation({ activation: 'linear' }),
        softmax(),
      ],
      null,
    ],
    ['logits', [dense({ units: 3 })], 'categoricalCrossentropy'],
  ])('%s', async (_name, layers, loss) => {
    const model = sequential(layers, { inputShape: pixel, seed: 4, backend });
    model.setWeights(model.getWeights().map((values, index) => values.map((value) => 9 * value + index / 9)));
    if (loss) model.compile({ optimizer: 'sgd', loss });
    const before = await model.predict(data);
    const fromLogits = loss !== null;
    // Whatever the random weights answer is right, four times out of five.
    const answers = await answersOf(model);
    const labels = Uint8Array.from(answers, (answer, sample) => (sample % 5 === 0 ? (answer + 1) % 3 : answer));
    const { temperature } = await model.calibrate({ ...data, targets: labels });
    const after = await model.predict(data);
    // softmax(z / T) in terms of softmax(z): log p' = log p / T up to a constant per row.
    const log = (rows: Float32Array, index: number) => (loss ? rows[index] : Math.log(rows[index]));
    for (let first = 0; first < after.length; first += 3) {
      const [was, is] = [log(before, first) - log(before, first + 1), log(after, first) - log(after, first + 1)];
      expect(Math.abs(was / temperature - is)).toBeLessThan(1e-5 * (1 + Math.abs(is)) + 1e-5);
    }
    const likelihood = (rows: Float32Array) => negativeLogLikelihood(labels, rows, { fromLogits });
    expect(likelihood(after)).toBeLessThan(likelihood(before));
  });

  it.each<[string, Layer[], LossName | null, RegExp]>([
    [
      'logits without compile',
      [dense({ units: 3 })],
      null,
      /ends with dense \(linear\).*compiled with categoricalCrossentropy/,
    ],
    ['numbers', [dense({ units: 3 })], 'meanSquaredError', /ends with dense \(linear\)/],
    ['sigmoid', [dense({ units: 3, activation: 'sigmoid' })], 'meanSquaredError', /ends with dense \(sigmoid\)/],
    ['relu before softmax', [dense({ units: 3, activation: 'relu' }), softmax()], null, /dense \(relu, softmax\)/],
    [
      'tanh between',
      [dense({ units: 3 }), activation({ activation: 'tanh' }), softmax()],
      null,
      /\(linear, tanh, softmax\)/,
    ],
    ['a residual', [residual({ layers: [dense({ units: 4 })] }), softmax()], null, /ends with residual/],
  ])('%s is refused', async (_name, layers, loss, message) => {
    const model = sequential(layers, { inputShape: [4], backend });
    if (loss) model.compile({ optimizer: 'sgd', loss });
    const before = model.weightsSha256();
    const flat = { ...data, targets: Uint8Array.from(labels) };
    await expect(model.calibrate(flat)).rejects.toEqual(failure('ERR_STATE', message));
    expect(model.weightsSha256()).toBe(before);
  });
});

describe('leaves the weights as they were', () => {
  it('where no temperature is the best', async () => {
    const model = sure();
    const before = model.weightsSha256();
    const right = { ...data, targets: Uint8Array.from(await answersOf(model)) };
    await expect(model.calibrate(right)).rejects.toEqual(
      failure('ERR_DATA', /sometimes wrong on for the data of calibrate.*all answers are right/),
    );
    const wrong = { ...data, targets: right.targets.map((label) => (label + 1) % 3) };
    await expect(model.calibrate(wrong)).rejects.toEqual(failure('ERR_DATA', /better on than chance/));
    expect(model.weightsSha256()).toBe(before);
  });

  it('for wrong data, unknown options, and when the signal comes first', async () => {
    const model = sure();
    const before = model.weightsSha256();
    await expect(model.calibrate({ ...data, targets: [3] })).rejects.toEqual(failure('ERR_SHAPE', /data\.targets/));
    await expect(model.calibrate(data, { bins: 3 } as never)).rejects.toEqual(failure('ERR_ARGUMENT', /"bins"/));
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(model.calibrate(data, { signal })).rejects.toEqual(failure('ERR_ABORTED', /Calibration was aborted/));
    expect(model.weightsSha256()).toBe(before);
  });

  it('during a fit, and when aborted or disposed of in between', async () => {
    const model = sure();
    const fitting = model.fit(data);
    await expect(model.calibrate(data)).rejects.toEqual(failure('ERR_STATE', /Wait for the running fit/));
    await fitting;

    const controller = new AbortController();
    let calls = 0;
    const steered = backendWith((session) => {
      const infer = session.infer.bind(session);
      session.infer = (inputs) => {
        if (++calls === 3) controller.abort();
        return infer(inputs);
      };
    });
    const stopped = sure({ backend: steered });
    const before = stopped.weightsSha256();
    const calibration = stopped.calibrate(data, { signal: controller.signal });
    await expect(calibration).rejects.toEqual(failure('ERR_ABORTED', /Calibration was aborted/));
    expect(calls).toBe(3);
    expect(stopped.weightsSha256()).toBe(before);

    const gone = sure();
    const running = gone.calibrate(data);
    gone.dispose();
    await expect(running).rejects.toEqual(failure('ERR_ABORTED', /Calibration was aborted/));
  });
});

it('makes averages of weights the weights', async () => {
  const learningRate = (step: number) => (step < 10 ? 0.1 : 0);
  const model = classifier({ optimizer: sgd({ learningRate, useEma: true, emaMomentum: 0.9 }) });
  model.setWeights(weights);
  await model.fit(data, { batchSize: 150 });
  const before = model.getWeights();
  const { temperature } = await model.calibrate(data);
  const calibrated = model.getWeights();
  expect(calibrated[2]).toEqual(before[2].map((value) => value / temperature));
  // At a rate of 0 weights stay, and averages go on towards them: nothing moves only where both are the same.
  await model.fit(data, { batchSize: 150 });
  expect(model.getWeights()).toEqual(calibrated);
});

it('frees the sessions that it opens', async () => {
  let open = 0;
  const counting = backendWith((session) => {
    open++;
    const dispose = session.dispose.bind(session);
    session.dispose = () => {
      open--;
      dispose();
    };
  });
  const model = sure({ backend: counting });
  await model.predict(data);
  await model.calibrate(data);
  await expect(model.calibrate({ ...data, targets: [3] })).rejects.toThrow();
  const right = { ...data, targets: Uint8Array.from(await answersOf(model)) };
  await expect(model.calibrate(right)).rejects.toThrow();
  expect(open).toBe(1);
});
