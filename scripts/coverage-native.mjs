// Which lines of C++ the tests run, for each instruction set: node scripts/coverage-native.mjs. Builds the addon with gcov's
// counters into build-coverage, and runs the native tests, which take every instruction set that this processor has, and the
// tests of the addon. Fails where a part has fewer covered than LEAST. Needs cmake and gcc with its gcov.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const build = join(root, 'build-coverage');
/** The share of lines that must be covered, of each part. */
const LEAST = 0.9;

const show = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };

const options = ['--out', 'build-coverage', '-B', 'Debug', '--CDCOVERAGE=ON'];
execFileSync('npx', ['cmake-js', 'compile', '-d', 'native', ...options], { ...show, stdio: ['ignore', 'ignore', 2] });
for (const path of readdirSync(build, { recursive: true, encoding: 'utf8' }))
  if (path.endsWith('.gcda')) rmSync(join(build, path));

// Counters are written as a process ends: vitest's threads belong to one that does so, its forks are killed.
const tests = [
  'tests/unit/sessions.test.ts',
  'tests/unit/runs.test.ts',
  'tests/unit/program-corpus.test.ts',
  'tests/unit/addon-arguments.test.ts',
  'tests/unit/buffers.test.ts',
  'tests/unit/native-peak.test.ts',
];
const env = { ...process.env, MNIST_TRAIN_ADDON: join(build, 'Debug', 'mnist_train.node') };
run('ctest', ['--test-dir', build, '--output-on-failure'], { ...process.env, MNIST_TRAIN_QUICK_TESTS: '1' });
run('npx', ['vitest', 'run', '--pool=threads', '--maxWorkers=2', '--reporter=dot', ...tests], env);

const objects = join(build, 'CMakeFiles');
for (const target of ['kernels_avx2', 'kernels_avx512', 'kernels_neon', 'engine', 'mnist_train']) {
  const folder = join(objects, `${target}.dir`);
  if (!existsSync(folder)) continue;
  const lines = linesOf(folder);
  const covered = [...lines.values()].filter((count) => count > 0).length;
  const percent = ((100 * covered) / lines.size).toFixed(1);
  console.log(`${target.padEnd(15)} ${percent.padStart(5)} % of ${lines.size} lines`);
  if (covered < LEAST * lines.size) {
    console.error(`Expected at least ${100 * LEAST} % of the lines of ${target}.`);
    process.exitCode = 1;
  }
}

/** How often each line of our own was run: by "file:line", all objects of a folder and all instances of a template together. */
function linesOf(folder) {
  const notes = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.gcno'));
  const lines = new Map();
  for (const path of notes) {
    const args = ['--json-format', '--stdout', join(folder, path)];
    const json = execFileSync('gcov', args, { cwd: build, maxBuffer: 2 ** 30, stdio: ['ignore', 'pipe', 'ignore'] });
    for (const { file, lines: counts } of JSON.parse(json).files) {
      const name = relative(root, resolve(build, file));
      if (!name.startsWith(join('native', '/'))) continue;
      for (const { line_number: line, count } of counts) {
        const key = `${name}:${line}`;
        lines.set(key, (lines.get(key) ?? 0) + count);
      }
    }
  }
  return lines;
}

function run(program, args, environment = process.env) {
  const { status } = spawnSync(program, args, { ...show, env: environment });
  if (status !== 0) process.exitCode = 1;
}
