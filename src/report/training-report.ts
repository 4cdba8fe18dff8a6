import type { EpochResult } from '../epoch-result.js';
import { curves, type RatePoint } from './curves.js';
import { headline, notice } from './elements.js';
import { measuredSections, weightsSections } from './evaluation-report.js';
import type { FirstWeights } from './first-weights.js';
import { html, type Part } from './html.js';
import { type ClassNames, headlineOf, type Measures } from './measures.js';
import { footerOf, type Origin, reproductionSection, settingsSection } from './origin.js';
import { renderPage, type Section } from './page.js';

export interface TrainingReport {
  /** In a word: 784-128-10. */
  network: string;
  dataset: string;
  classNames: ClassNames;
  /** What was trained and how, in a line. */
  lead: string;
  /** Whole epochs. */
  epochs: readonly EpochResult[];
  epochsPlanned: number;
  learningRates: readonly RatePoint[];
  /** Time inside training steps, in words. */
  trainedIn: string;
  /** A signal ended the training. */
  interrupted: boolean;
  /** Why a callback ended it. */
  stopReason?: string;
  /** Whole epochs that were done before this run went on. */
  resumedAfter?: number;
  /** On the test set; null where the training was interrupted. */
  measures: Measures | null;
  /** Null where the first layer's weights are no pictures. */
  weights: FirstWeights | null;
  origin: Origin;
}

/** The page of `train --report`. */
export function trainingPage(report: TrainingReport): string {
  const { network, dataset, classNames, measures, weights, origin } = report;
  return renderPage({
    title: `Training of ${network} on ${dataset}`,
    lead: report.lead,
    summary: html`${remarks(report)}${headline([
      ...(measures ? headlineOf(measures) : []),
      ['Whole epochs', `${report.epochs.length} of ${report.epochsPlanned}`],
      ['Trained in', report.trainedIn],
    ])}`,
    sections: [
      ...curveSections(report),
      ...(measures ? measuredSections(measures, classNames) : []),
      ...weightsSections(weights),
      settingsSection(origin),
      reproductionSection(origin, remarkOnCommand(report)),
    ],
    footer: footerOf(origin),
  });
}

function curveSections({ epochs, learningRates }: TrainingReport): Section[] {
  if (epochs.length === 0) return [];
  return [{ id: 'curves', title: 'Learning curves', content: curves(epochs, learningRates) }];
}

function remarks({ interrupted, stopReason, resumedAfter }: TrainingReport): Part {
  return [
    interrupted && notice('Interrupted. This is what was done until then; nothing was measured on the test set.'),
    stopReason !== undefined && notice(`Stopped early: ${stopReason}. The weights are those of the best epoch.`),
    resumedAfter !== undefined && notice(`This run went on from a checkpoint after ${resumedAfter} whole epochs.`),
  ];
}

const remarkOnCommand = ({ interrupted }: TrainingReport): string =>
  interrupted
    ? 'This trains to the end. An interruption at the same step alone would give the same weights.'
    : 'The same version, data and options give the same weights, to the last bit, on any processor and number of threads.';
