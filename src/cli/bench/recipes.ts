import type { Backend } from '../../backends/backend.js';
import { type LoadedDataset, type RecipeName, recipes } from '../../index.js';
import { median } from './measure.js';

/** Over the seeds, after the last epoch of each. */
export interface RecipeMeasurement {
  name: RecipeName;
  /** Seeds 1 to this. */
  seeds: number;
  epochs: number;
  parameters: number;
  /** On the test set. */
  meanAccuracy: number;
  minAccuracy: number;
  maxAccuracy: number;
  /** Of `trainSeconds`, as in `done`. */
  medianSeconds: number;
  minSeconds: number;
  maxSeconds: number;
}

export interface MeasureRecipeOptions {
  backend: Backend;
  seeds: number;
  signal: AbortSignal;
  /** Called after each seed. */
  onSeed: (seed: number, accuracy: number, trainSeconds: number) => void;
}

/**
 * Trains a recipe from scratch with every seed and measures each model on the test set after its last epoch. Nothing is
 * left out or chosen. Before the first, one epoch more is trained, so that the JIT compiler is warm for all.
 */
export async function measureRecipe(
  name: RecipeName,
  { train, test }: LoadedDataset,
  { backend, seeds, signal, onSeed }: MeasureRecipeOptions,
): Promise<RecipeMeasurement> {
  const { build, fit } = recipes[name];
  const accuracies: number[] = [];
  const times: number[] = [];
  let parameters = 0;
  for (let seed = 0; seed <= seeds; seed++) {
    const model = build({ inputShape: train.shape, classes: train.classNames?.length, seed, backend });
    try {
      const { trainSeconds } = await model.fit(train, { ...fit, epochs: seed === 0 ? 1 : fit.epochs, signal });
      if (seed === 0) continue;
      const accuracy = (await model.evaluate(test, { signal })).accuracy ?? Number.NaN;
      times.push(trainSeconds);
      accuracies.push(accuracy);
      onSeed(seed, accuracy, trainSeconds);
      parameters = model.countParameters();
    } finally {
      model.dispose();
    }
  }
  return {
    name,
    seeds,
    epochs: fit.epochs,
    parameters,
    meanAccuracy: accuracies.reduce((sum, accuracy) => sum + accuracy, 0) / seeds,
    minAccuracy: Math.min(...accuracies),
    maxAccuracy: Math.max(...accuracies),
    medianSeconds: median(times),
    minSeconds: Math.min(...times),
    maxSeconds: Math.max(...times),
  };
}
