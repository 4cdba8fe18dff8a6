import { resolve } from 'node:path';
import type { Callback, CallbackContext } from '../index.js';
import { checkOutputFile } from './files.js';
import { UsageError } from './usage.js';

/** Checks that the page can be written, before any work. `others` are files of the command, by flag. Throws UsageError. */
export function checkReportFile(
  report: string | undefined,
  others: Readonly<Record<string, string | undefined>>,
  ownFlag = '--report',
): void {
  if (report === undefined) return;
  checkOutputFile(ownFlag, report);
  for (const [flag, file] of Object.entries(others)) {
    if (file === undefined || resolve(file) !== resolve(report)) continue;
    throw new UsageError(`Expected different files for ${ownFlag} and ${flag}, received one.`);
  }
}

/** Keeps what only the running training knows. */
export class TrainingRecorder implements Callback {
  readonly startedAt = new Date();
  stepsPerEpoch: number | null = null;

  onTrainBegin({ stepsPerEpoch }: CallbackContext): void {
    this.stepsPerEpoch = stepsPerEpoch;
  }
}

/**
 * What became of a report. Where it cannot be written, the results are still to be told: the failure is thrown behind them.
 */
export interface WrittenReport {
  /** The file, for the event; not there where none was asked for, or it could not be written. */
  report?: string;
  throwFailure(): void;
}

export async function tryToWrite(
  file: string | undefined,
  write: (file: string) => Promise<void>,
): Promise<WrittenReport> {
  if (file === undefined) return { throwFailure: () => {} };
  try {
    await write(file);
    return { report: file, throwFailure: () => {} };
  } catch (error) {
    return {
      throwFailure: () => {
        throw error;
      },
    };
  }
}
