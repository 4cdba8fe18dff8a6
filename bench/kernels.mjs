// Micro-benchmarks of single operations, on the shapes of training steps of 784-128-10 and of convolutional networks at
// batch 128: every instruction set of the native backend with one thread, and TypeScript.
//
//   npm run bench                       all of them
//   npm run bench -- adam               those with "adam" in their name
import { Bench } from 'tinybench';
import { createNativeBackend } from '../build-ts/backends/native/backend.js';
import { requireAddon } from '../build-ts/backends/native/load.js';
import { nativeInstructionSets } from '../build-ts/backends/native/machine.js';
import { selectBackend } from '../build-ts/backends/select.js';
import { syntheticImages } from '../build-ts/cli/bench/data.js';
import { ramp } from '../build-ts/cli/bench/matmul.js';
import { duration } from '../build-ts/cli/ui/format.js';
import { atOnce } from '../build-ts/pieces.js';
import { ProgramBuilder } from '../build-ts/program/builder.js';
import { imageCases } from './image-cases.mjs';

const ROWS = 128;
/** Operations per call, since crossing into the backend is not what is measured here, and the least calls of each. */
const EFFORT = { steps: { native: 64, js: 4 }, iterations: 64, warmupIterations: 16 };
/** For operations that take milliseconds, and a tenth of a second in TypeScript. */
const IMAGE_EFFORT = { steps: { native: 4, js: 1 }, iterations: 5, warmupIterations: 1 };
const MILLISECONDS = 200;

const [filter = ''] = process.argv.slice(2);
const backends = [
  ...nativeInstructionSets(requireAddon()).map((isa) => createNativeBackend({ isa })),
  selectBackend('js'),
];

for (const { name, declare, steps, ...least } of allCases()) {
  if (!name.includes(filter)) continue;
  const opened = backends.map((backend) => open(backend, declare, steps[backend.name]));
  try {
    const bench = new Bench({ time: MILLISECONDS, warmupTime: MILLISECONDS / 4, ...least });
    for (const { title, run } of opened) bench.add(title, run);
    await bench.run();
    console.log(`\n${name}`);
    const medians = bench.tasks.map(({ result }, index) => medianOf(result) / opened[index].steps);
    for (const [index, { title }] of opened.entries()) {
      const ratio = (medians[0] / medians[index]).toPrecision(3);
      const { rme, samplesCount } = bench.tasks[index].result.latency;
      console.log(
        `  ${title.padEnd(16)}${duration(medians[index] / 1000).padStart(12)}` +
          `${`± ${rme.toFixed(1)} %`.padStart(10)}${String(samplesCount).padStart(7)} samples${ratio.padStart(9)}`,
      );
    }
  } finally {
    for (const { session } of opened) session.dispose();
  }
}

/** Milliseconds; throws what the work threw. */
function medianOf(result) {
  if (result.state !== 'completed') throw result.error ?? new Error(`The benchmark ended as ${result.state}.`);
  return result.latency.p50;
}

/** Opens a program of one operation, its buffers filled, to be run `steps` times a call. */
function open(backend, declare, steps) {
  const builder = new ProgramBuilder().section('train', ROWS);
  const { op, values = {}, scalars = [], data = null } = declare(builder);
  builder.add(op);
  const session = backend.open(builder.build(), { threads: 1 });
  for (const [buffer, content] of Object.entries(values)) atOnce(session.write(buffer, content));
  const bound = data && atOnce(backend.bind(data));
  const order = Uint32Array.from({ length: steps * ROWS }, (_, index) => (data ? index % data.count : 0));
  const rows = Float32Array.from({ length: scalars.length * steps }, (_, index) => scalars[index % scalars.length]);
  const plan = { batchSize: ROWS, scalars: rows };
  return {
    title: backend.isa ?? 'TypeScript',
    steps,
    session,
    run: async () => {
      await session.run('train', bound, order, plan);
    },
  };
}

/** As sparse as MNIST's images: 81 % zeros. */
function pixels(rows) {
  return Float32Array.from(syntheticImages(rows).inputs, (value) => value / 255);
}

function allCases() {
  return [
    ...cases().map((each) => ({ ...EFFORT, ...each })),
    ...imageCases(ROWS).map((each) => ({ ...IMAGE_EFFORT, ...each })),
  ];
}

function cases() {
  return [
    {
      name: `gather ${ROWS} images`,
      declare: (builder) => ({
        op: { op: 'gather', source: 'inputs', output: builder.batched('output', [784]) },
        data: syntheticImages(8 * ROWS),
      }),
    },
    dense(784, 128, 'relu', pixels(ROWS), 'sparse'),
    dense(784, 128, 'relu', ramp(ROWS * 784), 'without zeros'),
    dense(128, 10, 'linear', ramp(ROWS * 128), 'without zeros'),
    denseBackward(784, 128, pixels(ROWS), 'sparse', false),
    denseBackward(784, 128, ramp(ROWS * 784), 'without zeros', false),
    denseBackward(128, 10, ramp(ROWS * 128), 'with dInput', true),
    ...['relu', 'sigmoid', 'tanh', 'gelu'].flatMap((activation) => [
      forwardActivation(activation),
      backwardActivation(activation),
    ]),
    softmax(),
    crossEntropy(),
    sgd(),
    adam(),
  ];
}

function dense(inputs, units, activation, input, what) {
  return {
    name: `dense ${ROWS}x${inputs} to ${units}, ${activation}, input ${what}`,
    declare: (builder) => {
      const op = {
        op: 'dense',
        input: builder.batched('input', [inputs]),
        weights: builder.persistent('weights', 'parameter', [inputs, units]),
        bias: builder.persistent('bias', 'parameter', [units]),
        output: builder.batched('output', [units]),
        activation,
        negativeSlope: 0,
      };
      return { op, values: { [op.input]: input, weights: ramp(inputs * units), bias: ramp(units) } };
    },
  };
}

function denseBackward(inputs, units, input, what, wantsInput) {
  return {
    name: `denseBackward ${ROWS}x${inputs} to ${units}, ${what}`,
    declare: (builder) => {
      const op = {
        op: 'denseBackward',
        input: builder.batched('input', [inputs]),
        weights: builder.persistent('weights', 'parameter', [inputs, units]),
        dOutput: builder.batched('dOutput', [units]),
        dWeights: builder.fixed('dWeights', [inputs, units], 'gradient'),
        dBias: builder.fixed('dBias', [units], 'gradient'),
        dInput: wantsInput ? builder.batched('dInput', [inputs]) : null,
        update: false,
      };
      return { op, values: { [op.input]: input, weights: ramp(inputs * units), [op.dOutput]: ramp(ROWS * units) } };
    },
  };
}

function forwardActivation(activation) {
  return {
    name: `activation ${activation} ${ROWS}x128`,
    declare: (builder) => {
      const [input, output] = [builder.batched('input', [128]), builder.batched('output', [128])];
      const op = { op: 'activation', input, output, activation, negativeSlope: 0 };
      return { op, values: { [input]: ramp(ROWS * 128) } };
    },
  };
}

function backwardActivation(activation) {
  return {
    name: `activationBackward ${activation} ${ROWS}x128`,
    declare: (builder) => {
      const [reference, dOutput] = [builder.batched('reference', [128]), builder.batched('dOutput', [128])];
      const dInput = builder.batched('dInput', [128]);
      const op = { op: 'activationBackward', reference, dOutput, dInput, activation, negativeSlope: 0 };
      return { op, values: { [reference]: ramp(ROWS * 128), [dOutput]: ramp(ROWS * 128) } };
    },
  };
}

function softmax() {
  return {
    name: `softmax ${ROWS}x10`,
    declare: (builder) => {
      const [input, output] = [builder.batched('input', [10]), builder.batched('output', [10])];
      return { op: { op: 'softmax', input, output }, values: { [input]: ramp(ROWS * 10) } };
    },
  };
}

function crossEntropy() {
  return {
    name: `softmaxCrossEntropy ${ROWS}x10`,
    declare: (builder) => {
      const logits = builder.batched('logits', [10]);
      const targets = builder.batched('targets', [], 'activation', 'int32');
      const dLogits = builder.batched('dLogits', [10]);
      const op = { op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing: 0 };
      const classes = Float32Array.from({ length: ROWS }, (_, row) => row % 10);
      return { op, values: { [logits]: ramp(ROWS * 10), [targets]: classes } };
    },
  };
}

function sgd() {
  return {
    name: 'sgd 784x128, Nesterov',
    declare: (builder) => {
      const op = {
        op: 'sgd',
        parameter: builder.persistent('weights', 'parameter', [784, 128]),
        gradient: builder.fixed('gradient', [784, 128], 'gradient'),
        velocity: builder.persistent('velocity', 'slot', [784, 128]),
        learningRate: builder.scalar('learningRate'),
        momentum: 0.9,
        nesterov: true,
        weightDecay: 0,
      };
      return { op, values: { weights: ramp(784 * 128), [op.gradient]: ramp(784 * 128) }, scalars: [1e-6] };
    },
  };
}

function adam() {
  return {
    name: 'adam 784x128',
    declare: (builder) => {
      const op = {
        op: 'adam',
        parameter: builder.persistent('weights', 'parameter', [784, 128]),
        gradient: builder.fixed('gradient', [784, 128], 'gradient'),
        firstMoment: builder.persistent('firstMoment', 'slot', [784, 128]),
        secondMoment: builder.persistent('secondMoment', 'slot', [784, 128]),
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        stepSize: builder.scalar('stepSize'),
        correction: builder.scalar('correction'),
        decay: builder.scalar('decay'),
      };
      return { op, values: { weights: ramp(784 * 128), [op.gradient]: ramp(784 * 128) }, scalars: [1e-6, 1, 1] };
    },
  };
}
