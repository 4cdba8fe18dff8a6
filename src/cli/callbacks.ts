import { resolve } from 'node:path';
import { type Callback, csvLogger, earlyStopping, tensorBoard } from '../index.js';
import { checkOutputFile, checkOutputFolder } from './files.js';
import { UsageError } from './usage.js';

/** The options of `train` for what happens beside the steps. */
export interface CallbackOptions {
  earlyStopping?: number;
  csv?: string;
  tensorboard?: string;
}

/** The callbacks that the options ask for. Throws UsageError for options that cannot be kept, before any work. */
export function callbacksOf(options: CallbackOptions & { out: string }, validated: boolean): Callback[] {
  const { out, csv, tensorboard, earlyStopping: patience } = options;
  const callbacks: Callback[] = [];
  if (patience !== undefined) {
    if (!validated) {
      throw new UsageError(
        'Expected --validation-split or --fold with --early-stopping, which watches the loss on images kept aside. ' +
          'Add --validation-split 0.1, say.',
      );
    }
    callbacks.push(earlyStopping({ patience, restoreBestWeights: true }));
  }
  if (csv !== undefined) {
    checkOutputFile('--csv', csv);
    if (resolve(csv) === resolve(out))
      throw new UsageError('Expected different files for --csv and --out, received one.');
    callbacks.push(csvLogger(csv));
  }
  if (tensorboard !== undefined) {
    checkOutputFolder('--tensorboard', tensorboard);
    callbacks.push(tensorBoard({ logDirectory: tensorboard }));
  }
  return callbacks;
}
