import { checkInteger, checkNumber, expected } from '../../errors.js';
import { checkBoolean, checkOptions } from '../../options.js';

/** A file every now and then with all that training needs to go on from there. */
export interface CheckpointOptions {
  /** The folder of the files `checkpoint-<steps>.safetensors`; made when it is not there. */
  directory: string;
  /** Seconds from one to the next, at least 0; default 30. One more is written at the end, and when the signal aborts. */
  everySeconds?: number;
  /** Also after so many steps each. */
  everySteps?: number;
  /** How many are kept; default 2, so that there is another one when the newest is damaged. */
  keep?: number;
  /**
   * Goes on from the newest checkpoint in the folder, when there is one. Everything else has to be as it was: the model, how
   * it was compiled, the data and the options of fit. Default false: a folder with checkpoints is refused.
   */
  resume?: boolean;
  /** The caller's own text, written into each file. */
  metadata?: Record<string, string>;
}

export interface CheckpointPlan {
  directory: string;
  everySeconds: number;
  everySteps: number | null;
  keep: number;
  resume: boolean;
  metadata: Readonly<Record<string, string>>;
}

/** Throws ERR_ARGUMENT. */
export function checkCheckpoint(options: CheckpointOptions | undefined): CheckpointPlan | null {
  if (options === undefined) return null;
  const checked = checkOptions(options, 'checkpoint', {
    directory: true,
    everySeconds: true,
    everySteps: true,
    keep: true,
    resume: true,
    metadata: true,
  });
  const { directory, everySteps, metadata = {} } = checked;
  if (typeof directory !== 'string' || directory === '')
    throw expected('the name of a folder', 'checkpoint.directory', directory);
  if (
    typeof metadata !== 'object' ||
    metadata === null ||
    Object.values(metadata).some((text) => typeof text !== 'string')
  ) {
    throw expected('an object of text', 'checkpoint.metadata', metadata);
  }
  return {
    directory,
    everySeconds: checkNumber(checked.everySeconds ?? 30, 'checkpoint.everySeconds', 0),
    everySteps: everySteps === undefined ? null : checkInteger(everySteps, 'checkpoint.everySteps', 1),
    keep: checkInteger(checked.keep ?? 2, 'checkpoint.keep', 1),
    resume: checkBoolean(checked.resume ?? false, 'checkpoint.resume'),
    metadata,
  };
}
