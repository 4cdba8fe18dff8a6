import { expected } from '../../errors.js';
import { checkCallback, checkOptions } from '../../options.js';
import { newestCheckpoint } from './checkpoint-folder.js';
import { checkSavedState } from './saved-state.js';

/** What a checkpoint says of itself. */
export interface CheckpointInfo {
  path: string;
  /** Whole epochs that its fit had done. */
  epochs: number;
  /** Steps since `compile`. */
  step: number;
  /** The caller's own text, as given to `checkpoint`. */
  metadata: Record<string, string>;
}

/**
 * Looks at the newest whole checkpoint of a folder, without a model; null when there is none. `onWarning` is told of
 * damaged ones that were passed over. Rejects with ERR_CHECKSUM when all are damaged, ERR_FORMAT for one
 * of another version, ERR_FILE, ERR_ARGUMENT.
 */
export async function readCheckpoint(
  directory: string,
  options?: { onWarning?: (text: string) => void },
): Promise<CheckpointInfo | null> {
  if (typeof directory !== 'string' || directory === '') throw expected('the name of a folder', 'directory', directory);
  const { onWarning } = checkOptions(options, 'readCheckpoint', { onWarning: true });
  const found = await newestCheckpoint(directory, checkCallback(onWarning, 'onWarning') ?? (() => {}));
  if (!found) return null;
  const { fit, optimizer } = checkSavedState(found.state, found.path);
  return { path: found.path, epochs: fit.results.length, step: optimizer.step, metadata: found.metadata };
}
