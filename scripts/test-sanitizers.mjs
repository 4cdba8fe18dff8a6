// Native tests and embedding fixtures under gcc's address and undefined-behaviour sanitizers, its thread sanitizer and
// valgrind, and the proof that each of them notices bugs that were put in on purpose. Linux only.
//
//   node scripts/test-sanitizers.mjs [--quick | --prove] [--terminations N] [asan] [tsan] [valgrind]
//
// --quick is for continuous integration: one instruction set, shorter fixtures, and sanitizers without optimisation (most
// of the time goes into compiling kernels; under valgrind it goes into running them). --prove runs the proof alone, on the builds of --quick.
import { execFileSync, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ownNodeDir } from '../native/node-headers.mjs';

const root = resolve(import.meta.dirname, '..');
const fixtures = join(root, 'tests', 'embedding', 'fixtures');
const suppressions = (file) => `suppressions=${join(root, 'scripts', file)}`;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    prove: { type: 'boolean', default: false },
    terminations: { type: 'string' },
  },
});
const quick = values.quick || values.prove;
const terminations = values.terminations ?? (quick ? '12' : '60');
if (!(Number(terminations) > 0)) throw new Error(`Expected a number of terminations, received ${terminations}.`);

/** Arguments of node, and the exit status or signal that the fixture has to end with. */
const THREADED = [
  [['terminations.mjs', terminations, quick ? '4' : '8'], 0],
  [['workers.mjs'], 0],
  [['budget.mjs', '4', '2', quick ? '1' : '50'], 0],
  [['event-loop.mjs'], 0],
  [['exit.mjs', 'exit'], 7],
  [['exit.mjs', 'throw'], 1],
  [['exit.mjs', 'signal'], 'SIGTERM'],
];
const MEMORY = [
  [['churn.mjs', ...(quick ? ['5', '20'] : [])], 0, ['--expose-gc']],
  [['disposed.mjs', ...(quick ? ['6'] : [])], 0, ['--expose-gc']],
];

/** What each lane must say of the bugs of native/tests/injected_bugs.cc: `native` ones by themselves, `addon` in node. */
const LANES = {
  asan: {
    sanitize: 'address,undefined',
    library: 'libasan.so',
    reports: (output) => output.match(/.*(?:(?:Address|Leak)Sanitizer|runtime error).*/g) ?? [],
    env: {
      UBSAN_OPTIONS: 'print_stacktrace=1',
      LSAN_OPTIONS: `${suppressions('lsan.supp')}:print_suppressions=0`,
      // Suppressions match any frame: with whole stacks they would hide the addon's own leaks.
      ASAN_OPTIONS: 'detect_leaks=1:malloc_context_size=2',
    },
    tests: '.',
    // The thread lane runs the rest as well.
    runs: [
      ...(quick ? THREADED.filter(([[file]]) => !['budget.mjs', 'event-loop.mjs'].includes(file)) : THREADED),
      ...MEMORY,
    ],
    native: {
      'heap-read': /heap-buffer-overflow/,
      'heap-write': /heap-buffer-overflow/,
      'stack-read': /stack-buffer-overflow|out of bounds/,
      'use-after-free': /heap-use-after-free/,
      'double-free': /double-free/,
      leak: /memory leaks/,
      'int-overflow': /signed integer overflow/,
      shift: /shift exponent/,
      misaligned: /misaligned address/,
      'kernel-overflow': /heap-buffer-overflow/,
    },
    addon: {
      'heap-write': /heap-buffer-overflow/,
      leak: /memory leaks/,
      'int-overflow': /signed integer overflow/,
      'kernel-overflow': /heap-buffer-overflow/,
    },
  },
  tsan: {
    sanitize: 'thread',
    library: 'libtsan.so',
    reports: threadReports,
    // Races within Node.js are reported as well, and must not decide the exit status.
    env: { TSAN_OPTIONS: `${suppressions('tsan.supp')}:exitcode=0` },
    // The other tests have one thread.
    tests: quick ? '^(engine|thread_budget)_test$' : '.',
    runs: quick ? THREADED : [...THREADED, ...MEMORY],
    native: { race: /data race/, 'kernel-race': /data race/, deadlock: /lock-order-inversion/ },
    addon: { race: /data race/, 'kernel-race': /data race/, deadlock: /lock-order-inversion/ },
  },
  // It sees what gcc's sanitizers do not: values that nobody wrote, and masked loads and stores. It has no AVX-512.
  valgrind: {
    sanitize: '',
    reports: (output) => output.match(/^==\d+== (?:Invalid|.*uninitialised|.*definitely lost).*/gm) ?? [],
    // Its one thread at a time takes minutes for what others do in seconds.
    env: { MNIST_TRAIN_QUICK_TESTS: '1' },
    command: [
      'valgrind',
      '-q',
      '--fair-sched=try',
      '--error-exitcode=97',
      '--leak-check=full',
      '--errors-for-leak-kinds=definite',
    ],
    // What V8 compiles at run time works with values that were never written, and Node.js frees little at its end.
    nodeCommand: ['valgrind', '-q', '--error-exitcode=97', '--undef-value-errors=no'],
    tests: quick
      ? '^(op_checks|regularization|thread_budget)_test$'
      : '^(augment|engine|op_checks|regularization|thread_budget)_test$',
    runs: [],
    native: {
      'heap-read': /Invalid read/,
      'heap-write': /Invalid write/,
      'use-after-free': /Invalid read/,
      'double-free': /Invalid free/,
      leak: /definitely lost/,
      uninitialised: /uninitialised value/,
      'kernel-overflow': /Invalid (?:read|write)/,
      'kernel-tail-overflow': /Invalid (?:read|write)/,
    },
    addon: { 'kernel-tail-overflow': /Invalid (?:read|write)/ },
  },
};

const chosen = positionals.length > 0 ? positionals : Object.keys(LANES);
let failures = 0;
/** When the line before was printed. */
let since = performance.now();
for (const name of chosen) {
  const lane = LANES[name];
  if (!lane) throw new Error(`Expected one of ${Object.keys(LANES).join(' ')}, received ${name}.`);
  runLane(name, lane);
}
process.exitCode = failures > 0 ? 1 : 0;

function runLane(name, lane) {
  const folder = quick ? `build-${name}-quick` : `build-${name}`;
  const out = join(root, folder);
  const tests = build(folder, lane);
  tell(true, name, 'built', '');
  const preload =
    lane.library && execFileSync('gcc', [`-print-file-name=${lane.library}`], { encoding: 'utf8' }).trim();
  const addon = join(out, 'RelWithDebInfo', 'mnist_train.node');
  const run = (command, env = {}) =>
    spawnSync(command[0], command.slice(1), {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: { ...process.env, ...lane.env, ...(quick && { MNIST_TRAIN_QUICK_TESTS: '1' }), ...env },
    });
  const runNative = (test, args) => run([...(lane.command ?? []), join(out, test), ...args]);
  const runNode = (args) =>
    run([...(lane.nodeCommand ?? []), process.execPath, ...args], {
      ...(preload && { LD_PRELOAD: preload }),
      MNIST_TRAIN_ADDON: addon,
    });

  for (const [bug, wanted] of Object.entries(lane.native)) {
    prove(name, bug, runNative('injected_bug', [bug]), lane, wanted);
  }
  const inject = 'require(process.env.MNIST_TRAIN_ADDON).inject(process.argv[1])';
  for (const [bug, wanted] of Object.entries(lane.addon)) {
    prove(name, `${bug}, called from node`, runNode(['--eval', inject, bug]), lane, wanted);
  }
  if (values.prove) return;
  for (const { name: test, command } of tests) check(name, test, runNative(test, command.slice(1)), lane, 0);
  for (const [[file, ...args], wanted, flags = []] of lane.runs) {
    check(name, [file, ...args].join(' '), runNode([...flags, join(fixtures, file), ...args]), lane, wanted);
  }
}

/** Builds what a lane runs, and returns ctest's list of its tests. */
function build(folder, { sanitize, tests }) {
  const oneSet = quick && process.arch === 'x64';
  const nodedir = ownNodeDir();
  const show = {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, ...(nodedir && { npm_config_nodedir: nodedir }) },
  };
  const options = [
    `--CDSANITIZE=${sanitize}`,
    `--CDINSTRUCTION_SET=${oneSet ? 'avx2' : ''}`,
    `--CDEXTRA_FLAGS=${quick && sanitize ? '-O0' : '-O1'};-g1`,
    '--CDINJECT=ON',
  ];
  execFileSync(
    'npx',
    ['cmake-js', 'configure', '-d', 'native', '--out', folder, '-B', 'RelWithDebInfo', ...options],
    show,
  );
  const list = () =>
    JSON.parse(
      execFileSync('ctest', ['--test-dir', folder, '-R', tests, '--show-only=json-v1'], {
        cwd: root,
        encoding: 'utf8',
      }),
    ).tests;
  const targets = [...(values.prove ? [] : list().map(({ name }) => name)), 'injected_bug', 'mnist_train'];
  execFileSync('cmake', ['--build', folder, '--parallel', '2', '--target', ...targets], show);
  // ctest knows the arguments of what has been built.
  return values.prove ? [] : list();
}

/** The thread sanitizer's reports, without races of which both sides were called by Node.js itself. */
function threadReports(output) {
  return output.split('==================').flatMap((block) => {
    const title = block.match(/WARNING: ThreadSanitizer: .*/)?.[0];
    if (!title) return [];
    const accesses = block.split('\n\n').filter((part) => /(?:write|read) of size \d+ at/i.test(part));
    // Node.js has no instrumented code: what it does is seen in functions of libraries that it calls, as far down as here.
    const ours = accesses.some((part) => {
      const frames = part.match(/^ +#\d+ .*$/gm) ?? [];
      const caller = frames.find((frame) => !/\((?:libtsan|libc|libstdc\+\+)\.so/.test(frame));
      return caller !== undefined && !caller.includes('(node+');
    });
    return accesses.length === 0 || ours ? [title] : [];
  });
}

function prove(lane, bug, { stdout, stderr }, { reports }, wanted) {
  const output = `${stdout}${stderr}`;
  const found = reports(output).find((report) => wanted.test(report));
  tell(found, lane, `notices ${bug}`, `expected ${wanted}, received\n${output}`);
}

function check(lane, what, { status, signal, stdout, stderr }, { reports }, wanted) {
  const output = `${stdout}${stderr}`;
  const sound = (signal ?? status) === wanted && reports(output).length === 0;
  tell(sound, lane, what, `ended with ${signal ?? status}, expected ${wanted}\n${output}`);
}

function tell(sound, lane, what, otherwise) {
  const seconds = (performance.now() - since) / 1000;
  since = performance.now();
  console.log(`${sound ? 'ok    ' : 'FAILED'} ${seconds.toFixed(1).padStart(5)} s  ${lane}: ${what}`);
  if (sound) return;
  failures++;
  console.log(otherwise.slice(-6000));
}
