// Builds the addon under the address, undefined-behaviour and thread sanitizers of gcc and runs the native tests and the
// embedding fixtures with each: node scripts/test-sanitizers.mjs [address,undefined] [thread]. Linux only.
import { execFileSync, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const fixtures = join(root, 'tests', 'embedding', 'fixtures');

const LANES = {
  'address,undefined': {
    folder: 'build-asan',
    library: 'libasan.so',
    report: /AddressSanitizer|LeakSanitizer|runtime error:/,
    env: {
      UBSAN_OPTIONS: 'print_stacktrace=1',
      LSAN_OPTIONS: `suppressions=${join(root, 'scripts', 'lsan.supp')}:print_suppressions=0`,
      // Suppressions match any frame: with whole stacks they would hide the addon's own leaks.
      ASAN_OPTIONS: 'detect_leaks=1:malloc_context_size=2',
    },
  },
  thread: {
    folder: 'build-tsan',
    library: 'libtsan.so',
    report: /ThreadSanitizer/,
    env: { TSAN_OPTIONS: `suppressions=${join(root, 'scripts', 'tsan.supp')}` },
  },
};

/** Arguments of node, and the exit status or signal that the fixture has to end with. */
const RUNS = [
  [['terminations.mjs', '60', '8'], 0],
  [['workers.mjs'], 0],
  [['budget.mjs', '4', '2'], 0],
  [['event-loop.mjs'], 0],
  [['churn.mjs'], 0, ['--expose-gc']],
  [['disposed.mjs'], 0, ['--expose-gc']],
  [['exit.mjs', 'exit'], 7],
  [['exit.mjs', 'throw'], 1],
  [['exit.mjs', 'signal'], 'SIGTERM'],
];

const chosen = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(LANES);
let failures = 0;
for (const name of chosen) {
  const lane = LANES[name];
  if (!lane) throw new Error(`Expected one of ${Object.keys(LANES).join(' ')}, received ${name}.`);
  runLane(name, lane);
}
process.exitCode = failures > 0 ? 1 : 0;

function runLane(name, { folder, library, report, env }) {
  const out = join(root, folder);
  const compile = [
    'cmake-js',
    'compile',
    '-d',
    'native',
    '--out',
    folder,
    '-B',
    'RelWithDebInfo',
    `--CDSANITIZE=${name}`,
  ];
  execFileSync('npx', compile, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  check(
    name,
    'ctest',
    spawnSync('ctest', ['--test-dir', out, '--output-on-failure'], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    }),
    0,
    report,
  );
  const preload = execFileSync('gcc', [`-print-file-name=${library}`], { encoding: 'utf8' }).trim();
  const addon = join(out, 'RelWithDebInfo', 'mnist_train.node');
  for (const [[file, ...args], wanted, flags = []] of RUNS) {
    const result = spawnSync(process.execPath, [...flags, join(fixtures, file), ...args], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, ...env, LD_PRELOAD: preload, MNIST_TRAIN_ADDON: addon },
    });
    check(name, [file, ...args].join(' '), result, wanted, report);
  }
}

function check(lane, what, { status, signal, stdout, stderr }, wanted, report) {
  const output = `${stdout}${stderr}`;
  const sound = (signal ?? status) === wanted && !report.test(output);
  console.log(`${sound ? 'ok    ' : 'FAILED'} ${lane}: ${what}`);
  if (sound) return;
  failures++;
  console.log(`ended with ${signal ?? status}, expected ${wanted}\n${output.slice(-6000)}`);
}
