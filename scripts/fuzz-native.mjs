// Fuzzes the addon's reading and running of programs: node scripts/fuzz-native.mjs [--minutes N]. Needs clang with
// libFuzzer and cmake. Builds into build-fuzz, begins with small models' programs and the cases found before, and goes on
// with what it found interesting itself. Ends with 1 at the first failure, and says how to repeat it.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { writeSeeds } from './fuzz-seeds.mjs';

const root = join(import.meta.dirname, '..');
const build = join(root, 'build-fuzz');
const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const seconds = Math.round(Number(values.minutes) * 60);
if (!(seconds > 0)) throw new Error(`Expected a number of minutes, received ${values.minutes}.`);

const show = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };
const compiler = '-DCMAKE_CXX_COMPILER=clang++';
execFileSync('cmake', ['-S', 'native', '-B', build, '-DFUZZ=ON', '-DCMAKE_BUILD_TYPE=RelWithDebInfo', compiler], show);
execFileSync('cmake', ['--build', build, '--parallel', '2', '--target', 'program_fuzzer', 'program_words'], show);
const fuzzer = join(build, 'program_fuzzer');
const tool = join(build, 'program_words');

// What the fuzzer keeps from run to run; what it begins with; failures of this run.
const [kept, seeds, failures] = ['fuzz-corpus', 'fuzz-seeds', `fuzz-failures-${Date.now()}`].map((name) =>
  join(build, name),
);
rmSync(seeds, { recursive: true, force: true });
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
const executions = stderr.match(/stat::number_of_executed_units:\s*(\d+)/)?.[1] ?? 'an unknown number of';
console.log(`${executions} executions in at most ${seconds} s.`);
const found = readdirSync(failures).map((name) => relative(root, join(failures, name)));
if (status !== 0 || found.length > 0) {
  console.error(stderr.slice(-8000));
  for (const file of found) {
    console.error(`Failed: ${file}
  repeat it:     ${relative(root, fuzzer)} -timeout=10 -rss_limit_mb=2048 ${file}
  as a text for native/fuzz/corpus:  ${relative(root, tool)} text ${file}`);
  }
  process.exitCode = 1;
}
