import { mean, sampleDeviation } from '../../statistics.js';
import type { TrainingRun, TrialEvent } from '../events.js';
import type { Trial } from './trials.js';

/** What a trial came to: a line of results.jsonl. */
export type TrialResult = Omit<TrialEvent, 'event' | 'trials'>;

/** A trial all of whose trainings ended well. */
export function trialResult({ trial, options }: Trial, runs: readonly TrainingRun[]): TrialResult {
  const accuracies = runs.map(({ validationAccuracy }) => validationAccuracy);
  return {
    trial,
    options,
    validationAccuracy: mean(accuracies),
    deviation: runs.length > 1 ? sampleDeviation(accuracies) : null,
    validationLoss: mean(runs.map(({ validationLoss }) => validationLoss)),
    trainSeconds: runs.reduce((sum, { trainSeconds }) => sum + trainSeconds, 0),
    runs: [...runs].sort((a, b) => (a.fold ?? 0) - (b.fold ?? 0)),
  };
}

/** A trial one of whose trainings failed; it has no numbers to be compared by. */
export function failedTrial({ trial, options }: Trial, error: string): TrialResult {
  const none = { validationAccuracy: null, deviation: null, validationLoss: null, trainSeconds: null };
  return { trial, options, ...none, runs: [], error };
}

/** Best first: by validation accuracy, among equals by loss, then as planned. Failed ones come last. */
export function ranked(results: readonly TrialResult[]): TrialResult[] {
  return [...results].sort(
    (a, b) =>
      (b.validationAccuracy ?? -1) - (a.validationAccuracy ?? -1) ||
      (a.validationLoss ?? Infinity) - (b.validationLoss ?? Infinity) ||
      a.trial - b.trial,
  );
}
