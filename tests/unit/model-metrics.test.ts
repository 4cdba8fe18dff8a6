import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  type CompileOptions,
  classificationReport,
  dense,
  expectedCalibrationError,
  type Metric,
  meanSquaredError,
  metrics,
  type Sequential,
  sequential,
  topKAccuracy,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import {
  backend,
  backendWith,
  classifier,
  errorOf,
  failure,
  historyOf,
  separable,
  softmaxLayers,
} from '../helpers/toy.js';

const CLASS_METRICS: CompileOptions['metrics'] = [
  'accuracy',
  'precision',
  metrics.recall({ average: 'weighted' }),
  'f1',
  metrics.topKAccuracy({ k: 2, name: 'top2Accuracy' }),
  'expectedCalibrationError',
];

/** More samples than one portion of outputs. */
const data = separable(1500);

const regression = (options: Partial<CompileOptions>, where: Backend = backend): Sequential => {
  const model = sequential([dense({ units: 2 })], { inputShape: [2, 2, 1], seed: 1, backend: where });
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError', ...options });
  return model;
};

/** A metric of one's own: how many portions and samples there were. */
const portions = (seen: number[]): Metric => ({
  name: 'portions',
  tasks: ['classes', 'values'],
  begin: () => ({
    add: ({ count }) => seen.push(count),
    result: () => seen.length,
  }),
});

describe.each(availableBackends().map((each) => [titleOf(each), each] as const))('on %s', (_title, where) => {
  it('evaluate gives what the functions give on the predictions', async () => {
    const model = classifier({ metrics: CLASS_METRICS, backend: where });
    const evaluation = await model.evaluate(data);
    const outputs = await model.predict(data);
    const report = classificationReport(data.targets as Uint8Array, outputs);
    const calibration = expectedCalibrationError(data.targets as Uint8Array, outputs);
    const { loss, accuracy, expectedCalibrationError: error, ...rest } = evaluation;
    expect(loss).toBeGreaterThan(0);
    expect(accuracy).toBe(report.accuracy);
    expect(rest).toEqual({
      count: 1500,
      precision: report.macro.precision,
      recall: report.weighted.recall,
      f1: report.macro.f1,
      top2Accuracy: topKAccuracy(data.targets as Uint8Array, outputs, { k: 2 }),
    });
    // The portions are added up one after the other as the whole is.
    expect(error).toBe(calibration);
  });

  it('fit puts those of the validation samples into its results', async () => {
    const model = classifier({ metrics: CLASS_METRICS, backend: where });
    const history = await model.fit(data, { epochs: 2, validationSplit: 0.4, batchSize: 100 });
    const last = { ...data, inputs: data.inputs.subarray(900 * 4), targets: data.targets.subarray(900), count: 600 };
    const { loss, accuracy, precision, top2Accuracy, ...rest } = await model.evaluate(last);
    expect(history.epochs[1]).toMatchObject({
      validationLoss: loss,
      validationAccuracy: accuracy,
      validationPrecision: precision,
      validationTop2Accuracy: top2Accuracy,
      validationRecall: rest.recall,
      validationF1: rest.f1,
      validationExpectedCalibrationError: rest.expectedCalibrationError,
    });
    expect(history.epochs[1]).not.toHaveProperty('validationCount');
    expect(history.history.validationPrecision).toEqual(history.epochs.map((epoch) => epoch.validationPrecision));
    expect(history.history).not.toHaveProperty('precision');
  });

  it('regression', async () => {
    const model = regression({ metrics: ['meanAbsoluteError', 'rootMeanSquaredError', 'r2'] }, where);
    model.setWeights([Float32Array.of(1, 0, 0, 1, 0, 0, 0, 0), Float32Array.of(0, 0.5)]);
    const inputs = Float32Array.of(1, 2, 0, 0, 3, 4, 0, 0);
    // Outputs: 1, 2.5, 3, 4.5.
    const evaluation = await model.evaluate({ inputs, targets: Float32Array.of(1, 2, 3, 5) });
    const wanted = { loss: 0.125, meanAbsoluteError: 0.25, rootMeanSquaredError: Math.sqrt(0.125), count: 2 };
    expect(evaluation).toEqual({ ...wanted, r2: (1 + (1 - 0.5 / 4.5)) / 2 });
  });
});

it('does not change what is trained', async () => {
  const [plain, measured] = [classifier(), classifier({ metrics: CLASS_METRICS })];
  await plain.fit(data, { epochs: 2, validationSplit: 0.2 });
  await measured.fit(data, { epochs: 2, validationSplit: 0.2 });
  expect(measured.weightsSha256()).toBe(plain.weightsSha256());
});

it('logits are made probabilities first', async () => {
  const model = (last: 'softmax' | 'linear') => {
    const layers = [dense({ units: 3, activation: last })];
    const made = sequential(layers, { inputShape: [4], seed: 3, backend });
    made.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy', metrics: CLASS_METRICS });
    return made;
  };
  const [probabilities, logits] = [await model('softmax').evaluate(data), await model('linear').evaluate(data)];
  expect(logits.precision).toBe(probabilities.precision);
  // One is rounded to float32, the other is not.
  const difference = logits.expectedCalibrationError! - probabilities.expectedCalibrationError!;
  expect(Math.abs(difference)).toBeLessThan(2 ** -22);
});

it('a metric of one own is given portions, whatever the batch size', async () => {
  const seen: number[] = [];
  const model = classifier({ metrics: [portions(seen)] });
  expect(await model.evaluate(data, { batchSize: 7 })).toMatchObject({ portions: 2 });
  expect(seen).toEqual([1024, 476]);
});

it('begins anew for every evaluation, through the metric itself', async () => {
  class Counting implements Metric {
    readonly name = 'counted';
    readonly tasks = ['classes'] as const;
    readonly step = 1;
    begin() {
      let sum = 0;
      return { add: ({ count }: { count: number }) => (sum += count * this.step), result: () => sum };
    }
  }
  const model = classifier({ metrics: [new Counting()] });
  expect(await model.evaluate(data)).toMatchObject({ counted: 1500 });
  expect(await model.evaluate(separable(5))).toMatchObject({ counted: 5 });
});

describe('both passes are one evaluation', () => {
  /** Three portions of outputs. */
  const portioned = separable(2500);
  let calls: number;

  /** A model whose second portion of outputs is preceded by `act`. */
  function interrupted(act: (model: Sequential) => void): Sequential {
    calls = 0;
    const steered = backendWith((session) => {
      const infer = session.infer.bind(session);
      session.infer = (inputs) => {
        if (++calls === 2) act(model);
        return infer(inputs);
      };
    });
    const model = classifier({ metrics: ['precision'], backend: steered });
    return model;
  }

  it('a signal between them rejects with ERR_ABORTED', async () => {
    const controller = new AbortController();
    const model = interrupted(() => controller.abort(new Error('enough')));
    const evaluation = model.evaluate(portioned, { signal: controller.signal });
    await expect(evaluation).rejects.toEqual(failure('ERR_ABORTED', /Evaluation was aborted/));
    expect(calls).toBe(2);
    const before = classifier({ metrics: ['precision'] }).evaluate(data, { signal: AbortSignal.abort() });
    await expect(before).rejects.toEqual(failure('ERR_ABORTED', /Evaluation was aborted/));
  });

  it('so does a disposal', async () => {
    const model = interrupted((each) => each.dispose());
    await expect(model.evaluate(portioned)).rejects.toEqual(failure('ERR_ABORTED', /Evaluation was aborted/));
  });

  it('a fit whose signal comes while metrics are made is aborted, with the epoch', async () => {
    const controller = new AbortController();
    const model = interrupted(() => controller.abort());
    const validation = { validationData: data, signal: controller.signal };
    const history = await historyOf(model.fit(separable(9), { epochs: 3, ...validation }));
    expect(history.stopped).toBe('aborted');
    expect(history.epochs).toHaveLength(1);
    expect(history.epochs[0]).not.toHaveProperty('validationLoss');
  });

  it('weights cannot be written in between, nor the model compiled', async () => {
    const errors: unknown[] = [];
    const model = interrupted((each) => {
      const weights = softmaxWeights();
      errors.push(
        errorOf(() => each.setWeights(weights)),
        errorOf(() => each.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' })),
      );
    });
    const softmaxWeights = () => classifier().getWeights();
    await model.evaluate(data);
    expect(errors).toEqual([failure('ERR_STATE', /cannot be written/), failure('ERR_STATE', /Wait for evaluate/)]);
    model.setWeights(softmaxWeights());
  });

  it('an evaluation during a fit sees the weights of one moment', async () => {
    const make = () => classifier({ metrics: ['f1', 'expectedCalibrationError'] });
    const options = { epochs: 6, batchSize: 10 };
    const model = make();
    const fitting = model.fit(data, options);
    const seen = [await model.evaluate(data), await model.evaluate(data)];
    await fitting;
    // The same training, with evaluations at its beginning and at the ends of its epochs.
    const again = make();
    const possible: object[] = [await again.evaluate(data)];
    await again.fit(data, { ...options, onEpochEnd: async () => void possible.push(await again.evaluate(data)) });
    expect(possible).toHaveLength(7);
    expect(possible).toEqual(expect.arrayContaining(seen));
  });
});

describe('compile refuses', () => {
  it.each<[string, CompileOptions['metrics'], RegExp]>([
    ['no list', 'precision' as never, /a list of names and metrics for metrics, received "precision"/],
    [
      'an unknown name',
      ['precison' as never],
      /one of accuracy, topKAccuracy, .* for metrics\[0\], received "precison"/,
    ],
    ['a factory', ['f1', metrics.f1 as never], /for metrics\[1\], received a function/],
    ['metrics of numbers', ['r2'], /goes with categoricalCrossentropy \(accuracy, topKAccuracy.*"r2"/],
    ['two of one name', ['f1', metrics.f1({ average: 'micro' })], /no other metric has for metrics\[1\].*of its own/],
    ['more than there are classes', ['topKAccuracy'], /at most the number of classes, 3, for k of topKAccuracy/],
    [
      'a taken name',
      [{ ...portions([]), name: 'accuracy' }],
      /results do not have already for the name of metrics\[0\]/,
    ],
    ['no tasks', [{ ...portions([]), tasks: undefined as never }], /a list of tasks for the tasks of metrics\[0\]/],
  ])('%s', (_name, list, message) => {
    const model = sequential(softmaxLayers(), { inputShape: [4], backend });
    const compile = () => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy', metrics: list });
    expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', message));
  });

  it.each<CompileOptions['metrics']>([['precision'], ['accuracy'], ['expectedCalibrationError']])(
    '%s with a loss on numbers',
    (metric) => {
      const message = /goes with meanSquaredError \(meanAbsoluteError, rootMeanSquaredError, r2\) for metrics\[0\]/;
      const compile = () => regression({ metrics: [metric as never], loss: meanSquaredError() });
      expect(errorOf(compile)).toEqual(failure('ERR_ARGUMENT', message));
    },
  );
});
