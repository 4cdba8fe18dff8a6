import { expect } from 'vitest';
import { type ErrorCode, MnistTrainError } from '../../../src/errors.js';

export type Outcome<T> = { value: T } | { refused: MnistTrainError };

/** Runs a parser: what it gives, or the error with which it refuses. Anything else that it throws goes on. */
export async function outcomeOf<T>(
  run: () => T | Promise<T>,
  { codes, source }: { codes: readonly ErrorCode[]; source?: string },
): Promise<Outcome<T>> {
  try {
    return { value: await run() };
  } catch (error) {
    if (!(error instanceof MnistTrainError)) throw error;
    expect(codes).toContain(error.code);
    if (source) expect(error.message).toContain(source);
    // A sentence or two that say what is wrong and what to do, whatever the file holds; the longest quotes a run's settings.
    expect(error.message).toMatch(/Expected \S+ .+|Could not \S+ .+|diverged|is damaged|that do not match/s);
    expect(error.message.length).toBeLessThan(1500);
    return { refused: error };
  }
}
