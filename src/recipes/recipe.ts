import type { Layer } from '../layers/layer.js';
import type { Loss } from '../losses/loss.js';
import type { AugmentationOptions } from '../model/augmentation.js';
import { type Sequential, type SequentialOptions, sequential } from '../model/sequential.js';
import type { FitOptions } from '../model/training/plan.js';
import type { Optimizer } from '../optimizers/optimizer.js';

/** A named set-up: a network, how it is trained, and what came of it. */
export interface Recipe {
  readonly name: string;
  /** What it is for, in a line. */
  readonly summary: string;
  /** The data set that it was measured on. */
  readonly dataset: string;
  /** What was measured, over all seeds; the last epoch, nothing chosen on the test set. */
  readonly measured: {
    /** Mean accuracy on the test set, a fraction. */
    accuracy: number;
    /** Median time inside training steps and shuffling. */
    trainSeconds: number;
    /** Seeds 1 to this. */
    seeds: number;
    machine: string;
  };
  readonly fit: Required<Pick<FitOptions, 'epochs' | 'batchSize'>>;
  readonly optimizer: Optimizer;
  /** The greatest learning rate of the schedule. */
  readonly learningRate: number;
  readonly loss: Loss;
  /** How training images are changed; none where it is left out. */
  readonly augmentation?: AugmentationOptions;
  /** The layers, the last with one output per class. */
  readonly layers: (classes: number) => Layer[];
  /** The network with weights drawn from the seed, compiled: `model.fit(train, recipe.fit)` is what is left to do. */
  readonly build: (options: RecipeBuildOptions) => Sequential;
}

export interface RecipeBuildOptions extends SequentialOptions {
  /** Outputs of the last layer; default 10. */
  classes?: number;
}

/** Adds `build` to what a recipe says. */
export function makeRecipe(parts: Omit<Recipe, 'build'>): Recipe {
  return Object.freeze<Recipe>({
    ...parts,
    build: ({ classes = 10, ...options }) => {
      const model = sequential(parts.layers(classes), options);
      model.compile({ optimizer: parts.optimizer, loss: parts.loss, augmentation: parts.augmentation });
      return model;
    },
  });
}
