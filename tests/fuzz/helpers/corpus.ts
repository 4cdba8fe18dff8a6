import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Verdict } from './fuzz.js';

interface Found {
  /** What went wrong with it once. */
  what: string;
  verdict: Verdict;
  /** The input, as text or in base64. */
  text?: string;
  base64?: string;
}

/** Runs a target's check on every input that was found once, kept in corpus/<target>.json. */
export function replay(target: string, check: (bytes: Uint8Array) => Verdict | Promise<Verdict>): void {
  const file = new URL(`../corpus/${target}.json`, import.meta.url);
  const corpus: Found[] = JSON.parse(readFileSync(file, 'utf8'));
  it.each(corpus)(`${target}, found once: $what`, async ({ text, base64, verdict }) => {
    const bytes = base64 === undefined ? Buffer.from(text!) : Buffer.from(base64, 'base64');
    expect(await check(Uint8Array.from(bytes))).toBe(verdict);
  });
}
