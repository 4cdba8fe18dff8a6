import { defineConfig } from 'vitest/config';

/** Tests that need a browser: `npm run test:browser`. */
export default defineConfig({
  test: {
    include: ['tests/browser/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What a browser shows comes when a busy machine lets it.
    expect: { poll: { timeout: 20_000 } },
  },
});
