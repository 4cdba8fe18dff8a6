import { CommanderError } from 'commander';
import { MnistTrainError } from '../errors.js';

/** Wrong usage of the command line: exit status 2, where failed work has 1. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export function isUsageError(error: unknown): boolean {
  return error instanceof UsageError || error instanceof CommanderError;
}

/** Runs a check of the library on what the user asked for: what it refuses is wrong usage. */
export function asUsage<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof MnistTrainError && error.code === 'ERR_ARGUMENT') throw new UsageError(error.message);
    throw error;
  }
}

/** An error as the one line that people read, with what to do. `help` is the command line that explains the usage. */
export function errorLine(error: unknown, help: string): string {
  // Commander shows its help where `help` names nothing that it knows, and its error has no words.
  const helpless = error instanceof CommanderError && error.code === 'commander.help';
  const line = helpless ? 'Expected a command behind help, such as train.' : errorText(error);
  if (isUsageError(error)) return `${line.replace(/([^.?!)])$/, '$1.')} See ${help}.`;
  // Errors thrown on purpose and those of the operating system explain themselves; anything else is a defect.
  if (error instanceof MnistTrainError || (error instanceof Error && 'syscall' in error)) return line;
  return `Unexpected failure: ${line.replace(/[.]?$/, '.')} Run again with --verbose for the stack, and report it.`;
}

/** The message of an error in one line; those of several lines are joined. */
export function errorText(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return message
    .replace(/^error: /, '')
    .split('\n')
    .map((part) => part.trim())
    .filter(Boolean)
    .join(' ');
}
