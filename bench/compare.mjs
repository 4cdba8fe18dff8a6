// The project beside its peers, in turns, so that a machine that slows down for a while slows all of them.
//
//   node bench/compare.mjs DIR [--task train|predict|matmul] [--rounds 5] [--network 784-128-10|lenet5|mnist-cnn]
//                          [--optimizer adam|nesterov] [--batch 128] [--samples 60000] [--peers FOLDER]
//                          [--python python3] [--json]
//
// DIR holds MNIST's four raw IDX files; matmul needs none. Convolutional networks take batches of 64 where nothing is said.
// FOLDER is a folder in which bench/peers/package.json was installed. A peer that is not installed is left out, with the
// reason. See README.md beside this file.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { table } from '../build-ts/cli/ui/tables.js';
import { isConvolutional } from './peers/networks.mjs';

const execute = promisify(execFile);
const here = dirname(fileURLToPath(import.meta.url));
const peer = (file) => join(here, 'peers', file);
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    task: { type: 'string', default: 'train' },
    rounds: { type: 'string', default: '5' },
    network: { type: 'string', default: '784-128-10' },
    optimizer: { type: 'string', default: 'adam' },
    batch: { type: 'string' },
    samples: { type: 'string', default: '60000' },
    peers: { type: 'string', default: peer('.') },
    python: { type: 'string', default: 'python3' },
    json: { type: 'boolean', default: false },
  },
});
const [dir = '.'] = positionals;
values.batch ??= isConvolutional(values.network) ? '64' : '128';
const work = mkdtempSync(join(tmpdir(), 'mnist-train-peers-'));
const tasks = { train: trainContenders, predict: predictContenders, matmul: matmulContenders };
try {
  if (!Object.hasOwn(tasks, values.task)) {
    throw new Error(`Expected one of ${Object.keys(tasks).join(', ')} for --task, received ${values.task}.`);
  }
  const rounds = Number(values.rounds);
  if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error('Expected a whole number from 1 for --rounds.');
  report(await takeTurns(await tasks[values.task](), rounds));
} finally {
  rmSync(work, { recursive: true });
}

/** A way to do the work: a program that prints one JSON object of numbers. */
function program(title, command, args, env = {}) {
  return {
    title,
    run: async () => {
      const { stdout } = await execute(command, args, { env: { ...process.env, ...env }, maxBuffer: 1 << 24 });
      return JSON.parse(stdout.trim().split('\n').at(-1));
    },
  };
}

/** Runs every contender once a round, slow ones in the first alone; one that fails in the first round is left out. */
async function takeTurns(contenders, rounds) {
  const able = contenders.map((contender) => ({ ...contender, results: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const contender of [...able]) {
      if (contender.slow && round > 0) continue;
      try {
        contender.results.push(await contender.run());
      } catch (error) {
        if (round > 0 || contender.required) throw error;
        console.error(`Left out: ${contender.title}. ${lastLine(error)}`);
        able.splice(able.indexOf(contender), 1);
      }
    }
  }
  return able;
}

/** The line of an error's text that says what happened: Node prints a stack and its version behind it. */
function lastLine(error) {
  const lines = String(error.stderr || error.message)
    .trim()
    .split('\n');
  return lines.findLast((line) => /^\w*Error\b/.test(line)) ?? lines.at(-1);
}

function networkOptions() {
  return ['network', 'optimizer', 'batch', 'samples'].flatMap((name) => [`--${name}`, values[name]]);
}

function ours(task, threads, backend = 'native') {
  const options = [...networkOptions(), '--backend', backend];
  const title =
    backend === 'js' ? 'mnist-train, TypeScript' : `mnist-train, native, ${threads} thread${threads > 1 ? 's' : ''}`;
  const args = [peer('mnist-train.mjs'), task, resolve(dir), ...options, '--threads', String(threads)];
  const slow = backend === 'js' && isConvolutional(values.network);
  return { ...program(title, process.execPath, args), required: true, slow };
}

function trainContenders() {
  const { python, peers } = values;
  const options = [resolve(dir), ...networkOptions()];
  const torch = (title, threads, env) =>
    program(`PyTorch, ${title}`, python, [peer('pytorch.py'), ...options, '--threads', String(threads)], env);
  return [
    ours('train', 2),
    ours('train', 1),
    ours('train', 1, 'js'),
    // PyTorch's best setting depends on the shape: all that are sensible on two cores.
    torch('1 thread, BLAS free', 1),
    torch('1 thread, BLAS 1', 1, { OPENBLAS_NUM_THREADS: '1', OMP_NUM_THREADS: '1' }),
    torch('2 threads', 2),
    program('TensorFlow.js, wasm', process.execPath, [peer('tfjs.mjs'), ...options, '--modules', resolve(peers)]),
  ];
}

function predictContenders() {
  const { network } = values;
  const ort = (threads) =>
    program(`ONNX Runtime, ${threads} thread${threads > 1 ? 's' : ''}`, process.execPath, [
      ...[peer('onnxruntime.mjs'), '--modules', resolve(values.peers), '--threads', String(threads)],
    ]);
  const rivals = network === '784-128-10' ? [ort(1), ort(2)] : [];
  if (rivals.length === 0)
    console.error(`Left out: ONNX Runtime. Its script predicts by 784-128-10, not by ${network}.`);
  return [ours('predict', 2), ours('predict', 1), ours('predict', 1, 'js'), ...rivals];
}

async function matmulContenders() {
  const native = join(here, '..', 'native');
  const libraries = [
    { name: 'OpenBLAS', define: 'USE_OPENBLAS', link: ['-lopenblas'], variable: 'OPENBLAS_NUM_THREADS' },
    { name: 'oneDNN', define: 'USE_ONEDNN', link: ['-ldnnl'], variable: 'OMP_NUM_THREADS' },
  ];
  const own = { define: 'USE_MNIST_TRAIN', variable: 'MNIST_TRAIN_THREADS' };
  const sources = ['engine/thread_team.cc', 'targets/cpu_features.cc', 'targets/dispatch.cc'];
  const link = [...sources.map((file) => join(native, file)), ...(await compileKernels(native)), '-lpthread'];
  const programs = [{ name: 'mnist-train', ...own, link, required: true }, ...libraries];
  const contenders = [];
  for (const { name, define, link, variable, required } of programs) {
    const binary = join(work, define);
    try {
      await execute('g++', ['-O2', '-std=c++17', `-D${define}`, '-o', binary, peer('sgemm.cpp'), ...link]);
    } catch (error) {
      if (required) throw error;
      console.error(`Left out: ${name}. ${lastLine(error)}`);
      continue;
    }
    for (const threads of ['1', '2']) {
      contenders.push({ ...program(`${name} ${threads}`, binary, [], { [variable]: threads }), required });
    }
  }
  return contenders;
}

/** The kernels of this processor's instruction sets as objects, with the flags of native/mnist_train.gypi. */
async function compileKernels(native) {
  const flags = ['-O3', '-std=c++17', '-ffp-contract=off', '-fno-exceptions', '-fno-rtti', '-w', '-c'];
  const targets =
    process.arch === 'arm64'
      ? { neon: [] }
      : { avx2: ['-mavx2', '-mfma'], avx512: ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl'] };
  const compiled = Object.entries(targets).map(async ([isa, isaFlags]) => {
    const object = join(work, `${isa}.o`);
    await execute('g++', [...flags, ...isaFlags, join(native, 'targets', `${isa}.cc`), '-o', object]);
    return object;
  });
  return Promise.all(compiled);
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median, least and greatest of one figure over the rounds. */
function spread({ results }, key) {
  const numbers = results.map((result) => result[key]);
  return { median: median(numbers), min: Math.min(...numbers), max: Math.max(...numbers) };
}

function report(contenders) {
  if (values.task === 'matmul') return reportMatmul(contenders);
  // Times are better small, rates large; the ratio is how many times as long a peer takes as the first row.
  const figures =
    values.task === 'train'
      ? [{ key: 'seconds', digits: 3, isRate: false }]
      : [
          { key: 'microseconds', digits: 1, isRate: false },
          { key: 'imagesPerSecond', digits: 0, isRate: true },
        ];
  for (const { key, digits, isRate } of figures) {
    const first = spread(contenders[0], key).median;
    const rows = contenders.map((contender) => {
      const { median: middle, min, max } = spread(contender, key);
      const ratio = isRate ? first / middle : middle / first;
      if (values.json) console.log(JSON.stringify({ contender: contender.title, [key]: middle, min, max, ratio }));
      return [contender.title, ...[middle, min, max].map((value) => value.toFixed(digits)), ratio.toFixed(2)];
    });
    const columns = [{ title: key, align: 'left' }, ...['median', 'min', 'max', 'ratio'].map((title) => ({ title }))];
    if (!values.json) console.log(`${table(columns, rows)}\n`);
  }
}

/** GFLOP/s by shape, and the project's over the better of the libraries, with one thread and with two. */
function reportMatmul(contenders) {
  for (const threads of ['1', '2']) {
    const [project, ...rivals] = contenders.filter(({ title }) => title.endsWith(` ${threads}`));
    const rows = Object.keys(project.results[0]).map((name) => {
      const own = spread(project, name).median;
      const others = rivals.map((rival) => spread(rival, name).median);
      const ratio = own / Math.max(...others);
      if (values.json) {
        const peers = Object.fromEntries(rivals.map(({ title }, index) => [title, others[index]]));
        console.log(JSON.stringify({ name, threads: Number(threads), gflops: own, peers, ratio }));
      }
      return [name, ...[own, ...others].map((gflops) => gflops.toFixed(1)), others.length > 0 ? ratio.toFixed(2) : ''];
    });
    const titles = ['mnist-train', ...rivals.map(({ title }) => title.replace(/ \d$/, '')), 'ratio'];
    const columns = [{ title: `GFLOP/s, threads: ${threads}`, align: 'left' }, ...titles.map((title) => ({ title }))];
    if (!values.json) console.log(`${table(columns, rows)}\n`);
  }
}
