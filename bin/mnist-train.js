#!/usr/bin/env node
// Stacks then name lines of the sources. It counts for modules that are loaded from here on, and makes loading slower.
if (process.argv.includes('--verbose')) process.setSourceMapsEnabled(true);
try {
  await import('../dist/cli/main.js');
} catch (error) {
  // In a checkout that was never built, dist/ is missing; any other failure is shown as it is.
  if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !String(error.message).includes('/dist/cli/main.js')) throw error;
  console.error('mnist-train: Expected the compiled program in dist/, found none. Run npm run build first.');
  process.exitCode = 1;
}
