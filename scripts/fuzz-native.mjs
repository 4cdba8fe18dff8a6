// Fuzzes the addon's reading and running of programs: node scripts/fuzz-native.mjs [--minutes N] [--seed N] [--quick].
// Needs clang with libFuzzer and cmake. Begins with small models' programs and the cases found before, and goes on with what
// it found interesting itself. Ends with 1 at the first failure, and says how to repeat it. `npm run fuzz` runs it too, and
// gets a line for its table in the file that MNIST_TRAIN_FUZZ_REPORT names.
//
// --quick is for continuous integration: one instruction set, no optimisation, and it begins anew every time.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { writeSeeds } from './fuzz-seeds.mjs';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '0' }, // of chance
    quick: { type: 'boolean', default: false },
  },
});
const { quick, seed } = values;
const seconds = Math.max(1, Math.round(Number(values.minutes) * 60));
if (!(Number(values.minutes) > 0)) throw new Error(`Expected a number of minutes, received ${values.minutes}.`);
if (!/^\d+$/.test(seed)) throw new Error(`Expected a whole number for --seed, received ${seed}.`);

const root = join(import.meta.dirname, '..');
const build = join(root, quick ? 'build-fuzz-quick' : 'build-fuzz');
const show = { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] };
const setup = ['-DFUZZ=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo', '-DCMAKE_CXX_COMPILER=clang++'];
if (quick) setup.push(`-DINSTRUCTION_SET=${process.arch === 'x64' ? 'avx2' : ''}`, '-DEXTRA_FLAGS=-O0;-g1');
execFileSync('cmake', ['-S', 'native', '-B', build, ...setup], show);
execFileSync('cmake', ['--build', build, '--parallel', '2', '--target', 'program_fuzzer', 'program_words'], show);
const fuzzer = join(build, 'program_fuzzer');
const tool = join(build, 'program_words');

// What the fuzzer keeps from run to run; what it begins with; failures of this run.
const [kept, seeds, failures] = ['fuzz-corpus', 'fuzz-seeds', `fuzz-failures-${Date.now()}`].map((name) =>
  join(build, name),
);
for (const folder of quick ? [kept, seeds] : [seeds]) rmSync(folder, { recursive: true, force: true });
for (const folder of [kept, seeds, failures]) mkdirSync(folder, { recursive: true });
const operations = execFileSync(tool, ['ops'], { encoding: 'utf8' }).trim().split('\n');
writeSeeds(seeds, operations);
for (const name of readdirSync(seeds)) {
  const outcome = execFileSync(tool, ['run', join(seeds, name)], { encoding: 'utf8' }).trim();
  if (outcome !== 'ran') throw new Error(`The program of the seed ${name} is not run: ${outcome}.`);
}
const cases = join(root, 'native', 'fuzz', 'corpus');
for (const name of readdirSync(cases)) {
  execFileSync(tool, ['words', join(cases, name), join(seeds, name)], { encoding: 'utf8' });
}

const options = [
  `-max_total_time=${seconds}`,
  `-seed=${seed}`,
  '-timeout=10',
  '-rss_limit_mb=2048',
  '-max_len=32768',
  '-print_final_stats=1',
  `-artifact_prefix=${failures}/`,
];
const { status, stderr } = spawnSync(fuzzer, [...options, kept, seeds], {
  cwd: root,
  encoding: 'utf8',
  stdio: ['ignore', 'inherit', 'pipe'],
  maxBuffer: 2 ** 30,
});
const count = (name) => Number(stderr.match(new RegExp(`^stat::${name}:\\s*(\\d+)`, 'm'))?.[1] ?? Number.NaN);
const [accepted, refused] = [count('accepted'), count('refused')];
console.log(`program: ${accepted + refused} inputs in at most ${seconds} s, ${refused} of them refused.`);
const report = process.env.MNIST_TRAIN_FUZZ_REPORT;
if (report) appendFileSync(report, `${JSON.stringify({ target: 'program', accepted, refused, seconds })}\n`);
const found = readdirSync(failures).map((name) => relative(root, join(failures, name)));
if (status !== 0 || found.length > 0 || !(accepted > 0 && refused > 0)) {
  console.error(stderr.slice(-8000));
  for (const file of found) {
    console.error(`Failed: ${file}
  repeat it:     ${relative(root, fuzzer)} -timeout=10 -rss_limit_mb=2048 ${file}
  as a text for native/fuzz/corpus:  ${relative(root, tool)} text ${file}`);
  }
  process.exitCode = 1;
}
