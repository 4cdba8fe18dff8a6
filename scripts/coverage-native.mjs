// Which lines of C++ the tests run, for each instruction set: node scripts/coverage-native.mjs. Builds the addon with gcov's
// counters into build-coverage, runs the native tests and, on each instruction set that this processor has, the tests that
// compare it with TypeScript. Needs cmake, gcc and gcovr.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const build = join(root, 'build-coverage');
const show = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };

const options = ['--out', 'build-coverage', '-B', 'Debug', '--CDCOVERAGE=ON'];
execFileSync('npx', ['cmake-js', 'compile', '-d', 'native', ...options], { ...show, stdio: ['ignore', 'ignore', 2] });
for (const path of readdirSync(build, { recursive: true, encoding: 'utf8' }))
  if (path.endsWith('.gcda')) rmSync(join(build, path));

// Counters are written as a process ends: vitest's threads belong to one that does so, its forks are killed.
const tests = [
  'tests/parity',
  'tests/unit/sessions.test.ts',
  'tests/unit/runs.test.ts',
  'tests/unit/program-corpus.test.ts',
];
const env = { ...process.env, MNIST_TRAIN_ADDON: join(build, 'Debug', 'mnist_train.node') };
// kernels_test takes minutes with counters; what it runs, the comparisons with TypeScript run as well.
run('ctest', ['--test-dir', build, '--output-on-failure', '--exclude-regex', 'kernels_test']);
run('npx', ['vitest', 'run', '--pool=threads', '--maxWorkers=2', '--reporter=dot', ...tests], env);

const objects = join(build, 'CMakeFiles');
for (const target of ['kernels_avx2', 'kernels_avx512', 'kernels_neon', 'engine', 'mnist_train']) {
  const folder = join(objects, `${target}.dir`);
  if (!existsSync(folder)) continue;
  const filters = ['--filter', 'native/', '--exclude', 'native/tests/', '--exclude', 'native/fuzz/'];
  const args = ['--root', root, ...filters, '--json-summary', '-', folder];
  const { line_covered: covered, line_total: total } = JSON.parse(
    execFileSync('gcovr', args, { cwd: root, encoding: 'utf8' }),
  );
  const percent = ((100 * covered) / total).toFixed(1);
  console.log(`${target.padEnd(15)} ${percent.padStart(5)} % of ${total} lines`);
}

function run(program, args, environment = process.env) {
  const { status } = spawnSync(program, args, { ...show, env: environment });
  if (status !== 0) process.exitCode = 1;
}
