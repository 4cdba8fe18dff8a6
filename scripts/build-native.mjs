// Builds the addon as native/build.mjs does. A machine without a compiler is told what it misses and may go on: the
// TypeScript backend does the same arithmetic. `--required` (what the tests use) makes that an error.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const required = process.argv.includes('--required');
const script = fileURLToPath(new URL('../native/build.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [script], { stdio: 'inherit' });
if (status !== 0) {
  console.error(
    `${required ? 'Error' : 'Warning'}: the native addon could not be built (see above). It needs Python 3, make and a C++17 compiler ` +
      '(on Debian: apt-get install python3 make g++).' +
      (required ? '' : ' mnist-train works without it, in TypeScript and slower.'),
  );
  process.exitCode = required ? 1 : 0;
}
