import { defineConfig } from 'vitest/config';

/** Installs the packages as users do: `npm run test:install`. It needs a registry, and takes minutes. */
export default defineConfig({
  test: { include: ['tests/install/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 1 },
});
