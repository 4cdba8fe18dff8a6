// Fuzzing for a while, with a seed of chance: npm run fuzz -- --minutes 30. A failure names what repeats it:
// npm run fuzz -- --target idx --seed 123 --path 45:0. Prints how many inputs each target saw. --quick: see fuzz-native.mjs.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const folder = join(root, 'tests', 'fuzz');

/**
 * Programs that run targets. Each gets the time of a target, the seed and the report file in the environment, and appends a
 * line to that for each target: {"target":"idx","accepted":10,"refused":90,"seconds":3.2}. One more program is one more entry.
 */
const PROGRAMS = [
  {
    targets: namesInTests(),
    command: ({ targets, path }) => [
      join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      ...['run', 'tests/fuzz', '--reporter=dot', '--maxWorkers=1'],
      ...['--testNamePattern', `fuzz (${targets.join('|')})$`],
      ...(path ? ['--bail=1'] : []),
    ],
  },
  {
    targets: ['program'],
    // All ops and how they are put together are behind one target.
    share: 8,
    command: ({ seconds, seed, quick }) => [
      join(root, 'scripts', 'fuzz-native.mjs'),
      ...['--minutes', String(seconds / 60), '--seed', seed, ...(quick ? ['--quick'] : [])],
    ],
  },
];

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    target: { type: 'string', multiple: true },
    path: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});
const { seed, path, quick } = values;
const minutes = Number(values.minutes);
if (!(minutes > 0)) stop(`Expected a number above 0 for --minutes, received ${values.minutes}.`);
if (!/^\d+$/.test(seed)) stop(`Expected a whole number for --seed, received ${seed}.`);
if (path !== undefined && values.target?.length !== 1) stop('Expected one --target with --path.');
const known = PROGRAMS.flatMap(({ targets }) => targets);
const unknown = values.target?.find((name) => !known.includes(name));
if (unknown) stop(`Expected one of ${known.join(', ')} for --target, received ${unknown}.`);

if (path !== undefined && values.target[0] === 'program') {
  stop('Expected another target with --path: a failure of program names a file, and how to run it again.');
}

const chosen = values.target ?? known;
const shares = PROGRAMS.flatMap(({ targets, share = 1 }) =>
  targets.filter((name) => chosen.includes(name)).map(() => share),
).reduce((sum, share) => sum + share, 0);
const each = (minutes * 60) / shares;
console.log(`fuzz: ${chosen.length} targets, ${each.toFixed(1)} seconds each, --seed ${seed}`);
const scratch = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-'));
const report = join(scratch, 'report.jsonl');
let failed = false;
try {
  for (const { targets, command, share = 1 } of PROGRAMS) {
    const mine = targets.filter((name) => chosen.includes(name));
    if (mine.length === 0) continue;
    const seconds = each * share;
    const env = {
      ...process.env,
      MNIST_TRAIN_FUZZ_SECONDS: String(seconds),
      MNIST_TRAIN_FUZZ_SEED: seed,
      MNIST_TRAIN_FUZZ_REPORT: report,
      ...(path && { MNIST_TRAIN_FUZZ_PATH: path }),
    };
    const { status } = spawnSync(process.execPath, command({ targets: mine, path, seconds, seed, quick }), {
      stdio: 'inherit',
      cwd: root,
      env,
    });
    failed ||= status !== 0;
  }
  failed = !showReport() || failed;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
if (failed && !path) {
  console.error(
    'fuzz: failed. Repeat with --target, --seed and --path from above; put what was found into tests/fuzz/corpus.',
  );
}
process.exitCode = failed ? 1 : 0;

/** Targets are found by the calls that make them. */
function namesInTests() {
  const tests = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));
  return tests.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(/\bfuzz\(\s*'([\w-]+)'/g)].map(([, target]) => target),
  );
}

/** A table of what ran; false when a target did not come to its end. */
function showReport() {
  let lines = [];
  try {
    lines = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  console.log(
    ['target'.padEnd(24), ...['inputs', 'accepted', 'refused', 'a second'].map((text) => text.padStart(10))].join(' '),
  );
  for (const { target, accepted, refused, seconds: took } of lines) {
    const inputs = accepted + refused;
    const numbers = [inputs, accepted, refused, Math.round(inputs / took)];
    console.log([target.padEnd(24), ...numbers.map((number) => String(number).padStart(10))].join(' '));
  }
  const missing = chosen.filter((name) => !lines.some(({ target }) => target === name));
  if (missing.length > 0) console.error(`fuzz: no report of ${missing.join(', ')}.`);
  return missing.length === 0;
}

function stop(message) {
  console.error(`fuzz: ${message}`);
  process.exit(2);
}
