import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MnistTrainError } from '../../errors.js';
import type { NativeAddon } from './addon.js';

/** One place where the addon was looked for, and what came of it. */
export interface LoadAttempt {
  /** What the place is, in words. */
  source: string;
  path: string;
  status: 'loaded' | 'failed' | 'missing';
  /** Why it did not load. */
  reason?: string;
}

export interface LoadResult {
  addon: NativeAddon | null;
  attempts: readonly LoadAttempt[];
}

const require = createRequire(import.meta.url);
// From src/backends/native and dist/backends/native alike.
const packageRoot = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** The path of an addon file to use instead of all others; for tests and for trying a build. */
const ADDON_VARIABLE = 'MNIST_TRAIN_ADDON';

function candidates(): { source: string; path: string }[] {
  const override = process.env[ADDON_VARIABLE];
  if (override) return [{ source: `$${ADDON_VARIABLE}`, path: resolve(override) }];
  return [{ source: 'local build', path: join(packageRoot, 'build', 'Release', 'mnist_train.node') }];
}

function attempt({ source, path }: { source: string; path: string }): {
  addon: NativeAddon | null;
  attempt: LoadAttempt;
} {
  if (!existsSync(path)) {
    const reason = 'there is no such file';
    return { addon: null, attempt: { source, path, status: 'missing', reason } };
  }
  try {
    const addon = require(path) as NativeAddon;
    if (addon.instructionSets.length > 0) return { addon, attempt: { source, path, status: 'loaded' } };
    const reason = `this processor (${process.arch}) has neither AVX2 with FMA nor NEON`;
    return { addon: null, attempt: { source, path, status: 'failed', reason } };
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
    return { addon: null, attempt: { source, path, status: 'failed', reason } };
  }
}

let cached: { key: string | undefined; result: LoadResult } | null = null;

/** Tries the places in order and keeps the first addon that loads, with the account of all that were tried. */
export function loadAddon(): LoadResult {
  const key = process.env[ADDON_VARIABLE];
  if (cached?.key === key && cached) return cached.result;
  const attempts: LoadAttempt[] = [];
  let addon: NativeAddon | null = null;
  for (const candidate of candidates()) {
    const outcome = attempt(candidate);
    attempts.push(outcome.attempt);
    addon = outcome.addon;
    if (addon) break;
  }
  cached = { key, result: { addon, attempts } };
  return cached.result;
}

/** "source, path: reason" of every place that failed. */
export function describeAttempts(attempts: readonly LoadAttempt[]): string {
  return attempts.map(({ source, path, reason }) => `${source}, ${path}: ${reason}`).join('; ');
}

/** The addon, or ERR_NATIVE_LOAD with the reason of every place that was tried. */
export function requireAddon(): NativeAddon {
  const { addon, attempts } = loadAddon();
  if (addon) return addon;
  throw new MnistTrainError(
    'ERR_NATIVE_LOAD',
    `The native addon did not load (${describeAttempts(attempts)}). Build it, or use the backend "js".`,
  );
}
