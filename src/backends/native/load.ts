import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MnistTrainError } from '../../errors.js';
import { packageFile } from '../../location.js';
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
  /** Whether no build of the addon can run on this processor. */
  unsupported: boolean;
}

const require = createRequire(import.meta.url);
const packageRoot = fileURLToPath(packageFile(''));
const { version: packageVersion } = require(join(packageRoot, 'package.json')) as { version: string };

/** The path of an addon file to use instead of all others; for tests and for trying a build. */
const ADDON_VARIABLE = 'MNIST_TRAIN_ADDON';

interface Candidate {
  source: string;
  path: string;
  /** Known before the file is looked at: why it is of no use. */
  reason?: string;
}

/** One of npm/platforms.json: the packages with compiled addons. */
interface Platform {
  name: string;
  os: string;
  cpu: string;
  libc?: 'glibc' | 'musl';
}

function* candidates(): Generator<Candidate> {
  const override = process.env[ADDON_VARIABLE];
  if (override) {
    yield { source: `$${ADDON_VARIABLE}`, path: resolve(override) };
    return;
  }
  yield { source: 'local build', path: join(packageRoot, 'build', 'Release', 'mnist_train.node') };
  yield platformPackage();
}

/** The package for this system, which npm installs with ours unless optional dependencies are left out. */
function platformPackage(): Candidate {
  const platforms = require(join(packageRoot, 'npm', 'platforms.json')) as readonly Platform[];
  const fits = ({ os, cpu, libc }: Platform) =>
    os === process.platform && cpu === process.arch && (libc ?? hostLibc()) === hostLibc();
  const platform = platforms.find(fits);
  const source = 'platform package';
  if (!platform) {
    const reason = `there is none for ${process.platform} on ${process.arch}; mnist-train build-native makes an addon`;
    return { source, path: `@mnist-train/${process.platform}-${process.arch}`, reason };
  }
  const name = `@mnist-train/${platform.name}`;
  try {
    return { source, path: require.resolve(name) };
  } catch {
    const reason =
      'it is not installed: optional dependencies were left out, or the lock file was made on another platform; ' +
      'mnist-train build-native makes an addon';
    return { source, path: name, reason };
  }
}

/** The C library of this process on Linux; undefined elsewhere. Node's report names glibc's version where it runs on it. */
function hostLibc(): Platform['libc'] {
  if (process.platform !== 'linux') return undefined;
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  const before = report.excludeNetwork;
  report.excludeNetwork = true; // looking up the names of connections may take seconds
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  report.excludeNetwork = before ?? false;
  return header.glibcVersionRuntime ? 'glibc' : 'musl';
}

interface Outcome {
  addon: NativeAddon | null;
  attempt: LoadAttempt;
  /** True where no other build can help: the processor lacks what all of them need. */
  final?: boolean;
}

function attempt({ source, path, reason }: Candidate): Outcome {
  const without = (status: 'failed' | 'missing', why: string): Outcome => ({
    addon: null,
    attempt: { source, path, status, reason: why },
  });
  if (reason !== undefined) return without('missing', reason);
  if (!existsSync(path)) return without('missing', 'there is no such file');
  try {
    const addon = require(path) as NativeAddon;
    if (addon.version !== packageVersion) {
      return without(
        'failed',
        `it belongs to version ${addon.version ?? 'before 0.1'} and this is ${packageVersion}; build or install it anew`,
      );
    }
    if (addon.instructionSets.length > 0) return { addon, attempt: { source, path, status: 'loaded' } };
    return { ...without('failed', `this processor (${process.arch}) has neither AVX2 with FMA nor NEON`), final: true };
  } catch (error) {
    return without('failed', (error instanceof Error ? error.message : String(error)).split('\n')[0]);
  }
}

let cached: { key: string | undefined; result: LoadResult } | null = null;

/**
 * Tries the places in order and keeps the first addon that loads, with the account of all that were tried. `again` forgets
 * what was found before.
 */
export function loadAddon({ again = false } = {}): LoadResult {
  const key = process.env[ADDON_VARIABLE];
  if (!again && cached?.key === key && cached) return cached.result;
  const attempts: LoadAttempt[] = [];
  let addon: NativeAddon | null = null;
  let unsupported = false;
  for (const candidate of candidates()) {
    const outcome = attempt(candidate);
    attempts.push(outcome.attempt);
    addon = outcome.addon;
    unsupported = outcome.final ?? false;
    if (addon || unsupported) break;
  }
  cached = { key, result: { addon, attempts, unsupported } };
  return cached.result;
}

/** Builds the addon from the package's sources, for `mnist-train build-native`. */
export const BUILD_SCRIPT = join(packageRoot, 'native', 'build.mjs');

/** "source, path: reason" of every place that failed. */
export function describeAttempts(attempts: readonly LoadAttempt[]): string {
  return attempts.map(({ source, path, reason }) => `${source}, ${path}: ${reason}`).join('; ');
}

/** The addon, or ERR_NATIVE_LOAD with the reason of every place that was tried. */
export function requireAddon(): NativeAddon {
  const { addon, attempts, unsupported } = loadAddon();
  if (addon) return addon;
  const hint = unsupported ? 'Use' : 'Run npx mnist-train build-native, or use';
  throw new MnistTrainError(
    'ERR_NATIVE_LOAD',
    `The native addon did not load (${describeAttempts(attempts)}). ${hint} the backend "js".`,
  );
}
