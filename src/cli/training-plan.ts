import {
  type Activation,
  type Backend,
  categoricalCrossentropy,
  type Dataset,
  type RecipeName,
  recipes,
  type Sequential,
  sequential,
} from '../index.js';
import { flagOf } from './command-words.js';
import { DEFAULTS, layersOf, type OptimizerChoice, optimizerOf } from './model.js';
import { UsageError } from './usage.js';

/** The options of `train` that say what is trained and how. */
export interface TrainingOptions {
  recipe?: RecipeName;
  hidden: number[];
  activation: Activation;
  epochs: number;
  batchSize: number;
  optimizer: OptimizerChoice['optimizer'];
  schedule: OptimizerChoice['schedule'];
  learningRate?: number;
  warmup?: number;
  validationSplit?: number;
  momentum?: number;
  weightDecay?: number;
  clipNorm?: number;
  ema?: number;
  labelSmoothing: number;
  dataset?: string;
  threads?: number;
  seed: number;
  /** Trains on all parts of the training set but this one. */
  fold?: { fold: number; folds: number };
}

/** Whether images are kept aside to measure every epoch on. */
export const validates = ({ validationSplit = 0, fold }: Pick<TrainingOptions, 'validationSplit' | 'fold'>): boolean =>
  validationSplit > 0 || fold !== undefined;

/** What `train` will do: by a recipe, or by its options. */
export interface TrainingPlan {
  recipe?: RecipeName;
  dataset: string;
  epochs: number;
  batchSize: number;
  optimizer: string;
  /** The greatest of the schedule. */
  learningRate: number;
  schedule: string;
  build(data: Dataset, backend: Backend): Sequential;
}

/** What a recipe decides; with one, these options say nothing any more. */
const OF_RECIPES = [
  'hidden',
  'activation',
  'optimizer',
  'learningRate',
  'schedule',
  'warmup',
  'momentum',
  'weightDecay',
  'clipNorm',
  'ema',
  'labelSmoothing',
];

/** `given` are the options on the command line. Throws UsageError for options that contradict each other. */
export function planTraining(options: TrainingOptions, given: ReadonlySet<string>): TrainingPlan {
  if (options.fold && given.has('validationSplit')) {
    throw new UsageError('Expected --fold or --validation-split, received both. Leave one of them out.');
  }
  if (options.recipe !== undefined) return planOfRecipe(options.recipe, options, given);
  const withMomentum = Object.keys(DEFAULTS.momentum);
  if (options.momentum !== undefined && !withMomentum.includes(options.optimizer)) {
    throw new UsageError(
      `Expected --optimizer ${withMomentum.join(' or ')} with --momentum, received ${options.optimizer}. ` +
        'Leave --momentum out.',
    );
  }
  if (options.warmup !== undefined && options.schedule !== 'cosine') {
    throw new UsageError(`Expected --schedule cosine with --warmup, received ${options.schedule}. Leave --warmup out.`);
  }
  const learningRate = options.learningRate ?? DEFAULTS.learningRate[options.optimizer];
  return {
    dataset: options.dataset ?? DEFAULTS.dataset,
    epochs: options.epochs,
    batchSize: options.batchSize,
    optimizer: options.optimizer,
    learningRate,
    schedule: options.schedule,
    build: ({ shape, classNames }, backend) => {
      const { hidden, activation, seed, threads } = options;
      const layers = layersOf(hidden, activation, classesOf(classNames));
      const model = sequential(layers, { inputShape: shape, seed, backend, threads });
      model.compile({
        optimizer: optimizerOf({ ...options, learningRate }),
        loss: categoricalCrossentropy({ labelSmoothing: options.labelSmoothing }),
      });
      return model;
    },
  };
}

function planOfRecipe(name: RecipeName, options: TrainingOptions, given: ReadonlySet<string>): TrainingPlan {
  const contradiction = OF_RECIPES.find((option) => given.has(option));
  if (contradiction) {
    throw new UsageError(
      `Expected no ${flagOf(contradiction)} with --recipe ${name}, whose network and optimizer are its own. Leave one of them out.`,
    );
  }
  const recipe = recipes[name];
  const { seed, threads } = options;
  return {
    recipe: name,
    dataset: options.dataset ?? recipe.dataset,
    epochs: given.has('epochs') ? options.epochs : recipe.fit.epochs,
    batchSize: given.has('batchSize') ? options.batchSize : recipe.fit.batchSize,
    optimizer: recipe.optimizer.name,
    learningRate: recipe.learningRate,
    schedule: 'one-cycle',
    build: ({ shape, classNames }, backend) =>
      recipe.build({ inputShape: shape, classes: classesOf(classNames), seed, backend, threads }),
  };
}

const classesOf = (classNames: readonly string[] | undefined) => classNames?.length ?? 10;
