import { describe, expect, it } from 'vitest';
import {
  classificationReport,
  confusionMatrix,
  expectedCalibrationError,
  fitTemperature,
  metrics,
  negativeLogLikelihood,
  reliabilityDiagram,
  topKAccuracy,
} from '../../src/index.js';
import { likelihoodOf } from '../../src/metrics/likelihood.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { errorOf, failure } from '../helpers/toy.js';

const perfect = { precision: 1, recall: 1, f1: 1 };

describe('confusionMatrix', () => {
  it('counts labels down and answers across', () => {
    const matrix = confusionMatrix([0, 0, 1, 2, 2, 2], Uint8Array.of(0, 1, 1, 2, 0, 2));
    expect(matrix).toEqual([
      [1, 1, 0],
      [0, 1, 0],
      [1, 0, 2],
    ]);
  });

  it('answers with the first of the greatest, and above a half with one column', () => {
    expect(confusionMatrix([0, 1], Float32Array.of(0.4, 0.4, 0.2, 0, 0.5, 0.5))[0]).toEqual([1, 0, 0]);
    expect(confusionMatrix([1, 1, 0], Float32Array.of(0.5, 0.75, 0.75))).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  it('takes an array as indices when it is as long as the labels, and as rows otherwise', () => {
    expect(confusionMatrix([0, 1], [1, 1])).toEqual(confusionMatrix([0, 1], [0.1, 0.9, 0.2, 0.8]));
  });

  it('has as many classes as it is told', () => {
    expect(confusionMatrix([0], [1], { classes: 4 })).toHaveLength(4);
    expect(confusionMatrix([3], [1])).toHaveLength(4);
    expect(confusionMatrix([1], [3])).toHaveLength(4);
  });
});

describe('topKAccuracy', () => {
  it('ranks equals by their index, so that k = 1 is the accuracy', () => {
    const rows = Float32Array.of(0.4, 0.4, 0.2, 0.4, 0.4, 0.2);
    expect(topKAccuracy([0, 1], rows, { k: 1 })).toBe(0.5);
    expect(topKAccuracy([0, 1], rows, { k: 2 })).toBe(1);
    expect(topKAccuracy([2, 1], rows, { k: 2 })).toBe(0.5);
    expect(topKAccuracy([2, 2], rows, { k: 3 })).toBe(1);
  });

  it('takes five where nothing is said', () => {
    const row = [0.3, 0.2, 0.15, 0.14, 0.11, 0.1];
    expect(topKAccuracy([4, 5], Float32Array.from([...row, ...row]))).toBe(0.5);
  });
});

describe('classificationReport', () => {
  it('of a case by hand', () => {
    // Class 0: 2 of 3 recognised, 2 of 4 answers right. Class 1: 1 of 3, 1 of 2.
    const report = classificationReport([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1]);
    expect(report.perClass).toEqual([
      { label: 0, precision: 1 / 2, recall: 2 / 3, f1: 4 / 7, support: 3 },
      { label: 1, precision: 1 / 2, recall: 1 / 3, f1: 2 / 5, support: 3 },
    ]);
    expect(report.macro).toEqual({ precision: 0.5, recall: 0.5, f1: (4 / 7 + 2 / 5) / 2 });
    expect(report.micro).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
    expect(report).toMatchObject({ accuracy: 0.5, count: 6 });
  });

  it('takes quotients with nothing below the line as 0, and leaves classes that occur nowhere out of macro', () => {
    const report = classificationReport([0, 0, 1], [0, 0, 0], { classes: 3 });
    expect(report.perClass[1]).toEqual({ label: 1, precision: 0, recall: 0, f1: 0, support: 1 });
    expect(report.perClass[2]).toEqual({ label: 2, precision: 0, recall: 0, f1: 0, support: 0 });
    expect(report.macro).toEqual({ precision: 1 / 3, recall: 0.5, f1: 0.4 });
    // An answer that no label has counts: its precision is 0.
    expect(classificationReport([0, 0], [0, 2]).macro.precision).toBe(0.5);
  });

  it('adds up with the confusion matrix, and is 1 for perfect answers', () => {
    const stream = new RandomStream(5, RandomPurpose.augment);
    const labels = Uint8Array.from({ length: 200 }, () => stream.below(7));
    const answers = labels.map((label) => (stream.below(3) === 0 ? stream.below(7) : label));
    const matrix = confusionMatrix(labels, answers);
    const report = classificationReport(labels, answers);
    expect(matrix.flat().reduce((sum, value) => sum + value, 0)).toBe(200);
    report.perClass.forEach(({ recall, precision, support }, label) => {
      const column = matrix.reduce((sum, row) => sum + row[label], 0);
      expect(support).toBe(matrix[label].reduce((sum, value) => sum + value, 0));
      expect(recall).toBe(matrix[label][label] / support);
      expect(precision).toBe(matrix[label][label] / column);
    });
    expect(report.accuracy).toBe(matrix.reduce((sum, row, label) => sum + row[label], 0) / 200);
    const { macro, micro, weighted, accuracy } = classificationReport(labels, labels);
    expect({ macro, micro, weighted, accuracy }).toEqual({
      macro: perfect,
      micro: perfect,
      weighted: perfect,
      accuracy: 1,
    });
  });
});

describe('expectedCalibrationError', () => {
  it('of a case by hand', () => {
    // Confidences 0.75 (right), 0.75 (wrong), 1 (right): bins (0.5, 0.75] and (0.75, 1].
    const rows = Float32Array.of(0.75, 0.25, 0.25, 0.75, 1, 0);
    const labels = [0, 0, 0];
    expect(reliabilityDiagram(labels, rows, { bins: 4 })).toEqual([
      { lower: 0, upper: 0.25, count: 0, confidence: null, accuracy: null },
      { lower: 0.25, upper: 0.5, count: 0, confidence: null, accuracy: null },
      { lower: 0.5, upper: 0.75, count: 2, confidence: 0.75, accuracy: 0.5 },
      { lower: 0.75, upper: 1, count: 1, confidence: 1, accuracy: 1 },
    ]);
    expect(expectedCalibrationError(labels, rows, { bins: 4 })).toBe(0.5 / 3);
  });

  it('has its borders where it says, however a product rounds', () => {
    for (const bins of [3, 7, 10, 15, 49, 100]) {
      for (let border = Math.ceil(bins / 2); border < bins; border++) {
        const at = border / bins;
        const [below, above] = [at, at + 2 ** -53].map((p) =>
          reliabilityDiagram([1], Float64Array.of(1 - p, p), { bins }).findIndex(({ count }) => count > 0),
        );
        expect([below, above], `${border} of ${bins}`).toEqual([border - 1, border]);
      }
    }
  });

  it('with one column is that of both classes', () => {
    const p = Float64Array.of(0.125, 0.5, 0.625, 1);
    const labels = [0, 1, 1, 0];
    const rows = Array.from(p).flatMap((value) => [1 - value, value]);
    expect(expectedCalibrationError(labels, p)).toBe(expectedCalibrationError(labels, rows));
  });

  it('is small where labels are drawn from the probabilities, and large where those are sharpened', () => {
    const { labels, logits } = sampler(20_000);
    // The mean over bins of |accuracy - confidence| is at most √(bins / count) / 2 (Cauchy-Schwarz); twice that is far out.
    const limit = Math.sqrt(15 / 20_000);
    expect(expectedCalibrationError(labels, logits, { fromLogits: true })).toBeLessThan(limit);
    const sharpened = logits.map((value) => 3 * value);
    expect(expectedCalibrationError(labels, sharpened, { fromLogits: true })).toBeGreaterThan(5 * limit);
  });
});

/** Logits, and labels drawn from their softmax. */
function sampler(count: number, classes = 4) {
  const stream = new RandomStream(11, RandomPurpose.augment);
  const logits = Float64Array.from({ length: count * classes }, () => stream.uniform() * 4 - 2);
  const labels = Uint8Array.from({ length: count }, (_, sample) => {
    const powers = Array.from(logits.subarray(sample * classes, (sample + 1) * classes), Math.exp);
    let left = stream.uniform() * powers.reduce((sum, value) => sum + value, 0);
    const label = powers.findIndex((power) => {
      left -= power;
      return left < 0;
    });
    return label < 0 ? classes - 1 : label;
  });
  return { labels, logits };
}

describe('negativeLogLikelihood', () => {
  it('of cases by hand', () => {
    expect(negativeLogLikelihood([0, 1], [0.5, 0.5, 0.75, 0.25])).toBe((Math.log(2) + Math.log(4)) / 2);
    expect(negativeLogLikelihood([1, 0], Float32Array.of(0.25, 0.5))).toBe((Math.log(4) + Math.log(2)) / 2);
    expect(negativeLogLikelihood([0], [0, 1])).toBe(149 * Math.LN2);
  });

  it('does not overflow on logits', () => {
    expect(negativeLogLikelihood([0], [1000, 0], { fromLogits: true })).toBe(0);
    expect(negativeLogLikelihood([1], [1000, 0], { fromLogits: true })).toBe(1000);
    expect(negativeLogLikelihood([1, 0], [-1000, 1000], { fromLogits: true })).toBe(1000);
  });
});

describe('fitTemperature', () => {
  const { labels, logits } = sampler(5000);
  const best = (scores: ArrayLike<number>) => fitTemperature(labels, Float64Array.from(scores), { fromLogits: true });

  it('finds the temperature that logits were multiplied by', () => {
    const own = best(logits);
    // Within sampling noise: the logits' spread of about 1.15 makes the deviation of 1 / T about 1 / √5000.
    expect(Math.abs(own - 1)).toBeLessThan(4 / Math.sqrt(5000));
    for (const factor of [0.25, 3, 20]) {
      expect(Math.abs(best(logits.map((value) => factor * value)) / (factor * own) - 1)).toBeLessThan(1.1e-5);
    }
  });

  it('follows the slope and the curvature of the loss', () => {
    const rows = { logits, columns: 4 };
    const step = 1e-4;
    for (const b of [0.3, 1, 2.5]) {
      const [before, at, after] = [b - step, b, b + step].map((each) => likelihoodOf(labels, rows, each));
      // Central differences are off by step² / 6 times a third derivative of order 1, and rounding over the step.
      expect(Math.abs((after.loss - before.loss) / (2 * step) - at.slope)).toBeLessThan(1e-8);
      expect(Math.abs((after.slope - before.slope) / (2 * step) - at.curvature)).toBeLessThan(1e-8);
    }
  });

  it('is where the likelihood has its peak', () => {
    const loss = (temperature: number) =>
      negativeLogLikelihood(
        labels,
        logits.map((value) => (2.5 * value) / temperature),
        { fromLogits: true },
      );
    const peak = best(logits.map((value) => 2.5 * value));
    expect(loss(peak)).toBeLessThan(loss(peak * 1.001));
    expect(loss(peak)).toBeLessThan(loss(peak / 1.001));
  });

  it('goes to the ends of its range where there is no peak, and stays at 1 where nothing depends on it', () => {
    const rows = Float32Array.of(0.75, 0.25, 0.25, 0.75);
    expect(fitTemperature([0, 1], rows)).toBe(0.01);
    expect(fitTemperature([1, 0], rows)).toBe(100);
    expect(fitTemperature([0, 1], Float32Array.of(0.5, 0.5, 0.5, 0.5))).toBe(1);
  });
});

describe('wrong use', () => {
  const rows = Float32Array.of(0.75, 0.25, 0.25, 0.75);

  it.each<[string, () => unknown, 'ERR_ARGUMENT' | 'ERR_SHAPE' | 'ERR_DATA', RegExp]>([
    ['no labels', () => confusionMatrix([], []), 'ERR_SHAPE', /at least one class index for labels/],
    ['labels of floats', () => topKAccuracy(rows as never, rows), 'ERR_ARGUMENT', /class indices.*for labels/],
    ['half a label', () => confusionMatrix([0.5, 1], [0, 1]), 'ERR_DATA', /labels\[0\], received 0\.5/],
    ['a label below', () => confusionMatrix(Int32Array.of(0, -1), [0, 1]), 'ERR_DATA', /labels\[1\], received -1/],
    [
      'a label beyond',
      () => topKAccuracy([0, 2], rows, { k: 1 }),
      'ERR_DATA',
      /from 0 to 1 for labels\[1\], received 2/,
    ],
    ['yes, no and 2', () => negativeLogLikelihood([2], [0.5]), 'ERR_DATA', /from 0 to 1 for labels\[0\]/],
    ['too few answers', () => confusionMatrix([0, 1], Uint8Array.of(0)), 'ERR_SHAPE', /2 class indices.*predictions/],
    ['part of a row', () => classificationReport([0, 1], Float32Array.of(1, 0, 1)), 'ERR_SHAPE', /a multiple of 2/],
    ['no rows', () => classificationReport([0, 1], new Float32Array(0)), 'ERR_SHAPE', /a multiple of 2/],
    ['a probability as an index', () => confusionMatrix([0, 1], [0.2, 0.9]), 'ERR_DATA', /predictions\[0\]/],
    ['an answer beyond', () => confusionMatrix([0], [3], { classes: 3 }), 'ERR_DATA', /predictions\[0\], received 3/],
    ['a label beyond classes', () => confusionMatrix([3], [0], { classes: 3 }), 'ERR_DATA', /labels\[0\], received 3/],
    ['other classes', () => confusionMatrix([0, 1], rows, { classes: 3 }), 'ERR_SHAPE', /2, as the probabilities have/],
    ['no classes', () => confusionMatrix([0], [0], { classes: 0 }), 'ERR_ARGUMENT', /for classes/],
    [
      'NaN',
      () => classificationReport([0, 1], rows.with(2, Number.NaN)),
      'ERR_DATA',
      /\[2\] \(sample 1\), received NaN/,
    ],
    ['infinity', () => topKAccuracy([0, 1], rows.with(1, Infinity), { k: 1 }), 'ERR_DATA', /\[1\] \(sample 0\)/],
    ['scores of bytes', () => topKAccuracy([0], Uint8Array.of(1, 0) as never), 'ERR_ARGUMENT', /for probabilities/],
    ['k of 0', () => topKAccuracy([0, 1], rows, { k: 0 }), 'ERR_ARGUMENT', /for k/],
    ['k beyond', () => topKAccuracy([0, 1], rows), 'ERR_ARGUMENT', /at most the number of classes, 2, for k/],
    ['k of one column', () => topKAccuracy([0, 1], [0.2, 0.8], { k: 1 }), 'ERR_SHAPE', /at least 2 classes/],
    ['logits', () => expectedCalibrationError([0], [3, -1]), 'ERR_DATA', /from 0 to 1.*fromLogits/],
    ['sums beside 1', () => negativeLogLikelihood([0], [0.5, 0.4]), 'ERR_DATA', /a sum of 1.*sample 0, received 0\.9/],
    ['no bins', () => expectedCalibrationError([0, 1], rows, { bins: 0 }), 'ERR_ARGUMENT', /for bins/],
    [
      'fromLogits of words',
      () => fitTemperature([0], [1, 0], { fromLogits: 'yes' as never }),
      'ERR_ARGUMENT',
      /true or/,
    ],
    [
      'a misspelt option',
      () => fitTemperature([0], [1, 0], { fromlogits: true } as never),
      'ERR_ARGUMENT',
      /"fromLogits"/,
    ],
  ])('%s', (_name, work, code, message) => {
    expect(errorOf(work)).toEqual(failure(code, message));
  });

  it.each<[() => unknown, RegExp]>([
    [() => metrics.precision({ average: 'mean' as never }), /one of macro, micro, weighted for average/],
    [() => metrics.topKAccuracy({ k: 1.5 }), /for k/],
    [() => metrics.expectedCalibrationError({ bins: 1e9 }), /for bins/],
    [() => metrics.f1({ name: 'loss' }), /results do not have already.*"loss"/],
    [() => metrics.f1({ name: 'validationF1' }), /not with "validation"/],
    [() => metrics.r2({ name: 'R 2' }), /letters and digits/],
    [() => metrics.recall({ averages: 'macro' } as never), /an option of recall/],
  ])('metrics of a model: %s', (work, message) => {
    expect(errorOf(work)).toEqual(failure('ERR_ARGUMENT', message));
  });
});

describe('metrics of a model on their own', () => {
  const over = (metric: ReturnType<typeof metrics.r2>, columns: number, targets: number[], outputs: number[]) => {
    const state = metric.begin(metric.tasks.at(-1)!, columns);
    state.add({ count: outputs.length / columns, columns, targets, outputs });
    return state.result();
  };

  it('several yes-or-no outputs: each counts as a class', () => {
    // Output 0: 1 of 1 answers right, 1 of 2 found. Output 1: 1 of 2 answers right, 1 of 1 found.
    const targets = [1, 1, 1, 0, 0, 0];
    const outputs = [0.9, 0.9, 0.2, 0.8, 0.1, 0.1];
    expect(over(metrics.precision(), 2, targets, outputs)).toBe(0.75);
    expect(over(metrics.recall(), 2, targets, outputs)).toBe(0.75);
    expect(over(metrics.precision({ average: 'micro' }), 2, targets, outputs)).toBe(2 / 3);
    expect(over(metrics.recall({ average: 'weighted' }), 2, targets, outputs)).toBe(2 / 3);
    expect(over(metrics.expectedCalibrationError(), 2, targets, outputs)).toBe(
      expectedCalibrationError(targets, Float64Array.from(outputs)),
    );
  });

  it('regression by hand, with targets far from zero', () => {
    const targets = [1e8, 1e8 + 1, 1e8 + 2, 1e8 + 3];
    const outputs = [1e8, 1e8 + 1, 1e8 + 2, 1e8 + 5];
    expect(over(metrics.meanAbsoluteError(), 1, targets, outputs)).toBe(0.5);
    expect(over(metrics.rootMeanSquaredError(), 1, targets, outputs)).toBe(1);
    expect(over(metrics.r2(), 1, targets, outputs)).toBeCloseTo(1 - 4 / 5, 6);
    expect(over(metrics.r2(), 1, [2, 2], [2, 2])).toBe(1);
    expect(over(metrics.r2(), 1, [2, 2], [2, 3])).toBe(0);
  });

  it('NaN is no right answer and no number', () => {
    const outputs = [Number.NaN, Number.NaN];
    const top = metrics.topKAccuracy({ k: 2 }).begin('classes', 2);
    const calibration = metrics.expectedCalibrationError().begin('classes', 2);
    for (const state of [top, calibration]) state.add({ count: 1, columns: 2, targets: [0], outputs });
    expect(top.result()).toBe(0);
    expect(calibration.result()).toBeNaN();
  });
});
