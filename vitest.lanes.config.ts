import { defineConfig } from 'vitest/config';

/**
 * Tests that need a registry, emulators or compilers, and take minutes: `npm run test:install`, `npm run test:cpus`. Each
 * names its folder.
 */
export default defineConfig({
  test: {
    include: ['tests/{install,cpus}/**/*.test.ts'],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    maxWorkers: 1,
  },
});
