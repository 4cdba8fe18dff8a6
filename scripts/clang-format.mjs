// Formats the C++ sources, or with --check says which of them are not formatted. The version is pinned by package.json.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = join(dirname(dirname(fileURLToPath(import.meta.url))), 'native');
const files = readdirSync(native, { recursive: true })
  .filter((file) => /\.(cc|h)$/.test(file))
  .map((file) => join(native, file));
const clangFormat = createRequire(import.meta.url).resolve('clang-format-node/build/cli.js');
const mode = process.argv.includes('--check') ? ['--dry-run', '-Werror'] : ['-i'];
const { status } = spawnSync(process.execPath, [clangFormat, ...mode, ...files], { stdio: 'inherit' });
process.exitCode = status ?? 1;
