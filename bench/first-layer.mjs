// What lists of non-zeros give: all work of the first layer of 784-128-10 in a training step (batch, forward, gradient
// with Adam's update) with lists allowed, beside the same with dense kernels only. The two take turns, a sample of about
// 30 ms each, so that a machine that slows down for a while slows both.
//
//   node bench/first-layer.mjs [--rounds 15] [--batch 128] [--units 128] [--data-dir DIR]
//
// Data: MNIST and Fashion-MNIST where they are on this machine (DIR or the cache, see README.md beside this file), and
// noise without a zero, where looking for zeros can only cost.
import { parseArgs } from 'node:util';
import { createNativeBackend } from '../build-ts/backends/native/backend.js';
import { requireAddon } from '../build-ts/backends/native/load.js';
import { nativeInstructionSets } from '../build-ts/backends/native/machine.js';
import { median } from '../build-ts/cli/bench/measure.js';
import { duration } from '../build-ts/cli/ui/format.js';
import { loadDataset } from '../build-ts/data/load.js';
import { atOnce } from '../build-ts/pieces.js';
import { ProgramBuilder } from '../build-ts/program/builder.js';
import { fuseProgram } from '../build-ts/program/fuse.js';

const SAMPLES = 12_800;
const INPUTS = 784;
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    batch: { type: 'string', default: '128' },
    units: { type: 'string', default: '128' },
    'data-dir': { type: 'string' },
  },
});
const [rounds, batch, units] = [values.rounds, values.batch, values.units].map(Number);

for (const { title, inputs } of await datasets()) {
  console.log(
    `\n${title}: ${((100 * inputs.filter(Boolean).length) / inputs.length).toFixed(0)} % of the pixels not zero`,
  );
  for (const isa of nativeInstructionSets(requireAddon())) {
    for (const threads of [1, 2]) await compare(inputs, isa, threads);
  }
}

async function compare(inputs, isa, threads) {
  const contenders = [true, false].map((lists) => open(inputs, isa, threads, lists));
  const times = contenders.map(() => []);
  const ratios = [];
  for (const { run } of contenders) await run(3);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { run }] of contenders.entries()) times[index].push(await run(1));
    ratios.push(times[1].at(-1) / times[0].at(-1));
  }
  for (const { session } of contenders) session.dispose();
  const [withLists, dense] = times.map((samples) => duration(median(samples)).padStart(9));
  const spread = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`;
  console.log(
    `  ${isa.padEnd(8)}${threads} thread${threads > 1 ? 's' : ' '}  lists allowed ${withLists}  dense ${dense}` +
      `  ratio ${median(ratios).toFixed(2)} (${spread})`,
  );
}

/** Opens the layer; `run` goes through the data so many times and returns the seconds of a step. */
function open(inputs, isa, threads, lists) {
  const backend = createNativeBackend({ isa });
  const program = firstLayer(lists);
  const session = backend.open(program, { threads });
  atOnce(session.write('weights', ramp(INPUTS * units)));
  atOnce(session.write('bias', ramp(units)));
  atOnce(session.write('train/dOutput', ramp(program.sections.train.capacity * units)));
  const count = inputs.length / INPUTS;
  const data = atOnce(backend.bind({ inputs, targets: new Int32Array(count), count }));
  // Shuffled, as training has it; any order will do.
  const order = Uint32Array.from({ length: count }, (_, index) => (index * 7919) % count);
  const steps = Math.ceil(count / batch);
  const scalars = Float32Array.from({ length: 3 * steps }, (_, index) => [1e-9, 1, 1][index % 3]);
  const run = async (repetitions) => {
    const start = performance.now();
    for (let i = 0; i < repetitions; i++) await session.run('train', data, order, { batchSize: batch, scalars });
    return (performance.now() - start) / 1000 / repetitions / steps;
  };
  return { run, session };
}

function firstLayer(lists) {
  // Beyond a capacity of 4 million values a batch is never made into lists: that leaves the dense kernels.
  const builder = new ProgramBuilder().section('train', lists ? batch : Math.ceil(2 ** 22 / INPUTS) + batch);
  const input = builder.batched('inputs', [INPUTS], 'input');
  const [weights, bias] = [
    builder.persistent('weights', 'parameter', [INPUTS, units]),
    builder.persistent('bias', 'parameter', [units]),
  ];
  const [output, dOutput] = [builder.batched('output', [units]), builder.batched('dOutput', [units])];
  const dWeights = builder.fixed('dWeights', [INPUTS, units], 'gradient');
  builder.add({ op: 'gather', source: 'inputs', output: input });
  builder.add({ op: 'dense', input, weights, bias, output, activation: 'relu', negativeSlope: 0 });
  const gradients = { dWeights, dBias: null, dInput: null, update: false };
  builder.add({ op: 'denseBackward', input, weights, dOutput, ...gradients });
  builder.add({
    op: 'adam',
    parameter: weights,
    gradient: dWeights,
    firstMoment: builder.persistent('firstMoment', 'slot', [INPUTS, units]),
    secondMoment: builder.persistent('secondMoment', 'slot', [INPUTS, units]),
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    stepSize: builder.scalar('stepSize'),
    correction: builder.scalar('correction'),
    decay: builder.scalar('decay'),
  });
  const program = fuseProgram(builder.build());
  return lists ? program : { ...program, buffers: program.buffers.map((buffer) => ({ ...buffer, sparse: false })) };
}

async function datasets() {
  const found = [];
  for (const name of ['mnist', 'fashion-mnist']) {
    try {
      const { train } = await loadDataset(name, { download: false, dataDir: values['data-dir'] });
      found.push({ title: name, inputs: train.inputs.subarray(0, SAMPLES * INPUTS) });
    } catch (error) {
      console.error(`Left out: ${name}. ${error.message}`);
    }
  }
  // Every pixel from 1 to 255, by a multiplicative hash of its place.
  const noise = Uint8Array.from({ length: SAMPLES * INPUTS }, (_, i) => (Math.imul(i, 0x9e3779b1) >>> 24) | 1);
  return [...found, { title: 'noise', inputs: noise }];
}

/** Values without a zero among them, from -0.1 to 0.1. */
function ramp(size) {
  return Float32Array.from({ length: size }, (_, index) => (((index * 37) % 101) / 50 - 1 + 1 / 128) / 10);
}
