// Builds native/ with node-gyp into build/Release/mnist_train.node.
//
// Node's headers are taken from the running Node's own installation when it has them, so that a build needs no
// network. A machine without a compiler is told what it misses and may go on: the TypeScript backend does the same
// arithmetic. `--required` (what the tests use) makes that an error.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownNodeDir } from './node-headers.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const required = process.argv.includes('--required');
const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');

const headers = ownNodeDir();
const nodedir = headers ? [`--nodedir=${headers}`] : [];

// Configure only once: node-gyp's make files follow changed sources by themselves.
const steps = existsSync(join(root, 'build', 'Makefile')) ? ['build'] : ['configure', 'build'];
const result = spawnSync(process.execPath, [nodeGyp, ...steps, '--jobs=max', '--loglevel=warn', ...nodedir], {
  cwd: root,
  stdio: ['ignore', 2, 2],
});
if (result.status !== 0) {
  console.error(
    `${required ? 'Error' : 'Warning'}: the native addon could not be built (see above). It needs Python 3, make and a C++17 compiler ` +
      '(on Debian: apt-get install python3 make g++).' +
      (required ? '' : ' mnist-train works without it, in TypeScript and slower.'),
  );
  process.exitCode = required ? 1 : 0;
}
