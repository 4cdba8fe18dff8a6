import { Command } from 'commander';
import { availableCores, defaultThreads } from '../../backends/native/machine.js';
import { MnistTrainError } from '../../errors.js';
import type { Context, Run } from '../context.js';
import { loadForCommand } from '../dataset.js';
import { shellWord } from '../files.js';
import { MOST_FOLDS } from '../model.js';
import type { CommonOptions } from '../options.js';
import { SweepFolder } from '../sweep/folder.js';
import { type PlannedTrial, planSweep, type SweepPlan, wordsForAll } from '../sweep/plan.js';
import { ranked, type TrialResult } from '../sweep/results.js';
import { runSweep } from '../sweep/run.js';
import { trainInProcess } from '../sweep/train-process.js';
import { plural } from '../ui/format.js';
import { SweepProgress, sweepTable, trialLine } from '../ui/sweep.js';
import { UsageError } from '../usage.js';
import { integer, text } from '../values.js';

interface SweepOptions extends CommonOptions {
  grid?: string[];
  random?: string[];
  trials?: number;
  folds?: number;
  seed: number;
  parallel?: number;
  out: string;
  keepModels?: true;
}

export function sweepCommand(run: Run): Command {
  const collect = (word: string, words: string[] = []) => [...words, word];
  return new Command('sweep')
    .description(
      'Train with many combinations of options, several at a time, and compare them by their accuracy on validation ' +
        'images. The same command line goes on where it was stopped.',
    )
    .usage('[options] [options of train]')
    .argument('[options...]', 'of train, for every trial; behind -- where sweep has one of the same name')
    .option('--grid <name=values...>', 'try every combination of these values, such as hidden=64 128,64', collect)
    .option(
      '--random <name=values...>',
      'draw from values, or from a range, such as learning-rate=0.0001..0.1:log',
      collect,
    )
    .option('--trials <n>', 'with --random: how often to draw (default: 10)', integer('--trials', 1, 10_000))
    .option(
      '--folds <k>',
      'train each trial k times, on all but one of k parts (default: once, with --validation-split 0.1)',
      integer('--folds', 2, MOST_FOLDS),
    )
    .option('--seed <n>', 'of the draws', integer('--seed', 0, Number.MAX_SAFE_INTEGER), 0)
    .option(
      '--parallel <n>',
      'trainings at a time, each a process; they share the processors (default: one per processor)',
      integer('--parallel', 1, 256),
    )
    .option('--out <folder>', 'where the results go', text('--out', 'the name of a folder'), 'mnist-sweep')
    .option('--keep-models', 'keep the models of all trials in that folder')
    .addHelpText('after', EXAMPLE)
    .allowUnknownOption()
    .action(run.action(sweep));
}

async function sweep(context: Context, options: SweepOptions, operands: string[]): Promise<void> {
  const { output, signal } = context;
  const { grid = [], random = [], trials: draws, folds, seed } = options;
  const fixed = operands.filter((word, index) => word !== '--' || operands.indexOf('--') !== index);
  const plan = planSweep({ grid, random, draws, folds, seed, fixed });
  if (plan.repeated > 0) output.note(`${plural(plan.repeated, 'trial')} left out that would repeat another one.`);
  const folder = await SweepFolder.open(options.out, plan.description);
  try {
    if (folder.torn) output.note(`The last line in ${options.out} was not whole. Its trial runs again.`);
    await checkData(context, plan);
    signal.throwIfAborted();
    const results = await runTrials(context, options, plan, folder);
    report(context, options, plan, results);
  } finally {
    folder.close();
  }
}

/** Makes sure that the data are there: several processes that download them at a time would only be in each other's way. */
async function checkData(context: Context, { data, folds }: SweepPlan): Promise<void> {
  for (const part of data) {
    const { train } = await loadForCommand(context, part);
    if (folds.length <= train.count) continue;
    throw new UsageError(
      `Expected at most ${train.count} for --folds, a part for each image, received ${folds.length}.`,
    );
  }
}

/** Runs the trials that have no result yet, and returns the results of all. */
async function runTrials(
  { output, signal }: Context,
  options: SweepOptions,
  plan: SweepPlan,
  folder: SweepFolder,
): Promise<readonly TrialResult[]> {
  const results = [...folder.results];
  const done = new Set(results.map(({ trial }) => trial));
  const pending = plan.trials.filter(({ trial }) => !done.has(trial));
  const trainings = pending.length * plan.folds.length;
  const parallel = Math.max(1, Math.min(options.parallel ?? availableCores(), trainings));
  const threads = Math.max(1, Math.min(Math.floor(availableCores() / parallel), defaultThreads()));
  announce(output, { options, plan, done: done.size, trainings, parallel, threads });
  if (trainings === 0) return results;
  const progress = new SweepProgress(output, { trials: plan.trials.length, trainings });
  progress.finished(results);
  try {
    await runSweep({
      trials: pending,
      folds: plan.folds,
      parallel,
      signal,
      train: async ({ trial, fold }, stop, onShare) => {
        const words = wordsOfTraining(trial, fold, plan, { threads, out: folder.modelFile(trial.trial, fold) });
        const outcome = await trainInProcess(words, { signal: stop, onShare });
        const trained = outcome !== null && !('error' in outcome);
        folder.settleModel(trial.trial, fold, trained && options.keepModels === true);
        return outcome;
      },
      onResult: (result) => {
        folder.add(result);
        results.push(result);
        output.event({ event: 'trial', trials: plan.trials.length, ...result });
        output.say(trialLine(result, plan.trials.length));
        progress.finished(results);
      },
      onProgress: (share) => progress.update(share),
    });
  } finally {
    progress.stop();
  }
  return results;
}

interface Announcement {
  options: SweepOptions;
  plan: SweepPlan;
  done: number;
  trainings: number;
  parallel: number;
  threads: number;
}

function announce(
  output: Context['output'],
  { options, plan, done, trainings, parallel, threads }: Announcement,
): void {
  const { trials, folds } = plan;
  const each = folds.length > 1 ? ` of ${folds.length} folds` : '';
  output.say(`${plural(trials.length, 'trial')}${each}; results go to ${options.out}`);
  if (done > 0) output.say(`${plural(done, 'trial')} done before`);
  if (trainings > 0) {
    const sharing =
      parallel > 1 ? `, ${parallel} at a time, ${threads > 1 ? 'up to ' : ''}${plural(threads, 'thread')} each` : '';
    output.say(`${plural(trainings, 'training')}${sharing}`);
  }
}

/**
 * The words for `train`. Where a training may use as many threads as it would by itself, it is left to choose: small
 * networks take fewer.
 */
function wordsOfTraining(
  { words, backend, threads: said }: PlannedTrial,
  fold: number | null,
  { folds }: SweepPlan,
  { threads, out }: { threads: number; out: string },
): string[] {
  return [
    ...words,
    ...(fold === null ? [] : ['--fold', `${fold}/${folds.length}`]),
    ...(backend === 'js' || said !== undefined || threads === defaultThreads() ? [] : ['--threads', String(threads)]),
    '--out',
    out,
  ];
}

/** The table and the best trial. Throws when there is none, although every trial ran. */
function report(
  { output, signal }: Context,
  { out }: SweepOptions,
  plan: SweepPlan,
  results: readonly TrialResult[],
): void {
  const order = ranked(results);
  const failed = order.filter(({ error }) => error !== undefined);
  const best = order.find(({ error }) => error === undefined);
  const words = best && wordsForAll(plan.trials[best.trial - 1]);
  const command = words ? ['mnist-train', 'train', ...words].map(shellWord).join(' ') : null;
  output.event({
    event: 'sweep',
    out,
    trials: plan.trials.length,
    finished: results.length,
    failed: failed.length,
    best: best?.trial ?? null,
    command,
    results: order,
  });
  if (results.length > 0) output.say(`\n${sweepTable(results)}`);
  if (best) {
    output.say(
      `\nBest on validation images: trial ${output.style.strong(String(best.trial))}. On the whole training set:`,
    );
    output.say(output.style.faint(`npx ${command}`));
  }
  if (results.length < plan.trials.length && signal.aborted) {
    output.say(
      `\nStopped after ${results.length} of ${plan.trials.length} trials. The same command goes on from there.`,
    );
  } else if (!best) {
    const message = `All ${plural(results.length, 'trial')} failed. Trial ${failed[0].trial}: ${failed[0].error}`;
    throw new MnistTrainError('ERR_STATE', message);
  }
}

const EXAMPLE = `
Every option of train can stand here too, and holds for every trial:
  mnist-train sweep --grid hidden=64 128,64 --grid optimizer=adam sgd --epochs 3
  mnist-train sweep --random learning-rate=0.0001..0.1:log batch-size=32 64 128 --trials 20 --folds 5`;
