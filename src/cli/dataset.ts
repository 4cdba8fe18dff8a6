import { DATASET_NAMES } from '../data/catalogue.js';
import type { TransferOptions } from '../data/download.js';
import { loadDataset } from '../data/load.js';
import type { Dataset, Sequential } from '../index.js';
import { foldOf } from '../model/k-fold.js';
import type { Context } from './context.js';
import type { Output } from './output.js';
import { DownloadBar } from './ui/download.js';
import { asUsage } from './usage.js';

/** Loads a data set for a command: from the folder or the cache, and by a download in sight where it is missing. */
export function loadForCommand({ output, signal }: Context, options: { dataset: string; dataDir?: string }) {
  return withDownloadShown(output, (callbacks) =>
    loadDataset(options.dataset, { dataDir: options.dataDir, signal, ...callbacks }),
  );
}

/** The data set that `--dataset` names, else the one that the model was trained on. */
export function datasetOf({ metadata }: Sequential, options: { dataset?: string }): string {
  return options.dataset ?? DATASET_NAMES.find((name) => name === metadata.dataset) ?? 'mnist';
}

/**
 * The training set as it is, or without the part that `--fold` keeps for validation. The parts do not depend on `--seed`,
 * so that runs of any options are measured on the same images.
 */
export function foldForTraining(
  train: Dataset,
  { fold }: { fold?: { fold: number; folds: number } },
): { train: Dataset; validation?: Dataset } {
  return fold ? asUsage(() => foldOf(train, fold.fold, { folds: fold.folds })) : { train };
}

type Callbacks = Pick<TransferOptions, 'onProgress' | 'onSourceFailed' | 'onNotice'>;

/** Runs work that may download: a bar on a terminal, a line for every source that does not deliver. */
export async function withDownloadShown<T>(output: Output, work: (callbacks: Callbacks) => Promise<T>): Promise<T> {
  const bar = new DownloadBar(output);
  try {
    return await work({
      onProgress: (progress) => bar.update(progress),
      onSourceFailed: ({ source, file, reason }) => {
        output.note(`${source}: ${file === null ? '' : `${file} `}${reason}. Trying the next source.`);
      },
      onNotice: (message) => output.note(message),
    });
  } finally {
    bar.stop();
  }
}
