import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

export interface Event {
  wallTime: number;
  step: number;
  fileVersion?: string;
  scalars: Record<string, number>;
}

const reader = join(import.meta.dirname, 'read-tfevents.py');

/** Reads with a reader that shares nothing with the writer. NaN is null. Throws for checksums that are wrong. */
export function readEvents(...paths: string[]): Event[][] {
  const text = execFileSync('python3', [reader, ...paths], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  return JSON.parse(text.replace(/\b-?(NaN|Infinity)\b/g, 'null'));
}

/** The scalars in the files of a run, in the order of the files' names: the step, then values by tag. */
export function runOf(logDirectory: string, run: string): [number, Record<string, number>][] {
  const files = readdirSync(join(logDirectory, run)).sort();
  return readEvents(...files.map((file) => join(logDirectory, run, file))).flatMap(([head, ...events]) => {
    expect(head).toMatchObject({ fileVersion: 'brain.Event:2', step: 0, scalars: {} });
    return events.map(({ step, scalars }): [number, Record<string, number>] => [step, scalars]);
  });
}
