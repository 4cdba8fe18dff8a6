import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type ClassScores,
  classificationReport,
  confusionMatrix,
  expectedCalibrationError,
  fitTemperature,
  type Metric,
  type MetricTask,
  metrics,
  negativeLogLikelihood,
  reliabilityDiagram,
  topKAccuracy,
} from '../../src/index.js';
import type { Numbers } from '../helpers/golden.js';

interface Report {
  perClass: Numbers[];
  support: Numbers;
  macro: Numbers;
  weighted: Numbers;
  accuracy: number;
}
interface Classified {
  labels: Numbers;
  logits: Numbers;
  probabilities: Numbers;
  confusion: Numbers[];
  report: Report;
  calibration: { bins: number; error: number; counts: Numbers }[];
  negativeLogLikelihood: number;
  fromLogits: number;
  temperature: number;
}
type TopK = { k: number; accuracy: number }[];
interface Golden {
  classes: Classified & { classes: number; topK: TopK; lossAtTemperature: number };
  ties: { labels: Numbers; scores: Numbers; topK: TopK };
  binary: Classified;
  regression: {
    columns: number;
    targets: Numbers;
    outputs: Numbers;
    meanAbsoluteError: number;
    rootMeanSquaredError: number;
    r2: number;
  };
}

const SAMPLES = ['logits', 'probabilities', 'scores', 'targets', 'outputs'];

/** Made by make-golden-metrics.py. Samples are float32 numbers there, of which the file has nine digits. */
const golden: Golden = JSON.parse(
  readFileSync(new URL('golden-metrics.json', import.meta.url), 'utf8'),
  (key, value) => (SAMPLES.includes(key) ? value.map(Math.fround) : value),
);

/** Sums of some hundred float64 numbers, in whatever order: each addition rounds by 2^-53 of a sum of order 1. */
const SUMS = 1000 * 2 ** -53;
const near = (actual: number, wanted: number, tolerance = SUMS) =>
  expect(Math.abs(actual - wanted), `${actual} beside ${wanted}`).toBeLessThanOrEqual(tolerance);

const nearScores = ({ precision, recall, f1 }: ClassScores, wanted: Numbers) =>
  [precision, recall, f1].forEach((value, index) => {
    near(value, wanted[index]);
  });

/** A metric over samples that come in portions of `size`. */
function through(metric: Metric, task: MetricTask, columns: number, targets: Numbers, outputs: Numbers, size = 7) {
  const state = metric.begin(task, columns);
  const count = outputs.length / columns;
  const perSample = targets.length / count;
  for (let first = 0; first < count; first += size) {
    const end = Math.min(count, first + size);
    state.add({
      count: end - first,
      columns,
      targets: targets.slice(first * perSample, end * perSample),
      outputs: outputs.slice(first * columns, end * columns),
    });
  }
  return state.result();
}

describe.each([
  ['classes', golden.classes, 6],
  ['yes and no', golden.binary, 1],
] as const)('%s', (_name, wanted, columns) => {
  const labels = Uint8Array.from(wanted.labels);
  const probabilities = Float32Array.from(wanted.probabilities);
  const logits = Float32Array.from(wanted.logits);
  const task = columns === 1 ? 'binary' : 'classes';

  it('confusion and report', () => {
    expect(confusionMatrix(labels, probabilities)).toEqual(wanted.confusion);
    const report = classificationReport(labels, probabilities);
    expect(report.perClass.map(({ support }) => support)).toEqual(wanted.report.support);
    report.perClass.forEach((scores, label) => {
      nearScores(scores, wanted.report.perClass[label]);
    });
    nearScores(report.macro, wanted.report.macro);
    nearScores(report.weighted, wanted.report.weighted);
    near(report.accuracy, wanted.report.accuracy);
  });

  it('precision, recall and F1 as metrics of a model', () => {
    const kinds = ['precision', 'recall', 'f1'] as const;
    const accuracy = wanted.report.accuracy;
    kinds.forEach((kind, index) => {
      const value = (average?: 'macro' | 'micro' | 'weighted') =>
        through(metrics[kind]({ average }), task, columns, wanted.labels, wanted.probabilities);
      near(value('macro'), wanted.report.macro[index]);
      near(value('weighted'), wanted.report.weighted[index]);
      near(value('micro'), accuracy);
      near(value(), columns === 1 ? wanted.report.perClass[1][index] : wanted.report.macro[index]);
    });
  });

  it('calibration error and its bins', () => {
    for (const { bins, error, counts } of wanted.calibration) {
      near(expectedCalibrationError(labels, probabilities, { bins }), error);
      expect(reliabilityDiagram(labels, probabilities, { bins }).map(({ count }) => count)).toEqual(counts);
      const metric = metrics.expectedCalibrationError({ bins });
      near(through(metric, task, columns, wanted.labels, wanted.probabilities), error);
      // The file's probabilities are rounded to float32, those from logits are not.
      near(expectedCalibrationError(labels, logits, { bins, fromLogits: true }), error, 2 ** -23);
    }
  });

  it('negative log-likelihood', () => {
    near(negativeLogLikelihood(labels, probabilities), wanted.negativeLogLikelihood);
    near(negativeLogLikelihood(labels, logits, { fromLogits: true }), wanted.fromLogits);
  });

  it('the best temperature, six digits of it', () => {
    near(fitTemperature(labels, logits, { fromLogits: true }) / wanted.temperature, 1, 5.1e-6);
    // Rounded to float32, probabilities carry their logits to 2^-24 beside 1, and with yes and no 1 - p to 2^-24 of 1.
    near(fitTemperature(labels, probabilities) / wanted.temperature, 1, 1e-4);
  });
});

it.each([
  ['as they come', golden.classes.labels, golden.classes.probabilities, golden.classes.topK],
  ['with ties', golden.ties.labels, golden.ties.scores, golden.ties.topK],
])('top-k accuracy, %s', (_name, labels, scores, topK) => {
  const columns = scores.length / labels.length;
  for (const { k, accuracy } of topK) {
    near(topKAccuracy(labels, Float32Array.from(scores), { k }), accuracy);
    near(through(metrics.topKAccuracy({ k }), 'classes', columns, labels, scores), accuracy);
  }
});

it('the loss at the best temperature', () => {
  const { labels, logits, temperature, lossAtTemperature } = golden.classes;
  const divided = logits.map((logit) => logit / temperature);
  near(negativeLogLikelihood(labels, divided, { fromLogits: true }), lossAtTemperature);
});

it.each(['meanAbsoluteError', 'rootMeanSquaredError', 'r2'] as const)('%s', (kind) => {
  const { targets, outputs, columns } = golden.regression;
  near(through(metrics[kind](), 'values', columns, targets, outputs), golden.regression[kind]);
});
