import { resolve } from 'node:path';
import envPaths from 'env-paths';

/** The folder with one folder per data set: $MNIST_TRAIN_DATA, else the platform's cache folder. */
export function dataRoot(): string {
  const named = process.env.MNIST_TRAIN_DATA;
  return named ? resolve(named) : envPaths('mnist-train', { suffix: '' }).cache;
}
