import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    // They need a browser, a registry or emulators: vitest.browser.config.ts, vitest.lanes.config.ts.
    exclude: ['tests/browser/**', 'tests/{install,cpus}/**'],
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
