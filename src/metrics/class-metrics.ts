import { checkOneOf } from '../errors.js';
import { checkOptions, type OptionNames } from '../options.js';
import { AVERAGES, type Average, ClassCounts, type ClassScores } from './class-counts.js';
import { answerOf } from './inputs.js';
import { checkMetricName, type Metric, type MetricBatch, type MetricOptions, type MetricTask } from './metric.js';

export interface ClassMetricOptions extends MetricOptions {
  /**
   * How classes are averaged: macro, micro or weighted, as in `classificationReport`; default macro. A model of one output
   * has class 1 ("yes") looked at alone unless this is said; of several yes-or-no outputs each counts as a class.
   */
  average?: Average;
}

const OPTIONS: OptionNames<ClassMetricOptions> = { average: true, name: true };

/** How many of the samples that got an answer have it rightly. */
export const precision = (options?: ClassMetricOptions): Metric => classMetric('precision', options);

/** How many of the samples of a class got its answer. */
export const recall = (options?: ClassMetricOptions): Metric => classMetric('recall', options);

/** The harmonic mean of precision and recall, class by class. */
export const f1 = (options?: ClassMetricOptions): Metric => classMetric('f1', options);

function classMetric(kind: keyof ClassScores, options: ClassMetricOptions | undefined): Metric {
  const checked = checkOptions(options, kind, OPTIONS);
  const average = checked.average && checkOneOf(checked.average, 'average', AVERAGES);
  return Object.freeze<Metric>({
    name: checkMetricName(checked.name ?? kind),
    tasks: ['classes', 'binary'],
    begin: (task, columns) => {
      const single = columns === 1;
      const counts = new ClassCounts(single ? 2 : columns);
      return {
        add: (batch) => addTo(counts, task, batch),
        result: () => (single && !average ? counts.scoresOf(1) : counts.average(average ?? 'macro'))[kind],
      };
    },
  });
}

function addTo(counts: ClassCounts, task: MetricTask, { count, columns, targets, outputs }: MetricBatch): void {
  if (task === 'classes' || columns === 1) {
    for (let sample = 0; sample < count; sample++) counts.add(targets[sample], answerOf(outputs, sample, columns));
    return;
  }
  for (let index = 0; index < count * columns; index++) {
    counts.addBinary(index % columns, targets[index] === 1, outputs[index] > 0.5);
  }
}
