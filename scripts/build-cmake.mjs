// The developers' build through cmake-js into build-cmake: the addon and the native tests.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { ownNodeDir } from '../native/node-headers.mjs';

const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
const nodedir = ownNodeDir();
const { status } = spawnSync(process.execPath, [cmakeJs, 'compile', '-d', 'native', '--out', 'build-cmake'], {
  stdio: 'inherit',
  env: { ...process.env, ...(nodedir && { npm_config_nodedir: nodedir }) },
});
process.exitCode = status ?? 1;
