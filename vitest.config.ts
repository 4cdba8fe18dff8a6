import { defineConfig } from 'vitest/config';

/**
 * Tests that change what belongs to their process (environment variables, mocks of modules, the budget of threads) or
 * measure it. They get a process for each file; the others share one for each worker, which loads the sources once.
 */
const ALONE = [
  'tests/cli/download-success.test.ts',
  'tests/faults/network-cuts.test.ts',
  'tests/parity/many-threads.test.ts',
  'tests/unit/{addon-arguments,buffers,cancel,divergence,download,js-turns,load-dataset}.test.ts',
  'tests/unit/{pieces,select,server-decoder,streams,thread-budget}.test.ts',
];
// They need a browser, a registry or emulators: vitest.browser.config.ts, vitest.lanes.config.ts.
const ELSEWHERE = ['tests/browser/**', 'tests/{install,cpus}/**'];

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: ['tests/**/*.test.ts'],
          exclude: [...ALONE, ...ELSEWHERE],
          isolate: false,
        },
      },
      { extends: true, test: { name: 'alone', include: ALONE } },
    ],
    // Native sessions own threads and the machine may have two cores: few workers keep timings of timeouts sane.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      include: ['src/**/*.ts'],
      // What runs in processes of its own, where coverage does not reach: tests/cli tries it from outside.
      exclude: ['src/cli/**', 'src/server/page/**', 'src/report/page/**'],
      reporter: ['text-summary', 'html'],
      thresholds: { lines: 90 },
    },
  },
});
