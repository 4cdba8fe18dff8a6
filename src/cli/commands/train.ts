import { existsSync } from 'node:fs';
import { Command } from 'commander';
import {
  type Backend,
  type Callback,
  type CheckpointOptions,
  type Dataset,
  type EpochResult,
  type Evaluation,
  type LoadedDataset,
  MnistTrainError,
  type Sequential,
  TrainingAbortedError,
} from '../../index.js';
import type { Measures } from '../../report/measures.js';
import { callbacksOf } from '../callbacks.js';
import type { Context, Run } from '../context.js';
import { foldForTraining, loadForCommand } from '../dataset.js';
import { chooseBackend, engineOf, engineText } from '../engine.js';
import { checkOutputFile, shellWord } from '../files.js';
import { answersOn, measureAnswers, measuresForReport } from '../measures.js';
import type { Output } from '../output.js';
import { checkReportFile, TrainingRecorder, tryToWrite } from '../report.js';
import { rescue, saveOrRescue } from '../rescue.js';
import { checkpointOf, type ResumedFrom, resumedOptions } from '../resume.js';
import { scheduleText } from '../schedules.js';
import { addTrainOptions, type TrainOptions } from '../train-options.js';
import { planTraining, type TrainingPlan, validates } from '../training-plan.js';
import { ConfusionWatch, imagesToWatch } from '../ui/confusion-watch.js';
import { count, duration, loss, percent, plural } from '../ui/format.js';
import { networkText } from '../ui/network.js';
import { TrainingProgress } from '../ui/training.js';

interface Setup {
  plan: TrainingPlan;
  model: Sequential;
  backend: Backend;
  train: Dataset;
  test: Dataset;
  callbacks: readonly Callback[];
}

export function trainCommand(run: Run): Command {
  const command = new Command('train').description(
    'Train a network and write it to a file. The data set is downloaded when it is not there.',
  );
  return addTrainOptions(command).action(run.action(train));
}

async function train(context: Context, received: TrainOptions): Promise<void> {
  const { output, signal } = context;
  const { style } = output;
  const { options, given, from } = await resumedOptions(context, received);
  const plan = planTraining(options, given);
  const checkpoint = await checkpointOf(options, given);
  checkOutputFile('--out', options.out);
  checkReportFile(options.report, { '--out': options.out, '--csv': options.csv });
  const recorder = new TrainingRecorder();
  const callbacks = [...callbacksOf(options, validates(options)), recorder];
  const backend = await chooseBackend(options, output);
  const data = await loadForCommand(context, { ...options, dataset: plan.dataset });
  signal.throwIfAborted();

  const model = plan.build(data.train, backend);
  try {
    announce(context, options, { plan, model, backend, ...data, from });
    const parts = foldForTraining(data.train, options);
    const schedule = model.optimizer!.learningRate;
    const history = await runEpochs(context, options, { plan, model, ...parts, callbacks, checkpoint });
    await saveOrRescue(model, options.out, { dataset: plan.dataset }, output);
    const summary = {
      trainSeconds: history.trainSeconds,
      epochs: history.epochs.length,
      weightsSha256: model.weightsSha256(),
      model: options.out,
    };
    const measured = history.stopped === 'aborted' ? null : await measureOnTest(context, options, model, data.test);
    const written = await tryToWrite(options.report, async (file) => {
      const { writeTrainingReport } = await import('../write-report.js');
      const { version } = context;
      const run = { plan, schedule, history, recorder, resumed: from, trainCount: parts.train.count };
      const measures = measured?.measures ?? null;
      await writeTrainingReport(file, { model, options, given, version, ...run, measures });
    });
    const reported = written.report !== undefined && { report: written.report };
    if (!measured) {
      output.event({
        event: 'interrupted',
        ...summary,
        ...(checkpoint && { checkpoint: checkpoint.directory }),
        ...reported,
      });
      output.say(
        `Stopped after ${plural(summary.epochs, 'whole epoch')}. The model trained so far is in ${options.out}.`,
      );
      if (reported) output.say(`The report is in ${reported.report}.`);
      if (checkpoint) output.say(style.faint(`Go on: npx mnist-train --resume ${shellWord(checkpoint.directory)}`));
      written.throwFailure();
      return;
    }
    const { test } = measured;
    output.event({
      event: 'done',
      testAccuracy: test.accuracy ?? Number.NaN,
      testLoss: test.loss,
      ...summary,
      parameters: model.countParameters(),
      ...engineOf(backend, options.threads),
      seed: options.seed,
      ...(history.stopReason !== undefined && { stopReason: history.stopReason }),
      ...reported,
    });
    output.say();
    if (history.stopReason !== undefined) {
      output.say(`Stopped early: ${history.stopReason}. The weights are those of the best epoch.`);
    }
    output.say(
      `Test accuracy ${style.strong(percent(test.accuracy ?? Number.NaN))}, loss ${loss(test.loss)}, on ${plural(test.count, 'image')}`,
    );
    output.say(`Trained in ${duration(history.trainSeconds)}. The model is in ${options.out}.`);
    if (reported) output.say(`The report is in ${reported.report}.`);
    output.say(style.faint(`Next: npx mnist-train evaluate ${shellWord(options.out)}${dataFlags(options)}`));
    written.throwFailure();
  } finally {
    model.dispose();
  }
}

/** Says what is about to run. */
function announce(
  { output }: Context,
  options: TrainOptions,
  { plan, model, backend, train, test, from }: Omit<Setup, 'callbacks'> & { from: ResumedFrom | null },
): void {
  const { layers } = model;
  const network = networkText(train.shape, layers);
  const engine = engineOf(backend, options.threads);
  const parameters = model.countParameters();
  const { recipe, dataset, epochs, batchSize, optimizer, learningRate, schedule } = plan;
  const { seed, fold } = options;
  output.event({
    event: 'start',
    dataset,
    trainCount: train.count,
    testCount: test.count,
    network,
    layers,
    parameters,
    ...{ epochs, batchSize, optimizer, learningRate, schedule, seed },
    ...(recipe && { recipe }),
    ...(from && { resumed: from }),
    ...fold,
    ...engine,
  });
  output.say(`Training ${network} (${count(parameters)} parameters) on ${dataset}, ${plural(train.count, 'image')}`);
  const rate = scheduleText(schedule, learningRate);
  const by = recipe ? `recipe ${recipe}: ` : '';
  output.say(`${engineText(engine)}; ${by}${optimizer}, ${rate}, batch ${batchSize}, seed ${seed}`);
  if (from) output.say(`Going on after ${plural(from.epochs, 'whole epoch')} and ${plural(from.step, 'step')} in all`);
  if (fold) output.say(`Validating on part ${fold.fold} of ${fold.folds} of the training set, training on the others`);
}

/** Runs the epochs, showing on a terminal how far they are, and a line after each epoch everywhere. */
async function runEpochs(
  { output, signal }: Context,
  { validationSplit, out, live }: TrainOptions,
  {
    plan,
    model,
    train,
    validation,
    callbacks,
    checkpoint,
  }: Pick<Setup, 'plan' | 'model' | 'train' | 'callbacks'> & { validation?: Dataset; checkpoint?: CheckpointOptions },
) {
  const watch = new ConfusionWatch(
    (inputs) => model.predict(inputs),
    () => imagesToWatch(train, { validation, validationSplit }),
  );
  const progress = new TrainingProgress(output, { live, watch });
  const { epochs, batchSize } = plan;
  let epochsDone = 0;
  try {
    const history = await model.fit(train, {
      epochs,
      batchSize,
      validationSplit: validationSplit || undefined,
      validationData: validation,
      signal,
      callbacks,
      checkpoint,
      onWarning: (text) => output.note(text),
      onProgress: (state) => progress.update(state),
      onEpochEnd: (result) => {
        epochsDone++;
        output.event({ event: 'epoch', ...result, epochs });
        progress.endEpoch(result);
        output.say(epochLine(result, epochs));
      },
    });
    await progress.finish();
    return history;
  } catch (error) {
    if (error instanceof TrainingAbortedError) {
      await progress.finish();
      return error.history;
    }
    await progress.stop();
    if (epochsDone > 0) await keepGoodWeights(error, model, plan, out, output);
    throw error;
  }
}

/**
 * Epochs of work are not thrown away when a training fails. One that diverged has gone back to weights whose loss was finite;
 * they may be worse than what an earlier training left, so they take no file's place. Where a log or a checkpoint cannot be
 * written, the weights are as good as ever.
 */
async function keepGoodWeights(
  error: unknown,
  model: Sequential,
  { dataset }: TrainingPlan,
  out: string,
  output: Output,
): Promise<void> {
  if (!(error instanceof MnistTrainError)) return;
  if (error.code === 'ERR_FILE') await rescue(model, out, { dataset }, output);
  if (error.code !== 'ERR_NON_FINITE' || existsSync(out)) return;
  await model.save(out, { metadata: { dataset } });
  output.note(`The model from before it diverged is in ${out}.`);
}

/** Loss and accuracy on the test set, and with --report all that it says; null when a signal came first. */
async function measureOnTest(
  { signal }: Context,
  options: TrainOptions,
  model: Sequential,
  test: LoadedDataset['test'],
): Promise<{ test: Evaluation; measures: Measures | null } | null> {
  // Label smoothing is a means of training: the test measures the plain loss, as `evaluate` will.
  model.compile({ optimizer: options.optimizer, loss: 'categoricalCrossentropy' });
  try {
    const evaluation = await model.evaluate(test, { signal });
    if (options.report === undefined) return { test: evaluation, measures: null };
    const answers = await answersOn(model, test, signal);
    return { test: evaluation, measures: measuresForReport(evaluation, answers, measureAnswers(answers), test) };
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

function epochLine(result: EpochResult, epochs: number): string {
  const parts = [
    `Epoch ${String(result.epoch).padStart(String(epochs).length)}/${epochs}`,
    `loss ${loss(result.loss)}`,
    `accuracy ${percent(result.accuracy ?? Number.NaN)}`,
  ];
  if (result.validationLoss !== undefined) parts.push(`validation loss ${loss(result.validationLoss)}`);
  if (result.validationAccuracy !== undefined) parts.push(`accuracy ${percent(result.validationAccuracy)}`);
  return [...parts, duration(result.seconds)].join('  ');
}

/** The flags under which `evaluate` finds the same data. */
function dataFlags({ dataDir }: TrainOptions): string {
  return dataDir === undefined ? '' : ` --data-dir ${shellWord(dataDir)}`;
}
