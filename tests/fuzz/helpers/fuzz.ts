import { appendFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { watchdog } from './watchdog.js';

/** What became of an input: a parser took it, or said in an error of its own why not. */
export type Verdict = 'accepted' | 'refused';

interface FuzzOptions {
  /** Inputs in a run of the test suite; `npm run fuzz` goes by time. */
  runs?: number;
  /** What must have been seen in the end: a target whose inputs are all refused tests nothing. Both without it. */
  sees?: readonly Verdict[];
}

/**
 * Set by scripts/fuzz.mjs: seconds for each target, the seed, the place of a failure to repeat, and the file that gets a
 * line of JSON for each target. Without them the seed is fixed, so that the test suite does the same every time.
 */
const {
  MNIST_TRAIN_FUZZ_SECONDS: seconds,
  MNIST_TRAIN_FUZZ_SEED: seed = '42',
  MNIST_TRAIN_FUZZ_PATH: path,
  MNIST_TRAIN_FUZZ_REPORT: report,
} = process.env;

const DEFAULT_RUNS = 150;
/** Failures are made small before they are shown, which takes its time. */
const TIMEOUT = 120_000 + 1000 * Number(seconds ?? 0);

/**
 * Runs a check on inputs of an arbitrary; it throws where the answer is wrong. An input that takes ten seconds ends the
 * process, naming how to repeat it.
 */
export function fuzz<T>(
  target: string,
  arbitrary: fc.Arbitrary<T>,
  check: (input: T) => Verdict | Promise<Verdict>,
  { runs = DEFAULT_RUNS, sees = ['accepted', 'refused'] }: FuzzOptions = {},
): void {
  it(`fuzz ${target}`, { timeout: TIMEOUT }, async () => {
    const seen: Record<Verdict, number> = { accepted: 0, refused: 0 };
    const begin = performance.now();
    const dog = watchdog(target, seed);
    let running: Promise<Verdict> | undefined;
    const property = fc.asyncProperty(arbitrary, async (input) => {
      dog.watch();
      running = Promise.resolve(check(input));
      seen[await running]++;
    });
    try {
      await fc.assert(property, {
        seed: Number(seed),
        numRuns: path ? 1 : seconds ? 2 ** 31 - 1 : runs,
        ...(path && { path }),
        ...(seconds && { interruptAfterTimeLimit: 1000 * Number(seconds) }),
      });
      // At the limit an input is left to itself: the next target may use the same files, and it may still fail.
      await running;
    } finally {
      dog.rest();
      if (report) {
        const took = (performance.now() - begin) / 1000;
        appendFileSync(report, `${JSON.stringify({ target, ...seen, seconds: took })}\n`);
      }
    }
    if (!path) for (const verdict of sees) expect(seen[verdict], `inputs that were ${verdict}`).toBeGreaterThan(0);
  });
}
