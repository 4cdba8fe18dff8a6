// Builds these sources with node-gyp into build/Release/mnist_train.node of the package: `node native/build.mjs`. In a
// checkout `npm run build:native` calls this; from an installed package `mnist-train build-native` does.
//
// Node's headers are taken from the running Node's own installation when it has them, so that a build needs no network.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ownNodeDir } from './node-headers.mjs';

const sources = dirname(fileURLToPath(import.meta.url));
const root = dirname(sources);
// A published package has no binding.gyp at its top, since npm would run it when it installs; see docs/architecture.md.
const isCheckout = existsSync(join(root, 'binding.gyp'));
const gypFolder = isCheckout ? root : sources;

const nodeGyp = findNodeGyp();
if (nodeGyp === null) {
  console.error(
    'Expected node-gyp beside mnist-train, in the current folder or in npm, found none. Run npm install --save-dev node-gyp first.',
  );
  process.exit(1);
}
const headers = ownNodeDir();
const nodedir = headers ? [`--nodedir=${headers}`] : [];
// Configure only once in a checkout: node-gyp's make files follow changed sources by themselves.
const steps = isCheckout && existsSync(join(root, 'build', 'Makefile')) ? ['build'] : ['configure', 'build'];
const { status } = spawnSync(process.execPath, [nodeGyp, ...steps, '--jobs=max', '--loglevel=warn', ...nodedir], {
  cwd: gypFolder,
  stdio: ['ignore', 2, 2],
});
if (status === 0 && !isCheckout) moveAddon();
process.exitCode = status === 0 ? 0 : 1;

/** node-gyp always builds beside its binding.gyp. The loader looks in one place alone. */
function moveAddon() {
  const target = join(root, 'build', 'Release');
  mkdirSync(target, { recursive: true });
  renameSync(join(sources, 'build', 'Release', 'mnist_train.node'), join(target, 'mnist_train.node'));
  rmSync(join(sources, 'build'), { recursive: true, force: true });
}

/** The script of node-gyp: a dependency of this package or of the current folder's, or the one that npm has. */
function findNodeGyp() {
  for (const from of [join(root, 'package.json'), join(process.cwd(), 'package.json'), ...npmScripts()]) {
    try {
      return createRequire(from).resolve('node-gyp/bin/node-gyp.js');
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return null;
}

/** Where npm's own program may be: what runs this process, beside node, and on the path. */
function npmScripts() {
  const prefix = dirname(dirname(realpathSync(process.execPath)));
  const onPath = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const scripts = [
    process.env.npm_execpath,
    join(prefix, 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    ...onPath.map((folder) => join(folder, 'npm')),
  ];
  return scripts.filter((script) => script && existsSync(script)).map((script) => realpathSync(script));
}
