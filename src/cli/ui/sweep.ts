import type { Output } from '../output.js';
import { ranked, type TrialResult } from '../sweep/results.js';
import { clock, duration, loss, percent } from './format.js';
import type { Progress } from './progress.js';
import { table } from './tables.js';

/** A trial that has its result, in a line. */
export function trialLine({ trial, options, error, ...result }: TrialResult, trials: number): string {
  const head = `Trial ${String(trial).padStart(String(trials).length)}/${trials}`;
  const tried = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  const came = error
    ? [`failed: ${error}`]
    : [`accuracy ${accuracyText(result)}`, duration(result.trainSeconds ?? Number.NaN)];
  return [head, ...tried, ...came].join('  ');
}

/** Trials by validation accuracy, what they tried in columns. */
export function sweepTable(results: readonly TrialResult[]): string {
  const names = Object.keys(results[0].options);
  return table(
    ['trial', ...names, 'accuracy', 'loss', 'time'].map((title) => ({ title })),
    ranked(results).map(({ trial, options, ...result }) => [
      String(trial),
      ...names.map((name) => options[name]),
      result.error ? 'failed' : accuracyText(result),
      result.validationLoss === null ? '' : loss(result.validationLoss),
      result.trainSeconds === null ? '' : duration(result.trainSeconds),
    ]),
  );
}

/** "97.94 %", with folds "97.94 % ± 0.12 %". */
function accuracyText({
  validationAccuracy,
  deviation,
}: Pick<TrialResult, 'validationAccuracy' | 'deviation'>): string {
  const accuracy = percent(validationAccuracy ?? Number.NaN);
  return deviation === null ? accuracy : `${accuracy} ± ${percent(deviation)}`;
}

/** The progress bar of a sweep: it spans all trainings of this run. */
export class SweepProgress {
  readonly #progress: Progress;
  readonly #trials: number;
  readonly #trainings: number;
  readonly #start = performance.now();
  #finished: readonly TrialResult[] = [];
  #done = 0;

  constructor(output: Output, { trials, trainings }: { trials: number; trainings: number }) {
    this.#trials = trials;
    this.#trainings = trainings;
    this.#progress = output.progress({
      text: '{finished} trials  best {best}  {left} left',
      textWidth: 36 + 2 * String(trials).length,
      total: trainings,
    });
  }

  /** `done` trainings; those that run count in part. */
  update(done: number, finished: readonly TrialResult[] = this.#finished): void {
    this.#done = done;
    this.#finished = finished;
    const seconds = (performance.now() - this.#start) / 1000;
    this.#progress.update(done, {
      finished: `${finished.length}/${this.#trials}`,
      best: finished.length > 0 ? percent(ranked(finished)[0].validationAccuracy ?? Number.NaN) : '-',
      left: clock(done > 0 ? (seconds / done) * (this.#trainings - done) : Number.NaN),
    });
  }

  finished(results: readonly TrialResult[]): void {
    this.update(this.#done, results);
  }

  stop(): void {
    this.#progress.stop();
  }
}
