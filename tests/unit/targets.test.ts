/** Targets and inputs that do not go with the loss, or with each other, are refused before the first step. */
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../src/errors.js';
import { dense, type LabelledSamples, type LossName, type Sequential, sequential } from '../../src/index.js';
import { backend, failure, separable } from '../helpers/toy.js';

const COUNT = 4;
const inputs = Float32Array.of(0, 1, 1, 0, 0.5, 0.5, 1, 1);

function modelOf(loss: LossName, units: number): Sequential {
  const model = sequential([dense({ units })], { inputShape: [2], backend });
  model.compile({ optimizer: 'sgd', loss });
  return model;
}

type Row = [name: string, targets: unknown, code: ErrorCode, message: RegExp];

/** As data, as data for validation, and in evaluate. */
async function expectRefused(loss: LossName, units: number, good: LabelledSamples['targets'], row: Row) {
  const [, targets, code, message] = row;
  const model = modelOf(loss, units);
  const before = model.weightsSha256();
  const wrong = { inputs, targets: targets as never };
  await expect(model.fit(wrong)).rejects.toEqual(failure(code, message));
  await expect(model.evaluate(wrong)).rejects.toEqual(failure(code, message));
  const named = new RegExp(message.source.replace('data\\.', 'validationData\\.'));
  const fitting = model.fit({ inputs, targets: good }, { validationData: wrong });
  await expect(fitting).rejects.toEqual(failure(code, named));
  expect(model.weightsSha256()).toBe(before);
}

describe('targets of categoricalCrossentropy', () => {
  const soft = Float32Array.of(0, 1, 0, 1, 0, 0, 0.5, 0.25, 0.25, 0, 0, 1);

  it.each<Row>([
    [
      'class indices as floats',
      Float32Array.of(0, 1, 2, 0),
      'ERR_SHAPE',
      /12 elements \(a row of \[3\] shares per sample\) for data\.targets.*Int32Array\.from\(targets\)/,
    ],
    ['one column of floats too many', new Float32Array(16), 'ERR_SHAPE', /12 elements .*for data\.targets/],
    ['one-hot bytes', new Uint8Array(12), 'ERR_SHAPE', /4 elements.*data\.targets.*Float32Array\.from\(targets\)/],
    ['float64', new Float64Array(12), 'ERR_ARGUMENT', /or a Float32Array of \[4, 3\] for data\.targets/],
    ['text', ['a', 'b', 'c', 'a'], 'ERR_DATA', /class index from 0 to 2 for data\.targets\[0\], received "a"/],
    ['nested rows', [[1, 0, 0], 1, 2, 0], 'ERR_DATA', /data\.targets\[0\].*targets\.flat\(\)/],
    ['more classes than units', [0, 1, 2, 9], 'ERR_DATA', /data\.targets\[3\], received 9.*3 units, one per class/],
    [
      'a negative share',
      soft.with(1, 2).with(0, -1),
      'ERR_DATA',
      /at least 0 for data\.targets\[0\] \(sample 0\), received -1/,
    ],
    ['NaN', soft.with(7, Number.NaN), 'ERR_DATA', /finite number for data\.targets\[7\] \(sample 2\), received NaN/],
    [
      'two labels at once',
      soft.with(9, 1),
      'ERR_DATA',
      /sum to 1 for row 3 of data\.targets, received 2.*binaryCrossentropy/,
    ],
    ['shares that are lost', soft.with(6, 0.498), 'ERR_DATA', /sum to 1 for row 2 of data\.targets/],
    ['one share in an array', Array.from(soft.with(0, 0.5)), 'ERR_DATA', /sum to 1 for row 0 of data\.targets/],
  ])('%s', async (...row) => expectRefused('categoricalCrossentropy', 3, [0, 1, 2, 0], row));

  it('may miss the sum of 1 by a rounding', async () => {
    const model = modelOf('categoricalCrossentropy', 3);
    expect((await model.evaluate({ inputs, targets: soft.with(6, 0.4995) })).count).toBe(COUNT);
  });
});

describe('targets of binaryCrossentropy', () => {
  const good = [0, 1, 1, 0, 0, 0, 1, 1];

  it.each<Row>([
    ['class indices', Uint8Array.of(0, 1, 1, 0), 'ERR_SHAPE', /8 elements.*data\.targets.*categoricalCrossentropy/],
    ['none', new Float32Array(0), 'ERR_SHAPE', /8 elements \(2 per sample\) for data\.targets/],
    ['bytes of a mask', Uint8Array.of(0, 255, 0, 0, 0, 0, 0, 0), 'ERR_DATA', /0 or 1 for data\.targets\[1\].*255/],
    ['plus and minus 1', Int32Array.of(1, -1, 1, 1, 1, 1, 1, 1), 'ERR_DATA', /0 or 1 for data\.targets\[1\].*-1/],
    [
      'a number above 1',
      Float32Array.from(good).with(5, 1.5),
      'ERR_DATA',
      /0 to 1 for data\.targets\[5\] \(sample 2\)/,
    ],
    ['NaN', Float32Array.from(good).with(5, Number.NaN), 'ERR_DATA', /data\.targets\[5\].*received NaN/],
    ['nested rows', [[0, 1], 1, 1, 0, 0, 0, 1, 1], 'ERR_DATA', /data\.targets\[0\].*targets\.flat\(\)/],
    ['booleans', good.map((value) => value === 1), 'ERR_DATA', /data\.targets\[0\].*received false/],
    ['nothing', undefined, 'ERR_ARGUMENT', /0 and 1.*\[4, 2\].*data\.targets with binaryCrossentropy/],
    ['float64', Float64Array.from(good), 'ERR_ARGUMENT', /for data\.targets with binaryCrossentropy/],
  ])('%s', async (...row) => expectRefused('binaryCrossentropy', 2, good, row));
});

describe.each(['meanSquaredError', 'meanAbsoluteError', 'huber'] as const)('targets of %s', (loss) => {
  it.each<Row>([
    ['class indices', Uint8Array.of(0, 1, 1, 0), 'ERR_ARGUMENT', /data\.targets with .*oneHot\(targets, 2\)/],
    ['bytes', new Uint8Array(8), 'ERR_ARGUMENT', /Float32Array of \[4, 2\] for data\.targets.*Float32Array\.from/],
    ['float64', new Float64Array(8), 'ERR_ARGUMENT', /Float32Array of \[4, 2\] for data\.targets.*Float32Array\.from/],
    ['one per sample', new Float32Array(4), 'ERR_SHAPE', /8 elements \(2 per sample\) for data\.targets/],
    ['NaN', new Float32Array(8).with(3, Number.NaN), 'ERR_DATA', /data\.targets\[3\] \(sample 1\), received NaN/],
    ['infinity', new Float32Array(8).with(3, Infinity), 'ERR_DATA', /data\.targets\[3\].*received Infinity/],
    ['text', ['1', 2, 3, 4, 5, 6, 7, 8], 'ERR_ARGUMENT', /a number for data\.targets\[0\], received "1"/],
  ])('%s', async (...row) => expectRefused(loss, 2, new Float32Array(8), row));

  it('bytes where there is one output, without a word of classes', async () => {
    const fitting = modelOf(loss, 1).fit({ inputs, targets: new Uint8Array(4) });
    await expect(fitting).rejects.toEqual(failure('ERR_ARGUMENT', /Float32Array of \[4, 1\].*Float32Array\.from/));
    await expect(fitting).rejects.not.toThrow(/oneHot/);
  });
});

describe('inputs for validation', () => {
  const bytes = separable(6);
  const floats = { ...bytes, inputs: Float32Array.from(bytes.inputs) };
  const scaled = { ...bytes, inputs: floats.inputs.map((value) => value / 255) };
  const validate = (data: LabelledSamples, validationData: LabelledSamples) => {
    const model = sequential([dense({ units: 3 })], { inputShape: [2, 2, 1], backend });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    return model.fit(data, { validationData });
  };

  it('floats up to 255 beside bytes are refused', async () => {
    const message = /from 0 to 1.*for validationData\.inputs\[\d+\], received \d+.*divide them by 255/;
    await expect(validate(bytes, floats)).rejects.toEqual(failure('ERR_DATA', message));
    const standardized = { ...scaled, inputs: scaled.inputs.with(5, -1.25) };
    await expect(validate(bytes, standardized)).rejects.toEqual(failure('ERR_DATA', /inputs\[5\], received -1\.25/));
  });

  it('bytes beside floats up to 255 are refused', async () => {
    const message = /a Float32Array, as data\.inputs is, for validationData\.inputs, received Uint8Array.*one scale/;
    await expect(validate(floats, bytes)).rejects.toEqual(failure('ERR_DATA', message));
  });

  it('bytes and floats from 0 to 1 go together, and so do floats of any size', async () => {
    const losses = [];
    for (const [data, validationData] of [
      [bytes, scaled],
      [scaled, bytes],
      [bytes, bytes],
    ]) {
      const { history } = await validate(data, validationData);
      losses.push(history.validationLoss);
    }
    expect(losses).toEqual([losses[0], losses[0], losses[0]]);
    expect((await validate(floats, floats)).history.validationLoss).toHaveLength(1);
  });
});
