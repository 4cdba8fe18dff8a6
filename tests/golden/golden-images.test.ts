import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  activation,
  adam,
  batchNormalization,
  conv2d,
  dense,
  maxPooling2d,
  type Padding,
  sequential,
  sgd,
} from '../../src/index.js';
import { windowsOf } from '../../src/layers/windows.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { partsOf, type Windows } from '../../src/program/ops.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { expectClose, type Numbers, yardstick } from '../helpers/golden.js';
import { writeNow } from '../helpers/sessions.js';

type Values = Record<string, Numbers>;

/** What a golden case has: values that go in, values that come out, and how far float32 puts PyTorch from these. */
interface Case {
  rows: number;
  image: [number, number, number];
  inputs: Values;
  outputs: Values;
  float32Deviation: Record<string, number>;
}

interface WindowCase extends Case {
  kernel: [number, number];
  strides: [number, number];
  padding: Padding;
}

interface ConvolutionCase extends WindowCase {
  filters: number;
  activation: 'linear' | 'relu';
  pool: boolean;
}

interface Golden {
  convolutions: ConvolutionCase[];
  pools: (WindowCase & { kind: 'max' | 'average' })[];
  batchNormalization: {
    momentum: number;
    epsilon: number;
    training: Case[];
    folding: (WindowCase & { filters: number })[];
  };
  training: {
    rows: number;
    image: [number, number, number];
    pixels: Numbers;
    targets: Numbers;
    parameters: Values;
    runs: {
      name: string;
      kind: 'sgd' | 'adam';
      options: { lr: number; momentum: number; betas: [number, number]; eps: number };
      losses: Numbers;
      /** Probabilities after the last step, by moving statistics. */
      answers: Numbers;
      parameters: Values;
      float32Deviation: Record<string, number>;
    }[];
  };
}

/** Made by make-golden-images.py. */
const golden: Golden = JSON.parse(readFileSync(new URL('golden-images.json', import.meta.url), 'utf8'));
const { momentum, epsilon } = golden.batchNormalization;

const windows = ({ image, kernel, strides, padding }: WindowCase) =>
  windowsOf('the golden case', image, { kernel, strides, padding });
const describeWindows = ({ rows, image, kernel, strides, padding }: WindowCase) =>
  `${rows} × ${image.join('×')}, ${kernel.join('×')} by ${strides}, ${padding}`;

/** A program of one section, whose buffers are filled with a case's inputs and compared with its outputs. */
class GoldenProgram {
  readonly builder: ProgramBuilder;
  readonly #case: Case;
  readonly #buffers = new Map<string, string>();

  constructor(wanted: Case) {
    this.#case = wanted;
    this.builder = new ProgramBuilder().section('train', wanted.rows);
  }

  /** A buffer of a row per sample, under the name that the case has for it. */
  batched(name: string): string {
    const { inputs, outputs, rows } = this.#case;
    const size = (inputs[name] ?? outputs[name]).length / rows;
    return this.#keep(name, this.builder.batched(name, [size]));
  }

  parameter(name: string, shape: readonly number[]): string {
    return this.#keep(name, this.builder.persistent(name, 'parameter', shape));
  }

  /** A gradient that is made in parts: the parts' buffer. Call `addUp` behind the op that makes them. */
  parts(name: string, shape: readonly number[]): string {
    return this.builder.fixed(`${name}Parts`, [partsOf(this.#case.rows), ...shape], 'gradient');
  }

  addUp(name: string, parts: string): string {
    const output = this.builder.fixed(name, this.builder.shapeOf(parts).slice(1), 'gradient');
    this.builder.add({ op: 'sumParts', parts, output });
    return this.#keep(name, output);
  }

  #keep(name: string, buffer: string): string {
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** Runs one step and compares every output of the case; moving statistics are inputs and outputs. */
  async compareOn(backend: Backend): Promise<void> {
    const { rows, inputs, outputs, float32Deviation } = this.#case;
    const session = backend.open(this.builder.build());
    try {
      for (const [name, values] of Object.entries(inputs))
        writeNow(session, this.#buffers.get(name)!, Float32Array.from(values));
      await session.run('train', null, new Uint32Array(rows), { batchSize: rows, scalars: new Float32Array(0) });
      for (const [name, values] of Object.entries(outputs)) {
        const tolerance = yardstick(float32Deviation[name], values, 4);
        expectClose(atOnce(session.read(this.#buffers.get(name)!)), values, tolerance, name);
      }
    } finally {
      session.dispose();
    }
  }
}

/** As ops have it: a row for each tap of a window. */
const weightShape = ({ kernel, image }: WindowCase, filters: number) => [kernel[0] * kernel[1] * image[2], filters];

function convolutionProgram(wanted: ConvolutionCase): GoldenProgram {
  const { filters, activation, pool, inputs, outputs } = wanted;
  const program = new GoldenProgram(wanted);
  const geometry = windows(wanted);
  const hasBias = 'bias' in inputs;
  const weights = program.parameter('weights', weightShape(wanted, filters));
  const input = program.batched('input');
  const output = program.batched('output');
  const dOutput = program.batched('dOutput');
  const size = outputs.output.length / wanted.rows;
  const winners = pool ? program.builder.batched('winners', [size], 'activation', 'int32') : null;
  const shared = { input, weights, winners, ...geometry, pool };
  const bias = hasBias ? program.parameter('bias', [filters]) : null;
  program.builder.add({ op: 'conv2d', ...shared, bias, output, activation, negativeSlope: 0 });
  const derivative = { reference: output, dOutput, dInput: dOutput, activation, negativeSlope: 0 };
  if (activation !== 'linear') program.builder.add({ op: 'activationBackward', ...derivative });
  const dWeightParts = program.parts('dWeights', weightShape(wanted, filters));
  const dBiasParts = hasBias ? program.parts('dBias', [filters]) : null;
  const dInput = program.batched('dInput');
  program.builder.add({ op: 'conv2dBackward', ...shared, dOutput, dWeightParts, dBiasParts, dInput });
  program.addUp('dWeights', dWeightParts);
  if (dBiasParts) program.addUp('dBias', dBiasParts);
  return program;
}

function poolProgram(wanted: Golden['pools'][number]): GoldenProgram {
  const program = new GoldenProgram(wanted);
  const { builder } = program;
  const geometry: Windows = windows(wanted);
  const input = program.batched('input');
  const output = program.batched('output');
  const dOutput = program.batched('dOutput');
  const dInput = program.batched('dInput');
  if (wanted.kind === 'max') {
    const size = wanted.outputs.output.length / wanted.rows;
    const winners = builder.batched('winners', [size], 'activation', 'int32');
    builder.add({ op: 'maxPool2d', input, output, winners, ...geometry });
    builder.add({ op: 'maxPool2dBackward', dOutput, winners, dInput, ...geometry });
  } else {
    builder.add({ op: 'averagePool2d', input, output, ...geometry });
    builder.add({ op: 'averagePool2dBackward', dOutput, dInput, ...geometry });
  }
  return program;
}

/** Gamma, beta and the moving statistics of a case. */
function statistics(program: GoldenProgram, channels: number) {
  const of = (name: string) => program.parameter(name, [channels]);
  const [gamma, beta, mean, variance] = ['gamma', 'beta', 'movingMean', 'movingVariance'].map(of);
  return { gamma, beta, mean, variance };
}

function normalizingProgram(wanted: Case): GoldenProgram {
  const program = new GoldenProgram(wanted);
  const { builder } = program;
  const [height, width, channels] = wanted.image;
  const { gamma, beta, mean: movingMean, variance: movingVariance } = statistics(program, channels);
  const input = program.batched('input');
  const output = program.batched('output');
  const dOutput = program.batched('dOutput');
  const dInput = program.batched('dInput');
  const parts = builder.fixed('moments', [partsOf(wanted.rows), 2, channels]);
  const mean = builder.fixed('mean', [channels]);
  const variance = builder.fixed('variance', [channels]);
  const batch = { input, mean, variance, epsilon };
  builder.add({ op: 'channelMoments', input, parts, channels });
  const moving = { movingMean, movingVariance, positions: height * width, momentum };
  builder.add({ op: 'batchNormStatistics', parts, mean, variance, ...moving });
  builder.add({ op: 'batchNorm', ...batch, gamma, beta, output });
  const dGammaParts = program.parts('dGamma', [channels]);
  const dBetaParts = program.parts('dBeta', [channels]);
  builder.add({ op: 'batchNormSums', ...batch, dOutput, dGammaParts, dBetaParts });
  const dGamma = program.addUp('dGamma', dGammaParts);
  const dBeta = program.addUp('dBeta', dBetaParts);
  builder.add({ op: 'batchNormBackward', ...batch, gamma, dGamma, dBeta, dOutput, dInput });
  return program;
}

/** A convolution and a batch normalization by moving statistics, as two ops or as one. */
function foldingProgram(wanted: Golden['batchNormalization']['folding'][number], fold: boolean): GoldenProgram {
  const program = new GoldenProgram(wanted);
  const { builder } = program;
  const { filters, inputs } = wanted;
  const shape = weightShape(wanted, filters);
  const weights = program.parameter('weights', shape);
  const bias = 'bias' in inputs ? program.parameter('bias', [filters]) : null;
  const norm = { ...statistics(program, filters), epsilon };
  const input = program.batched('input');
  const output = program.batched('output');
  const own = { winners: null, activation: 'linear', negativeSlope: 0, pool: false, ...windows(wanted) } as const;
  if (fold) {
    const foldedWeights = builder.fixed('foldedWeights', shape);
    const foldedBias = builder.fixed('foldedBias', [filters]);
    builder.add({ op: 'foldBatchNorm', weights, bias, ...norm, foldedWeights, foldedBias });
    builder.add({ op: 'conv2d', input, weights: foldedWeights, bias: foldedBias, output, ...own });
  } else {
    const sums = builder.batched('sums', [wanted.outputs.output.length / wanted.rows]);
    builder.add({ op: 'conv2d', input, weights, bias, output: sums, ...own });
    builder.add({ op: 'batchNorm', input: sums, ...norm, output });
  }
  return program;
}

type Run = Golden['training']['runs'][number];

function optimizerOf({ kind, options }: Run) {
  const { lr: learningRate, momentum, betas, eps: epsilon } = options;
  return kind === 'sgd'
    ? sgd({ learningRate, momentum })
    : adam({ learningRate, beta1: betas[0], beta2: betas[1], epsilon });
}

/** The network that make-golden-images.py describes, as users build it. */
function trainedModel(backend: Backend, run: Run) {
  const layers = [
    conv2d({ filters: 4, kernelSize: 3, padding: 'same', activation: 'relu' }),
    maxPooling2d(),
    conv2d({ filters: 6, kernelSize: 3, padding: 'same', useBias: false }),
    batchNormalization({ momentum, epsilon }),
    activation({ activation: 'relu' }),
    maxPooling2d(),
    dense({ units: 5, activation: 'softmax' }),
  ];
  const model = sequential(layers, { inputShape: golden.training.image, backend });
  model.setWeights(Object.values(golden.training.parameters).map((values) => Float32Array.from(values)));
  model.compile({ optimizer: optimizerOf(run), loss: 'categoricalCrossentropy' });
  return model;
}

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  '%s backend',
  (_, backend) => {
    it.each(
      golden.convolutions.map((wanted) => {
        const { filters, activation, pool, inputs } = wanted;
        const options = `${filters} filters, ${activation}${'bias' in inputs ? '' : ', no bias'}${pool ? ', pooled' : ''}`;
        return [`${describeWindows(wanted)}, ${options}`, wanted] as const;
      }),
    )('convolution and its gradients: %s', async (_, wanted) => {
      await convolutionProgram(wanted).compareOn(backend);
    });

    it.each(golden.pools.map((wanted) => [`${wanted.kind} of ${describeWindows(wanted)}`, wanted] as const))(
      'pooling and its gradient: %s',
      async (_, wanted) => {
        await poolProgram(wanted).compareOn(backend);
      },
    );

    it.each(
      golden.batchNormalization.training.map(
        (wanted) => [`${wanted.rows} × ${wanted.image.join('×')}`, wanted] as const,
      ),
    )('batch normalization of a training step, its gradients and moving statistics: %s', async (_, wanted) => {
      await normalizingProgram(wanted).compareOn(backend);
    });

    it.each(
      golden.batchNormalization.folding.flatMap((wanted) =>
        [false, true].map((fold) => {
          const how = `${fold ? 'folded into the convolution' : 'behind it'}${'bias' in wanted.inputs ? '' : ', no bias'}`;
          return [how, wanted, fold] as const;
        }),
      ),
    )('batch normalization by moving statistics, %s', async (_, wanted, fold) => {
      await foldingProgram(wanted, fold).compareOn(backend);
    });

    it.each(golden.training.runs)('ten steps of a convolutional network with $name', async (run) => {
      const { rows, pixels, targets } = golden.training;
      const { losses, parameters, answers, float32Deviation } = run;
      const steps = losses.length;
      const model = trainedModel(backend, run);
      try {
        const data = { inputs: Uint8Array.from(pixels), targets: Uint8Array.from(targets) };
        const found: number[] = [];
        // A fit of one batch is one step; the optimizer goes on where it was.
        for (let step = 0; step < steps; step++) {
          const { epochs } = await model.fit(data, { batchSize: rows, epochs: 1, shuffle: false });
          found.push(epochs[0].loss);
        }
        const compare = (name: string, actual: ArrayLike<number>, wanted: Numbers) =>
          expectClose(actual, wanted, yardstick(float32Deviation[name], wanted, steps), name);
        compare('losses', found, losses);
        const weights = model.getWeights();
        expect(weights.length).toBe(Object.keys(parameters).length);
        Object.entries(parameters).forEach(([name, values], index) => {
          compare(name, weights[index], values);
        });
        compare('answers', await model.predict(data.inputs), answers);
      } finally {
        model.dispose();
      }
    });
  },
);
