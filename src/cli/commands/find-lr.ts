import { Command, Option } from 'commander';
import { findLearningRate, type LearningRateSearch, type Sequential } from '../../index.js';
import type { Context, Run } from '../context.js';
import { loadForCommand } from '../dataset.js';
import { chooseBackend, engineOf, engineText } from '../engine.js';
import { shellWord } from '../files.js';
import { DEFAULTS } from '../model.js';
import type { CommonOptions, DataOptions, EngineOptions } from '../options.js';
import type { Output } from '../output.js';
import { planTraining, type TrainingOptions, type TrainingPlan } from '../training-plan.js';
import { loss, plural, rate } from '../ui/format.js';
import { networkText } from '../ui/network.js';
import { learningRatePlot } from '../ui/plot.js';
import { UsageError } from '../usage.js';
import { integer, number } from '../values.js';
import { trainCommand } from './train.js';

interface FindOptions extends CommonOptions, DataOptions, EngineOptions, Omit<TrainingOptions, 'epochs' | 'schedule'> {
  min: number;
  max: number;
  steps: number;
}

/** The options of `train` that say what is trained: those that a good learning rate depends on. */
const OF_TRAIN = [
  '--recipe',
  '--hidden',
  '--activation',
  '--batch-size',
  '--optimizer',
  '--momentum',
  '--weight-decay',
  '--clip-norm',
  '--ema',
  '--label-smoothing',
  '--seed',
  '--dataset',
  '--data-dir',
  '--backend',
  '--threads',
];

const readRate = (flag: string) => number(flag, 'from 1e-30 to 1e30', (value) => value >= 1e-30 && value <= 1e30);

export function findLrCommand(run: Run): Command {
  const command = new Command('find-lr')
    .description(
      'Find a learning rate: train a few steps with a rate that rises, plot the loss against it, and name the rate ' +
        'up to which the loss falls steeply. Nothing is written.',
    )
    .addOption(new Option('--min <x>', 'the rate of the first step').default(1e-6, '1e-6').argParser(readRate('--min')))
    .option('--max <x>', 'the rate of the last step', readRate('--max'), 10)
    .option('--steps <n>', 'steps of training, at most', integer('--steps', 10, 100_000), 100);
  const shared = trainCommand(run).options.filter(({ long }) => OF_TRAIN.includes(long ?? ''));
  for (const option of shared) command.addOption(option);
  return command.action(
    run.action((context, options: FindOptions) => {
      const given = shared.filter((option) => option.long !== '--recipe' && context.given.has(option.attributeName()));
      const values = options as unknown as Record<string, unknown>;
      const flags = given.map((option) => `${option.long} ${shellWord(String(values[option.attributeName()]))}`);
      return find(context, options, flags);
    }),
  );
}

/** `flags` are those under which `train` trains the same. */
async function find(context: Context, options: FindOptions, flags: readonly string[]): Promise<void> {
  const { output, signal } = context;
  const { min, max, steps } = options;
  if (min >= max) throw new UsageError(`Expected a number above --min ${min} for --max, received ${max}.`);
  const { epochs, schedule } = DEFAULTS;
  const plan = planTraining({ ...options, epochs, schedule }, context.given);
  const backend = await chooseBackend(options, output);
  const { train } = await loadForCommand(context, { ...options, dataset: plan.dataset });
  signal.throwIfAborted();
  const model = plan.build(train, backend);
  try {
    const network = networkText(model.inputShape, model.layers);
    const engine = engineOf(backend, options.threads);
    const rates = `Learning rates from ${rate(min)} to ${rate(max)}, ${plural(steps, 'step')} of ${plural(plan.batchSize, 'image')}`;
    output.say(`${rates}: ${network} on ${plan.dataset}, ${plan.optimizer}; ${engineText(engine)}`);
    const search = await searchShown(output, model, train, {
      minLearningRate: min,
      maxLearningRate: max,
      steps,
      batchSize: plan.batchSize,
      signal,
    });
    output.event({
      event: 'learningRates',
      dataset: plan.dataset,
      network,
      ...(plan.recipe && { recipe: plan.recipe }),
      optimizer: plan.optimizer,
      batchSize: plan.batchSize,
      seed: options.seed,
      rates: search.learningRates,
      losses: search.losses,
      smoothedLosses: search.smoothedLosses,
      suggestion: rounded(search.suggestion),
      steepest: rounded(search.steepest),
      minimum: rounded(search.minimum),
      stopped: search.stopped,
      ...engine,
    });
    report(output, search, plan, flags);
  } finally {
    model.dispose();
  }
}

/** Searches, with a bar on a terminal. */
async function searchShown(
  output: Output,
  model: Sequential,
  train: Parameters<typeof findLearningRate>[1],
  options: Parameters<typeof findLearningRate>[2],
): Promise<LearningRateSearch> {
  const bar = output.progress({ text: 'rate {rate}  loss {loss}', textWidth: 30, total: options!.steps! });
  try {
    return await findLearningRate(model, train, {
      ...options,
      onProgress: ({ step, learningRate, loss: value }) =>
        bar.update(step, { rate: learningRate.toExponential(1), loss: loss(value) }),
    });
  } finally {
    bar.stop();
  }
}

/** The plot, the rate and what to do with it. */
function report(output: Output, search: LearningRateSearch, plan: TrainingPlan, flags: readonly string[]): void {
  const { style } = output;
  const { suggestion, steepest, minimum, learningRates, stopped } = search;
  if (learningRates.length === 0) {
    output.say('The loss was not finite from the first step on. Scale the inputs, or try a smaller --min.');
    return;
  }
  output.say(
    `\nloss, smoothed\n${learningRatePlot(search, suggestion, { columns: output.columns, color: output.colors !== 'none' })}\n`,
  );
  if (stopped === 'diverged') output.say(`Beyond ${rate(learningRates.at(-1)!)} the loss grows without bounds.`);
  if (suggestion === null) {
    output.say('No rate made the loss fall. Try others with --min and --max, or more --steps.');
    return;
  }
  const value = rate(suggestion);
  output.say(`The loss falls most steeply at ${rate(steepest!)}, and is least at ${rate(minimum!)}.`);
  output.say(`Suggested as the greatest of a schedule: ${style.strong(value)} (●)`);
  if (plan.recipe) output.say(style.faint(`The recipe ${plan.recipe} trains with up to ${plan.learningRate}.`));
  else output.say(style.faint(`Next: npx mnist-train ${['train', ...flags, `--learning-rate ${value}`].join(' ')}`));
}

/** To two digits: a search is no more exact than that. */
function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(2));
}
