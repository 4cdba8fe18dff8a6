import { linkedController } from '../../model/abort.js';
import type { TrainingRun } from '../events.js';
import type { PlannedTrial } from './plan.js';
import { failedTrial, type TrialResult, trialResult } from './results.js';

export interface Job {
  trial: PlannedTrial;
  fold: number | null;
}

/** What a training came to; null when the signal ended it. */
export type Outcome = Omit<TrainingRun, 'fold'> | { error: string } | null;

export interface SweepWork {
  /** Those that are to run. */
  trials: readonly PlannedTrial[];
  folds: readonly (number | null)[];
  /** How many trainings run at a time. */
  parallel: number;
  signal: AbortSignal;
  /** Runs one training. `onShare` gets the part of it that is done, in [0, 1]. What it throws ends the sweep. */
  train(job: Job, signal: AbortSignal, onShare: (share: number) => void): Promise<Outcome>;
  /** Called as soon as a trial has its result. */
  onResult(result: TrialResult): void;
  /** How many trainings are done; those that run count in part. */
  onProgress?(done: number): void;
}

/**
 * Runs every training of every trial, some at a time, in the order of the trials. A failed training is a failed trial,
 * whose other trainings are left out. After the signal no training begins, and the promise resolves when those in flight
 * have ended.
 */
export async function runSweep(work: SweepWork): Promise<void> {
  const { controller, unlink } = linkedController(work.signal);
  const jobs = work.trials.flatMap((trial) => work.folds.map((fold): Job => ({ trial, fold })));
  const progress = new SharedProgress(work.onProgress);
  const open = new OpenTrials(work);
  let next = 0;
  const worker = async () => {
    while (next < jobs.length && !controller.signal.aborted) {
      const job = jobs[next++];
      if (!open.failed(job.trial)) {
        const outcome = await work.train(job, controller.signal, (share) => progress.report(job, share));
        if (outcome === null) return;
        open.add(job, outcome);
      }
      progress.report(job, 1);
    }
  };
  const guarded = () =>
    worker().catch((error) => {
      controller.abort(); // the others end before the error is thrown
      throw error;
    });
  try {
    const ended = await Promise.allSettled(Array.from({ length: work.parallel }, guarded));
    const failure = ended.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  } finally {
    unlink();
  }
}

/** Trials some of whose trainings are done. */
class OpenTrials {
  readonly #work: SweepWork;
  readonly #runs = new Map<PlannedTrial, TrainingRun[]>();
  readonly #failed = new Set<PlannedTrial>();

  constructor(work: SweepWork) {
    this.#work = work;
  }

  failed(trial: PlannedTrial): boolean {
    return this.#failed.has(trial);
  }

  add({ trial, fold }: Job, outcome: NonNullable<Outcome>): void {
    if (this.#failed.has(trial)) return;
    const { folds, onResult } = this.#work;
    if ('error' in outcome) {
      this.#failed.add(trial);
      const where = fold === null ? '' : `Fold ${fold} of ${folds.length}: `;
      onResult(failedTrial(trial, where + outcome.error));
      return;
    }
    const runs = this.#runs.get(trial) ?? [];
    this.#runs.set(trial, runs);
    runs.push({ fold, ...outcome });
    if (runs.length === folds.length) onResult(trialResult(trial, runs));
  }
}

class SharedProgress {
  readonly #onProgress: ((done: number) => void) | undefined;
  readonly #shares = new Map<Job, number>();
  #whole = 0;

  constructor(onProgress: ((done: number) => void) | undefined) {
    this.#onProgress = onProgress;
  }

  report(job: Job, share: number): void {
    if (share < 1) {
      this.#shares.set(job, share);
    } else {
      this.#shares.delete(job);
      this.#whole++;
    }
    this.#onProgress?.([...this.#shares.values()].reduce((sum, part) => sum + part, this.#whole));
  }
}
