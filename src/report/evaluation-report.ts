import { calibration } from './calibration.js';
import { classTable, confusionTable } from './confusion.js';
import { headline } from './elements.js';
import { type FirstWeights, firstWeights } from './first-weights.js';
import { type ClassNames, headlineOf, type Measures } from './measures.js';
import { mistakesOf } from './mistakes.js';
import { formatNumber } from './numbers.js';
import { footerOf, type Origin, reproductionSection, settingsSection } from './origin.js';
import { renderPage, type Section } from './page.js';

export interface EvaluationReport {
  /** In a word: 784-128-10. */
  network: string;
  dataset: string;
  classNames: ClassNames;
  measures: Measures;
  /** Null where the first layer's weights are no pictures. */
  weights: FirstWeights | null;
  origin: Origin;
}

/** The page of `evaluate --report`. */
export function evaluationPage({ network, dataset, classNames, measures, weights, origin }: EvaluationReport): string {
  return renderPage({
    title: `Evaluation of ${network} on ${dataset}`,
    lead: `${origin.model}, measured on the ${formatNumber(measures.count, 'count')} images of the test set.`,
    summary: headline([
      ...headlineOf(measures),
      ['Among the first three', formatNumber(measures.top3Accuracy, 'percent')],
    ]),
    sections: [
      ...measuredSections(measures, classNames),
      ...weightsSections(weights),
      settingsSection(origin),
      reproductionSection(
        origin,
        'The same file and data give the same numbers, to the last bit, on any processor and number of threads.',
      ),
    ],
    footer: footerOf(origin),
  });
}

/** What a test set says of a model. */
export const measuredSections = (measures: Measures, names: ClassNames): Section[] => [
  { id: 'confusion', title: 'Confusion matrix', content: confusionTable(measures, names) },
  { id: 'classes', title: 'Classes', content: classTable(measures, names) },
  { id: 'calibration', title: 'Calibration', content: calibration(measures) },
  { id: 'mistakes', title: 'Most confident mistakes', content: mistakesOf(measures, names) },
];

export const weightsSections = (weights: FirstWeights | null): Section[] =>
  weights ? [{ id: 'weights', title: 'First layer', content: firstWeights(weights) }] : [];
