import type { Backend } from '../../backends/backend.js';
import { adam, type Optimizer, type Sequential, sequential, sgd } from '../../index.js';
import { layersOf } from '../model.js';
import { type Benchmark, seconds } from './benchmark.js';
import type { BenchData } from './data.js';
import { median } from './measure.js';

const INPUTS = 784;
const CLASSES = 10;
const BATCH_SIZE = 128;
/** Images of one training-step sample: a few steps per fit, so that what is done once per fit does not count. */
const STEPS = 32;
const PREDICTED = 10_000;
/** predictSync takes turns among so many images: one alone would teach the branch predictor its zeros. */
const TURNS = 256;

type Images = Pick<BenchData, 'inputs' | 'targets'>;

interface Network {
  hidden: readonly number[];
  optimizer: Optimizer;
  /** Optimizer's name for people. */
  rule: string;
}

const ADAM = { optimizer: adam({ learningRate: 1e-3 }), rule: 'Adam' };
const NESTEROV = { optimizer: sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true }), rule: 'Nesterov' };

const SMALL: readonly Network[] = [
  { hidden: [128], ...ADAM },
  { hidden: [128], ...NESTEROV },
];
const LARGE: Network = { hidden: [512, 512], ...ADAM };

export function modelBenchmarks(data: BenchData): Benchmark[] {
  return [
    ...SMALL.flatMap((network) => [step(network, data), epoch(network, data)]),
    // Beside the same step on MNIST: what skipping zeros gives.
    step(SMALL[0], noise(STEPS * BATCH_SIZE), ', images without zeros'),
    step(LARGE, data),
    // 240 GFLOP: in TypeScript minutes, of which the step above tells as much.
    { ...epoch(LARGE, data), nativeOnly: true },
    oneImage(data),
    manyImages(data),
  ];
}

function step(network: Network, data: Images, note = ''): Benchmark {
  const images = part(data, STEPS * BATCH_SIZE);
  return {
    name: `training step ${titleOf(network)}, batch ${BATCH_SIZE}${note}`,
    flops: BATCH_SIZE * trainingFlops(network.hidden),
    images: BATCH_SIZE,
    open: (backend, threads) => {
      const model = compiledModel(network, backend, threads);
      const run = async (repetitions: number) => (await trainSeconds(model, images, repetitions)) / STEPS;
      return { run, close: () => model.dispose() };
    },
  };
}

function epoch(network: Network, data: BenchData): Benchmark {
  return {
    name: `epoch ${titleOf(network)}, batch ${BATCH_SIZE}, ${data.count} images`,
    flops: data.count * trainingFlops(network.hidden),
    images: data.count,
    open: (backend, threads) => {
      const model = compiledModel(network, backend, threads);
      return { run: (repetitions) => trainSeconds(model, data, repetitions), close: () => model.dispose() };
    },
  };
}

/** The median of single calls, each timed from outside: what a request handler waits for. */
function oneImage(data: BenchData): Benchmark {
  return {
    name: 'predictSync of one image, 784-128-10',
    images: 1,
    open: (backend, threads) => {
      const model = compiledModel(SMALL[0], backend, threads);
      const images = Array.from({ length: Math.min(TURNS, data.count) }, (_, index) =>
        data.inputs.subarray(index * INPUTS, (index + 1) * INPUTS),
      );
      const probabilities = new Float32Array(CLASSES);
      const run = async (repetitions: number) => {
        const times = new Float64Array(repetitions);
        for (let call = 0; call < repetitions; call++) {
          const image = images[call % images.length];
          const start = performance.now();
          model.predictSync(image, probabilities);
          times[call] = performance.now() - start;
        }
        return (median(times) / 1000) * repetitions;
      };
      return { run, close: () => model.dispose() };
    },
  };
}

function manyImages(data: BenchData): Benchmark {
  const { inputs, count } = part(data, PREDICTED);
  return {
    name: `predict of ${count} images, 784-128-10`,
    images: count,
    open: (backend, threads) => {
      const model = compiledModel(SMALL[0], backend, threads);
      const run = (repetitions: number) =>
        seconds(async () => {
          for (let call = 0; call < repetitions; call++) await model.predict(inputs);
        });
      return { run, close: () => model.dispose() };
    },
  };
}

const titleOf = ({ hidden, rule }: Network) => `${[INPUTS, ...hidden, CLASSES].join('-')} ${rule}`;

/** Every pixel from 1 to 255, by a multiplicative hash of its place. */
function noise(count: number): Images {
  const inputs = new Uint8Array(count * INPUTS);
  for (let place = 0; place < inputs.length; place++) inputs[place] = (Math.imul(place, 0x9e3779b1) >>> 24) | 1;
  return { inputs, targets: Uint8Array.from({ length: count }, (_, index) => index % CLASSES) };
}

function part({ inputs, targets }: Images, most: number) {
  const count = Math.min(most, targets.length);
  return { inputs: inputs.subarray(0, count * INPUTS), targets: targets.subarray(0, count), count };
}

function compiledModel({ hidden, optimizer }: Network, backend: Backend, threads: number): Sequential {
  const layers = layersOf(hidden, 'relu', CLASSES);
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: 42, backend, threads });
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  return model;
}

/**
 * Multiply-adds count two, zeros as well: forward, weight gradient, and the input gradient of every layer but the first,
 * whose input nobody trains.
 */
function trainingFlops(hidden: readonly number[]): number {
  const widths = [INPUTS, ...hidden, CLASSES];
  const layers = hidden.length + 1;
  let flops = 0;
  for (let layer = 0; layer < layers; layer++) flops += (layer === 0 ? 4 : 6) * widths[layer] * widths[layer + 1];
  return flops;
}

async function trainSeconds(model: Sequential, { inputs, targets }: Images, epochs: number): Promise<number> {
  return (await model.fit({ inputs, targets }, { epochs, batchSize: BATCH_SIZE })).trainSeconds;
}
