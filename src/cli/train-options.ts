import { type Command, Option } from 'commander';
import { ACTIVATIONS, recipes } from '../index.js';
import { RECIPE_NAMES } from '../recipes/recipes.js';
import type { CallbackOptions } from './callbacks.js';
import { DEFAULTS, MOST_FOLDS, OPTIMIZERS } from './model.js';
import {
  addDataOptions,
  addEngineOptions,
  addReportOption,
  type CommonOptions,
  type DataOptions,
  type EngineOptions,
} from './options.js';
import type { ResumeOptions } from './resume.js';
import { SCHEDULES, SCHEDULES_EXPLAINED } from './schedules.js';
import type { TrainingOptions } from './training-plan.js';
import { choice, integer, number, part, text, widths } from './values.js';

export interface TrainOptions
  extends CommonOptions,
    DataOptions,
    EngineOptions,
    TrainingOptions,
    CallbackOptions,
    ResumeOptions {
  out: string;
  live?: boolean;
  report?: string;
}

/** The options of `train`. */
export function addTrainOptions(command: Command): Command {
  command
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
      '--checkpoint <folder>',
      'write where training stands into a folder every now and then, for --resume',
      text('--checkpoint', 'the name of a folder'),
    )
    .option(
      '--checkpoint-every <seconds>',
      'the time from one checkpoint to the next',
      number('--checkpoint-every', 'of at least 0', (value) => value >= 0),
      DEFAULTS.checkpointEvery,
    )
    .option(
      '--resume <folder>',
      'go on from the newest checkpoint in a folder, with the options of then',
      text('--resume', 'the name of a folder'),
    )
    .option(
      '--seed <n>',
      'of the initial weights and of the order of images: the same seed gives the same model',
      integer('--seed', 0, Number.MAX_SAFE_INTEGER),
      DEFAULTS.seed,
    )
    .addOption(
      new Option(
        '--live',
        'curves and confusions on a terminal from the first moment (default: once training takes seconds)',
      ),
    )
    .option('--no-live', 'only the progress bar on a terminal')
    .option('--out <file>', 'where the model goes', text('--out', 'the name of a file'), 'mnist-model.safetensors');
  addReportOption(command);
  addDataOptions(command, DEFAULTS.dataset);
  addEngineOptions(command);
  return command;
}
