import { Command, Option } from 'commander';
import {
  ACTIVATIONS,
  type Backend,
  type Callback,
  type Dataset,
  type EpochResult,
  recipes,
  type Sequential,
} from '../../index.js';
import { RECIPE_NAMES } from '../../recipes/recipes.js';
import { type CallbackOptions, callbacksOf } from '../callbacks.js';
import type { Context, Run } from '../context.js';
import { foldForTraining, loadForCommand } from '../dataset.js';
import { chooseBackend, engineOf, engineText } from '../engine.js';
import { checkOutputFile, shellWord } from '../files.js';
import { DEFAULTS, MOST_FOLDS, OPTIMIZERS } from '../model.js';
import {
  addDataOptions,
  addEngineOptions,
  type CommonOptions,
  type DataOptions,
  type EngineOptions,
} from '../options.js';
import { SCHEDULES, SCHEDULES_EXPLAINED, scheduleText } from '../schedules.js';
import { planTraining, type TrainingOptions, type TrainingPlan, validates } from '../training-plan.js';
import { count, duration, loss, percent, plural } from '../ui/format.js';
import { networkText } from '../ui/network.js';
import { TrainingProgress } from '../ui/training.js';
import { choice, integer, number, part, text, widths } from '../values.js';

interface TrainOptions extends CommonOptions, DataOptions, EngineOptions, TrainingOptions, CallbackOptions {
  out: string;
}

interface Setup {
  plan: TrainingPlan;
  model: Sequential;
  backend: Backend;
  train: Dataset;
  test: Dataset;
  callbacks: readonly Callback[];
}

export function trainCommand(run: Run): Command {
  const command = new Command('train')
    .description('Train a network and write it to a file. The data set is downloaded when it is not there.')
    .addOption(
      new Option(
        '--recipe <name>',
        `network, optimizer and length by name: ${RECIPE_NAMES.map((name) => `${name} (${recipes[name].summary})`).join(', ')}`,
      ).argParser(choice('--recipe', RECIPE_NAMES)),
    )
    .addOption(
      new Option('--hidden <widths>', 'widths of the hidden layers, with commas between them')
        .default(DEFAULTS.hidden, DEFAULTS.hidden.join(','))
        .argParser(widths('--hidden', 65536)),
    )
    .addOption(
      new Option('--activation <name>', `of the hidden layers: ${ACTIVATIONS.join(', ')}`)
        .default(DEFAULTS.activation)
        .argParser(choice('--activation', ACTIVATIONS)),
    )
    .option('--epochs <n>', 'passes over the training set', integer('--epochs', 1, 100_000), DEFAULTS.epochs)
    .option('--batch-size <n>', 'images per step', integer('--batch-size', 1, 65536), DEFAULTS.batchSize)
    .addOption(
      new Option('--optimizer <name>', OPTIMIZERS.join(', '))
        .default(DEFAULTS.optimizer)
        .argParser(choice('--optimizer', OPTIMIZERS)),
    )
    .option(
      '--learning-rate <x>',
      `the greatest learning rate (default: ${OPTIMIZERS.map((name) => `${DEFAULTS.learningRate[name]} with ${name}`).join(', ')})`,
      number('--learning-rate', 'above 0', (value) => value > 0),
    )
    .addOption(
      new Option('--schedule <name>', SCHEDULES_EXPLAINED)
        .default(DEFAULTS.schedule)
        .argParser(choice('--schedule', SCHEDULES)),
    )
    .option(
      '--warmup <n>',
      'steps over which the learning rate of --schedule cosine first rises from zero (default: 0)',
      integer('--warmup', 0, 1_000_000_000),
    )
    .option(
      '--momentum <x>',
      `of the optimizers that have it (default: ${Object.entries(DEFAULTS.momentum)
        .map(([name, value]) => `${value} with ${name}`)
        .join(', ')})`,
      number('--momentum', 'from 0 up to, but not including, 1', (value) => value >= 0 && value < 1),
    )
    .option(
      '--weight-decay <x>',
      'how much weights are pulled to zero in every step: decoupled with adamw and lion, else an L2 penalty (default: 0.01 with adamw, 0 with the others)',
      number('--weight-decay', 'of at least 0', (value) => value >= 0),
    )
    .option(
      '--clip-norm <x>',
      'scale gradients down to this norm, over all of them, where theirs is greater (default: no clipping)',
      number('--clip-norm', 'above 0', (value) => value > 0),
    )
    .option(
      '--ema <momentum>',
      'keep moving averages of the weights, such as 0.99 of the one before in each step, and evaluate and save those (default: none)',
      number('--ema', 'from 0 up to, but not including, 1', (value) => value >= 0 && value < 1),
    )
    .option(
      '--label-smoothing <x>',
      'share of the target that is spread over all classes',
      number('--label-smoothing', 'from 0 up to, but not including, 1', (value) => value >= 0 && value < 1),
      DEFAULTS.labelSmoothing,
    )
    .option(
      '--validation-split <x>',
      'share of the training set kept aside to measure every epoch on',
      number('--validation-split', 'from 0 up to, but not including, 1', (value) => value >= 0 && value < 1),
      DEFAULTS.validationSplit,
    )
    .option(
      '--fold <i/k>',
      'keep the i-th of k parts of the training set aside to measure every epoch on, in place of --validation-split',
      part('--fold', MOST_FOLDS),
    )
    .option(
      '--early-stopping <n>',
      'stop when the validation loss was no better for so many epochs, and keep the weights of the best one',
      integer('--early-stopping', 1, 100_000),
    )
    .option('--csv <file>', 'write the numbers of each epoch into a table', text('--csv', 'the name of a file'))
    .option(
      '--tensorboard <folder>',
      'write event files for TensorBoard into a folder',
      text('--tensorboard', 'the name of a folder'),
    )
    .option(
      '--seed <n>',
      'of the initial weights and of the order of images: the same seed gives the same model',
      integer('--seed', 0, Number.MAX_SAFE_INTEGER),
      DEFAULTS.seed,
    )
    .option('--out <file>', 'where the model goes', text('--out', 'the name of a file'), 'mnist-model.safetensors');
  addDataOptions(command, DEFAULTS.dataset);
  addEngineOptions(command);
  return command.action(run.action(train));
}

async function train(context: Context, options: TrainOptions): Promise<void> {
  const { output, signal } = context;
  const plan = planTraining(options, context.given);
  checkOutputFile('--out', options.out);
  const callbacks = callbacksOf(options, validates(options));
  const backend = await chooseBackend(options, output);
  const data = await loadForCommand(context, { ...options, dataset: plan.dataset });
  signal.throwIfAborted();

  const model = plan.build(data.train, backend);
  try {
    announce(context, options, { plan, model, backend, ...data });
    const parts = foldForTraining(data.train, options);
    const history = await runEpochs(context, options, { plan, model, ...parts, callbacks });
    await model.save(options.out, { metadata: { dataset: plan.dataset } });
    const summary = {
      trainSeconds: history.trainSeconds,
      epochs: history.epochs.length,
      weightsSha256: model.weightsSha256(),
      model: options.out,
    };
    const test = history.stopped === 'aborted' ? null : await measureOnTest(context, options, model, data.test);
    if (!test) {
      output.event({ event: 'interrupted', ...summary });
      output.say(
        `Stopped after ${plural(summary.epochs, 'whole epoch')}. The model trained so far is in ${options.out}.`,
      );
      return;
    }
    output.event({
      event: 'done',
      testAccuracy: test.accuracy ?? Number.NaN,
      testLoss: test.loss,
      ...summary,
      parameters: model.countParameters(),
      ...engineOf(backend, options.threads),
      seed: options.seed,
      ...(history.stopReason !== undefined && { stopReason: history.stopReason }),
    });
    const { style } = output;
    output.say();
    if (history.stopReason !== undefined) {
      output.say(`Stopped early: ${history.stopReason}. The weights are those of the best epoch.`);
    }
    output.say(
      `Test accuracy ${style.strong(percent(test.accuracy ?? Number.NaN))}, loss ${loss(test.loss)}, on ${plural(test.count, 'image')}`,
    );
    output.say(`Trained in ${duration(history.trainSeconds)}. The model is in ${options.out}.`);
    output.say(style.faint(`Next: npx mnist-train evaluate ${shellWord(options.out)}${dataFlags(options)}`));
  } finally {
    model.dispose();
  }
}

/** Says what is about to run. */
function announce(
  { output }: Context,
  options: TrainOptions,
  { plan, model, backend, train, test }: Omit<Setup, 'callbacks'>,
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
    ...fold,
    ...engine,
  });
  output.say(`Training ${network} (${count(parameters)} parameters) on ${dataset}, ${plural(train.count, 'image')}`);
  const rate = scheduleText(schedule, learningRate);
  const by = recipe ? `recipe ${recipe}: ` : '';
  output.say(`${engineText(engine)}; ${by}${optimizer}, ${rate}, batch ${batchSize}, seed ${seed}`);
  if (fold) output.say(`Validating on part ${fold.fold} of ${fold.folds} of the training set, training on the others`);
}

/** Runs the epochs, showing the bar on a terminal and a line after each epoch everywhere. */
async function runEpochs(
  { output, signal }: Context,
  { validationSplit }: TrainOptions,
  {
    plan: { epochs, batchSize },
    model,
    train,
    validation,
    callbacks,
  }: Pick<Setup, 'plan' | 'model' | 'train' | 'callbacks'> & { validation?: Dataset },
) {
  const progress = new TrainingProgress(output);
  try {
    return await model.fit(train, {
      epochs,
      batchSize,
      validationSplit: validationSplit || undefined,
      validationData: validation,
      signal,
      callbacks,
      onWarning: (text) => output.note(text),
      onProgress: (state) => progress.update(state),
      onEpochEnd: (result) => {
        output.event({ event: 'epoch', ...result, epochs });
        output.say(epochLine(result, epochs));
      },
    });
  } finally {
    progress.stop();
  }
}

/** Loss and accuracy on the test set; null when a signal came first. */
async function measureOnTest({ signal }: Context, options: TrainOptions, model: Sequential, test: Dataset) {
  // Label smoothing is a means of training: the test measures the plain loss, as `evaluate` will.
  model.compile({ optimizer: options.optimizer, loss: 'categoricalCrossentropy' });
  try {
    return await model.evaluate(test, { signal });
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
