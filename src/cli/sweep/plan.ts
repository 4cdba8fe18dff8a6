import { validates } from '../training-plan.js';
import { UsageError } from '../usage.js';
import { TrainOptions } from './train-options.js';
import { countTrials, makeTrials, type Trial } from './trials.js';
import { type Choices, type RandomVariable, readGrid, readRandom } from './variables.js';

/** What the command line says. */
export interface SweepRequest {
  grid: readonly string[];
  random: readonly string[];
  draws?: number;
  folds?: number;
  seed: number;
  /** Words for `train` that hold for every trial. */
  fixed: readonly string[];
}

/** What is swept: kept in the folder, so that no other sweep is taken up there. */
export interface SweepDescription {
  grid: Choices[];
  random: RandomVariable[];
  draws: number;
  seed: number;
  folds: number | null;
  /** Words for `train` that hold for every trial. */
  fixed: string[];
  trials: Trial[];
}

export interface SweepPlan {
  description: SweepDescription;
  trials: PlannedTrial[];
  /** 1 to k, or one training without a fold. */
  folds: readonly (number | null)[];
  /** Trials that would have repeated another one. */
  repeated: number;
  /** Where the trials' data are. */
  data: { dataset: string; dataDir?: string }[];
}

export interface PlannedTrial extends Trial {
  /** For `train`, without fold, threads and file. */
  words: string[];
  backend?: string;
  threads?: number;
}

const DEFAULT_DRAWS = 10;
const MOST_TRIALS = 10_000;
const VALIDATION_SPLIT = ['--validation-split', '0.1'];
/** Options that the sweep itself gives to every training. */
const OWN = ['out', 'fold'];
/** Options that mean nothing where no images are kept aside. */
const OF_VALIDATION = ['--validation-split', '--early-stopping'];
/** Options under which all trainings would write to the same place. */
const SHARED = ['csv', 'report', 'tensorboard', 'checkpoint', 'checkpoint-every', 'resume'];

/** Checks everything that can be checked before the first training. Throws UsageError or, for options, CommanderError. */
export function planSweep(request: SweepRequest): SweepPlan {
  const { folds, seed } = request;
  const train = new TrainOptions();
  const grid = readGrid(request.grid);
  const random = readRandom(request.random);
  const draws = checkRequest(request, grid, random);
  const fixed = checkFixed(train, request, [...grid, ...random]);
  const trials = makeTrials(grid, random, { draws, seed });
  const data = new Map<string, { dataset: string; dataDir?: string }>();
  const planned = trials.map((trial) => {
    const words = [...fixed, ...train.wordsOf(trial.options)];
    const { plan, options } = checkTrial(train, trial, words);
    if (folds === undefined && !validates(options)) {
      throw new UsageError('Expected a --validation-split above 0: trials are compared by their validation accuracy.');
    }
    const { dataset } = plan;
    const { dataDir, backend, threads } = options;
    data.set(JSON.stringify([dataset, dataDir]), { dataset, ...(dataDir !== undefined && { dataDir }) });
    return { ...trial, words, backend, threads };
  });
  return {
    description: { grid, random, draws, seed, folds: folds ?? null, fixed, trials },
    trials: planned,
    folds: folds === undefined ? [null] : Array.from({ length: folds }, (_, index) => index + 1),
    repeated: countTrials(grid, random, draws) - trials.length,
    data: [...data.values()],
  };
}

/** How many draws there are: 0 without random variables. */
function checkRequest({ draws }: SweepRequest, grid: readonly Choices[], random: readonly RandomVariable[]): number {
  if (grid.length + random.length === 0) {
    throw new UsageError('Expected what to try in --grid or --random, such as --grid hidden=64 128,64.');
  }
  const both = grid.find(({ name }) => random.some((variable) => variable.name === name));
  if (both) throw new UsageError(`Expected ${both.name} in --grid or in --random, received both.`);
  if (draws !== undefined && random.length === 0) {
    throw new UsageError('Expected --random with --trials: a grid has as many trials as combinations.');
  }
  const total = countTrials(grid, random, draws ?? DEFAULT_DRAWS);
  if (total > MOST_TRIALS) throw new UsageError(`Expected at most ${MOST_TRIALS} trials, received ${total}.`);
  return random.length === 0 ? 0 : (draws ?? DEFAULT_DRAWS);
}

/** The words that hold for every trial; without folds, with the part that is kept for validation. */
function checkFixed(
  train: TrainOptions,
  { fixed, folds }: SweepRequest,
  variables: readonly { name: string }[],
): string[] {
  const given = train.namesIn(fixed);
  const varied = new Set(variables.map(({ name }) => name));
  for (const name of OWN) {
    if (!given.has(name) && !varied.has(name)) continue;
    throw new UsageError(
      `Expected other options of train than --${name}, which the sweep gives to each training itself.`,
    );
  }
  const shared = SHARED.find((name) => given.has(name) || varied.has(name));
  if (shared)
    throw new UsageError(`Expected other options of train than --${shared}: its trainings would write to one place.`);
  const twice = [...varied].find((name) => given.has(name));
  if (twice) throw new UsageError(`Expected --${twice} or ${twice}= in --grid or --random, received both.`);
  const split = given.has('validation-split') || varied.has('validation-split');
  if (folds !== undefined && split) {
    throw new UsageError('Expected --folds or --validation-split, received both. Leave one of them out.');
  }
  return folds === undefined && !split ? [...fixed, ...VALIDATION_SPLIT] : [...fixed];
}

function checkTrial(train: TrainOptions, { trial, options }: Trial, words: readonly string[]) {
  try {
    return train.plan(words);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const tried = Object.entries(options).map(([name, value]) => `${name}=${value}`);
    throw new UsageError(`Trial ${trial} (${tried.join(' ')}): ${error.message}`);
  }
}

/** The words for `train` on everything: nothing is kept for validation any more. */
export function wordsForAll({ words }: PlannedTrial): string[] {
  return words.filter((word, index) => {
    const flag = words[index - 1];
    return !OF_VALIDATION.some((name) => word === name || flag === name || word.startsWith(`${name}=`));
  });
}
