import type { Backend } from '../../backends/backend.js';
import { type Sequential, sequential } from '../../index.js';
import { ProgramBuilder } from '../../program/builder.js';
import { DEFAULTS, layersOf, optimizerOf } from '../model.js';
import type { BenchData } from './data.js';

/** A piece of work that any backend can do. */
export interface Benchmark {
  name: string;
  /** Floating-point operations of one repetition, a multiply-add counted as two, zeros counted as well. */
  flops?: number;
  /** Images that one repetition goes through. */
  images?: number;
  /** True for work long enough to be timed by itself. */
  long?: boolean;
  open(backend: Backend, threads: number): Work;
}

export interface Work {
  /** Returns seconds. */
  run(repetitions: number): Promise<number>;
  close(): void;
}

/** [m, k, n]: the two layers of the default model at batch 128, its first weight gradient, and a large square. */
const MATMUL_SHAPES = [
  [128, 784, 128],
  [128, 128, 10],
  [784, 128, 128],
  [512, 512, 512],
] as const;
/** Images of one training-step sample: a few steps per fit, so that what is done once per fit does not count. */
const STEPS = 32;
const PREDICTED = 1000;

export function benchmarks(data: BenchData): Benchmark[] {
  const { batchSize } = DEFAULTS;
  const steps = part(data, STEPS * batchSize);
  return [
    ...MATMUL_SHAPES.map(([m, k, n]) => matmul(m, k, n)),
    {
      name: `training step, batch ${batchSize}`,
      images: batchSize,
      open: (backend, threads) => {
        const model = compiledModel(backend, threads);
        const run = async (repetitions: number) => (await trainSeconds(model, steps, repetitions)) / STEPS;
        return { run, close: () => model.dispose() };
      },
    },
    {
      name: `epoch of ${data.count} images, batch ${batchSize}`,
      images: data.count,
      long: true,
      open: (backend, threads) => {
        const model = compiledModel(backend, threads);
        return { run: (repetitions) => trainSeconds(model, data, repetitions), close: () => model.dispose() };
      },
    },
    {
      name: 'prediction of one image',
      images: 1,
      open: (backend, threads) => {
        const model = compiledModel(backend, threads);
        const [image, probabilities] = [data.inputs.subarray(0, 784), new Float32Array(10)];
        return {
          run: (repetitions) =>
            seconds(() => {
              for (let repetition = 0; repetition < repetitions; repetition++) model.predictSync(image, probabilities);
            }),
          close: () => model.dispose(),
        };
      },
    },
    {
      name: `prediction of ${PREDICTED} images`,
      images: PREDICTED,
      open: (backend, threads) => {
        const model = compiledModel(backend, threads);
        const { inputs } = part(data, PREDICTED);
        return {
          run: (repetitions) =>
            seconds(async () => {
              for (let repetition = 0; repetition < repetitions; repetition++) await model.predict(inputs);
            }),
          close: () => model.dispose(),
        };
      },
    },
  ];
}

function matmul(m: number, k: number, n: number): Benchmark {
  return {
    name: `matmul ${m}x${k}x${n}`,
    flops: 2 * m * k * n,
    open: (backend, threads) => {
      const builder = new ProgramBuilder().section('train', 1);
      const [a, b] = [builder.fixed('a', [m, k]), builder.fixed('b', [k, n])];
      const output = builder.fixed('output', [m, n]);
      builder.add({ op: 'matmul', a, b, output, transposeA: false, transposeB: false });
      const session = backend.open(builder.build(), { threads });
      session.write(a, ramp(m * k));
      session.write(b, ramp(k * n));
      return {
        // A step is a product, and a run has many: crossing into the backend once costs nothing per product.
        run: (repetitions) =>
          seconds(() =>
            session.run('train', null, new Uint32Array(repetitions), { batchSize: 1, scalars: new Float32Array(0) }),
          ),
        close: () => session.dispose(),
      };
    },
  };
}

/** Values without a zero among them, from -1 to 1. */
function ramp(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, index) => ((index * 37) % 101) / 50 - 1 + 1 / 128);
}

function part({ inputs, targets }: BenchData, count: number) {
  return { inputs: inputs.subarray(0, count * 784), targets: targets.subarray(0, count), count };
}

/** The model that `train` makes without options. */
function compiledModel(backend: Backend, threads: number): Sequential {
  const { hidden, activation, optimizer, schedule, momentum, seed } = DEFAULTS;
  const model = sequential(layersOf(hidden, activation, 10), { inputShape: [28, 28, 1], seed, backend, threads });
  model.compile({
    optimizer: optimizerOf({ optimizer, schedule, momentum, learningRate: DEFAULTS.learningRate[optimizer] }),
    loss: 'categoricalCrossentropy',
  });
  return model;
}

async function trainSeconds(model: Sequential, data: Omit<BenchData, 'title'>, epochs: number): Promise<number> {
  const { inputs, targets } = data;
  return (await model.fit({ inputs, targets }, { epochs, batchSize: DEFAULTS.batchSize })).trainSeconds;
}

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
