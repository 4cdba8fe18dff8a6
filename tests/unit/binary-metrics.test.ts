import { describe, expect, it } from 'vitest';
import { classificationReport, dense, expectedCalibrationError, metrics, oneHot, sequential } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { separable } from '../helpers/toy.js';

const data = separable(1500);
const labels = data.targets as Uint8Array;

describe.each(availableBackends().map((each) => [titleOf(each), each] as const))('on %s', (_title, backend) => {
  it.each(['sigmoid', 'linear'] as const)('yes or no, %s: class 1 is looked at alone', async (activation) => {
    const model = sequential([dense({ units: 1, activation })], { inputShape: [4], backend, seed: 2 });
    const list = [
      'accuracy',
      'precision',
      'recall',
      metrics.f1({ average: 'macro' }),
      'expectedCalibrationError',
    ] as const;
    model.compile({ optimizer: 'adam', loss: 'binaryCrossentropy', metrics: list });
    const targets = Float32Array.from(labels, (label) => Number(label > 0));
    const evaluation = await model.evaluate({ ...data, targets });
    const outputs = await model.predict(data);
    const answers = outputs.map((output) => Number(output > (activation === 'linear' ? 0 : 0.5)));
    const report = classificationReport(Uint8Array.from(targets), Uint8Array.from(answers));
    const fromLogits = activation === 'linear';
    expect(evaluation).toMatchObject({
      accuracy: report.accuracy,
      precision: report.perClass[1].precision,
      recall: report.perClass[1].recall,
      f1: report.macro.f1,
      expectedCalibrationError: expectedCalibrationError(Uint8Array.from(targets), outputs, { fromLogits }),
    });
  });

  it('several labels a sample: each output counts as a class', async () => {
    const model = sequential([dense({ units: 3, activation: 'sigmoid' })], { inputShape: [4], backend, seed: 2 });
    model.compile({ optimizer: 'adam', loss: 'binaryCrossentropy', metrics: ['precision'] });
    const targets = oneHot(labels, 3);
    const outputs = await model.predict(data);
    const precisions = [0, 1, 2].map((output) => {
      const column = (rows: Float32Array) => Uint8Array.from(labels, (_, row) => Number(rows[row * 3 + output] > 0.5));
      return classificationReport(column(targets), column(outputs)).perClass[1].precision;
    });
    const { precision } = await model.evaluate({ ...data, targets });
    expect(precision).toBeCloseTo(precisions.reduce((sum, value) => sum + value, 0) / 3, 12);
  });

  it('one-hot rows stand for their class, in evaluation and calibration', async () => {
    const model = sequential([dense({ units: 3, activation: 'softmax' })], { inputShape: [4], backend, seed: 2 });
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', metrics: ['precision'] });
    const rows = { ...data, targets: oneHot(labels, 3) };
    expect((await model.evaluate(rows)).precision).toBe((await model.evaluate(data)).precision);
    await model.fit(data, { epochs: 2 });
    const weights = model.getWeights();
    const calibration = await model.calibrate(rows);
    model.setWeights(weights);
    expect(await model.calibrate(data)).toEqual(calibration);
  });
});
