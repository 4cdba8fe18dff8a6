import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Backend, Session } from '../../src/backends/backend.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import type { Activation } from '../../src/program/ops.js';
import { availableBackends } from '../helpers/backends.js';
import { expectClose, type Numbers, ROUNDING, yardstick } from '../helpers/golden.js';
import { writeNow } from '../helpers/sessions.js';

type ParameterName = '0.weights' | '0.bias' | '1.weights' | '1.bias';
const PARAMETER_NAMES = ['0.weights', '0.bias', '1.weights', '1.bias'] as const;

interface Golden {
  activations: {
    activation: Activation;
    negativeSlope: number;
    input: Numbers;
    dOutput: Numbers;
    output: Numbers;
    dInput: Numbers;
  }[];
  network: {
    rows: number;
    inputs: Numbers;
    targets: Numbers;
    shapes: Record<ParameterName, Numbers>;
    parameters: Record<ParameterName, Numbers>;
    cases: {
      activation: Activation;
      negativeSlope: number;
      labelSmoothing: number;
      correct: number;
      logits: Numbers;
      loss: Numbers;
      dInput: Numbers;
      gradients: Record<ParameterName, Numbers>;
      float32Deviation: Record<ParameterName | 'logits' | 'loss' | 'dInput', number>;
    }[];
  };
  meanSquaredError: {
    rows: number;
    columns: number;
    predictions: Numbers;
    targets: Numbers;
    loss: number;
    dPredictions: Numbers;
  };
  optimizers: {
    name: string;
    kind: 'sgd' | 'adam';
    options: {
      lr: number;
      momentum?: number;
      nesterov?: boolean;
      weight_decay?: number;
      betas?: [number, number];
      eps?: number;
    };
    losses: Numbers;
    parameters: Record<ParameterName, Numbers>;
    float32Deviation: Record<ParameterName | 'losses', number>;
  }[];
}

/** Made by make-golden.py. */
const golden: Golden = JSON.parse(readFileSync(new URL('golden.json', import.meta.url), 'utf8'));
const { network } = golden;
const [inputs, hidden] = network.shapes['0.weights'];
const classes = network.shapes['1.bias'][0];

/** The network's forward and backward pass in the train section, its optimizer left to `update`. */
function networkProgram(
  activation: Activation,
  negativeSlope: number,
  labelSmoothing: number,
  update: (builder: ProgramBuilder, parameter: ParameterName, gradient: string) => void = () => undefined,
) {
  const builder = new ProgramBuilder();
  builder.section('train', network.rows);
  for (const name of PARAMETER_NAMES) builder.persistent(name, 'parameter', network.shapes[name]);
  const gradient = Object.fromEntries(
    PARAMETER_NAMES.map((name) => [name, builder.fixed(`d.${name}`, network.shapes[name], 'gradient')]),
  ) as Record<ParameterName, string>;
  const x = builder.batched('inputs', [inputs], 'input');
  const targets = builder.batched('targets', [], 'target', 'int32');
  const sums = builder.batched('sums', [hidden]);
  const logits = builder.batched('logits', [classes]);
  const dLogits = builder.batched('dLogits', [classes]);
  const dHidden = builder.batched('dHidden', [hidden]);
  const dInput = builder.batched('dInput', [inputs]);

  // gelu's derivative needs its input, so it stands by itself; the others are part of the dense op.
  const separate = activation === 'gelu';
  const active = separate ? builder.batched('active', [hidden]) : sums;
  const first = { op: 'dense', input: x, weights: '0.weights', bias: '0.bias', output: sums, negativeSlope } as const;
  builder.add({ ...first, activation: separate ? 'linear' : activation });
  if (separate) builder.add({ op: 'activation', input: sums, output: active, activation, negativeSlope });
  const second = { op: 'dense', input: active, weights: '1.weights', bias: '1.bias', output: logits } as const;
  builder.add({ ...second, activation: 'linear', negativeSlope: 0 });
  builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing });
  builder.add({
    op: 'denseBackward',
    input: active,
    weights: '1.weights',
    dOutput: dLogits,
    dWeights: gradient['1.weights'],
    dBias: gradient['1.bias'],
    dInput: dHidden,
    update: false,
  });
  const backward = { op: 'activationBackward', reference: sums, dOutput: dHidden, dInput: dHidden } as const;
  builder.add({ ...backward, activation, negativeSlope });
  builder.add({
    op: 'denseBackward',
    input: x,
    weights: '0.weights',
    dOutput: dHidden,
    dWeights: gradient['0.weights'],
    dBias: gradient['0.bias'],
    dInput,
    update: false,
  });
  for (const name of PARAMETER_NAMES) update(builder, name, gradient[name]);
  return { program: builder.build(), gradient };
}

function fill(session: Session): void {
  for (const name of PARAMETER_NAMES) writeNow(session, name, Float32Array.from(network.parameters[name]));
  writeNow(session, 'train/inputs', Float32Array.from(network.inputs));
  writeNow(session, 'train/targets', Float32Array.from(network.targets));
}

const orderOf = (samples: number) => Uint32Array.from({ length: samples }, (_, i) => i);

describe.each(availableBackends().map((backend): [string, Backend] => [backend.name, backend]))(
  '%s backend',
  (_, backend) => {
    it.each(golden.activations)('$activation($negativeSlope) and its gradient', async (wanted) => {
      const { activation, negativeSlope } = wanted;
      const builder = new ProgramBuilder();
      builder.section('train', 1);
      const size = [wanted.input.length];
      const input = builder.fixed('input', size);
      const output = builder.fixed('output', size);
      const dOutput = builder.fixed('dOutput', size);
      const dInput = builder.fixed('dInput', size);
      builder.add({ op: 'activation', input, output, activation, negativeSlope });
      const reference = activation === 'gelu' ? input : output;
      builder.add({ op: 'activationBackward', reference, dOutput, dInput, activation, negativeSlope });
      const session = backend.open(builder.build());
      try {
        writeNow(session, input, Float32Array.from(wanted.input));
        writeNow(session, dOutput, Float32Array.from(wanted.dOutput));
        await session.run('train', null, orderOf(1), { batchSize: 1, scalars: new Float32Array(0) });
        // Values are of the size of the input, or 1 for the squashing ones; slopes are about 1. The gelu of docs/numerics.md
        // has an error of its own, 7.5e-8 in its normal distribution function.
        const slack = activation === 'gelu' ? 7.5e-8 : 0;
        const magnitude = (i: number) => Math.max(1, Math.abs(wanted.input[i]));
        expectClose(
          atOnce(session.read(output)),
          wanted.output,
          (i) => (4 * ROUNDING + slack) * magnitude(i),
          'output',
        );
        const dMagnitude = (i: number) => Math.abs(wanted.dOutput[i]) + ROUNDING;
        expectClose(
          atOnce(session.read(dInput)),
          wanted.dInput,
          (i) => (4 * ROUNDING + slack) * dMagnitude(i),
          'dInput',
        );
      } finally {
        session.dispose();
      }
    });

    it.each(network.cases)('network with $activation, label smoothing $labelSmoothing', async (wanted) => {
      const { activation, negativeSlope, labelSmoothing } = wanted;
      const { program, gradient } = networkProgram(activation, negativeSlope, labelSmoothing);
      const session = backend.open(program);
      try {
        fill(session);
        const plan = { batchSize: network.rows, scalars: new Float32Array(0) };
        const result = await session.run('train', null, orderOf(network.rows), plan);
        const compare = (actual: ArrayLike<number>, values: Numbers, name: keyof typeof wanted.float32Deviation) =>
          expectClose(actual, values, yardstick(wanted.float32Deviation[name], values, 4), name);
        expect(result.correct).toBe(wanted.correct);
        compare(atOnce(session.read('train/logits')), wanted.logits, 'logits');
        compare([result.lossSum / network.rows], wanted.loss, 'loss');
        compare(atOnce(session.read('train/dInput')), wanted.dInput, 'dInput');
        for (const name of PARAMETER_NAMES) compare(atOnce(session.read(gradient[name])), wanted.gradients[name], name);
      } finally {
        session.dispose();
      }
    });

    it('mean squared error and its gradient', async () => {
      const wanted = golden.meanSquaredError;
      const builder = new ProgramBuilder();
      builder.section('train', wanted.rows);
      const predictions = builder.batched('predictions', [wanted.columns]);
      const targets = builder.batched('targets', [wanted.columns], 'target');
      const dPredictions = builder.batched('dPredictions', [wanted.columns]);
      builder.add({ op: 'meanSquaredError', predictions, targets, dPredictions });
      const session = backend.open(builder.build());
      try {
        writeNow(session, predictions, Float32Array.from(wanted.predictions));
        writeNow(session, targets, Float32Array.from(wanted.targets));
        const plan = { batchSize: wanted.rows, scalars: new Float32Array(0) };
        const { lossSum } = await session.run('train', null, orderOf(wanted.rows), plan);
        // A difference and its square, rounded each; sums are float64.
        expectClose([lossSum / wanted.rows], [wanted.loss], () => 4 * ROUNDING * wanted.loss, 'loss');
        const size = (i: number) => Math.abs(wanted.dPredictions[i]);
        expectClose(
          atOnce(session.read(dPredictions)),
          wanted.dPredictions,
          (i) => 4 * ROUNDING * size(i),
          'dPredictions',
        );
      } finally {
        session.dispose();
      }
    });

    it.each(golden.optimizers)('ten steps of $name', async (wanted) => {
      const optimizer = wanted.kind === 'sgd' ? sgdOf(wanted.options) : adamOf(wanted.options);
      const { program } = networkProgram('relu', 0, 0, optimizer.update);
      const session = backend.open(program);
      try {
        fill(session);
        const { rows } = network;
        const steps = wanted.losses.length;
        const scalars = Float32Array.from(wanted.losses.flatMap((_, step) => optimizer.scalars(step)));
        const result = await session.run('train', null, orderOf(rows * steps), { batchSize: rows, scalars });
        const losses = wanted.losses.map((_, step) => result.metrics[2 * step] / rows);
        const { float32Deviation, parameters } = wanted;
        expectClose(losses, wanted.losses, yardstick(float32Deviation.losses, wanted.losses, steps), 'losses');
        for (const name of PARAMETER_NAMES) {
          const tolerance = yardstick(float32Deviation[name], parameters[name], steps);
          expectClose(atOnce(session.read(name)), parameters[name], tolerance, name);
        }
      } finally {
        session.dispose();
      }
    });
  },
);

type OptimizerOptions = Golden['optimizers'][number]['options'];

interface TestedOptimizer {
  update(builder: ProgramBuilder, parameter: ParameterName, gradient: string): void;
  /** The step's row of scalars, in the order of registration; steps count from 0. */
  scalars(step: number): number[];
}

function sgdOf({
  lr,
  momentum = 0,
  nesterov = false,
  weight_decay: weightDecay = 0,
}: OptimizerOptions): TestedOptimizer {
  const scalar = once((builder) => builder.scalar('learning rate'));
  return {
    update(builder, parameter, gradient) {
      const learningRate = scalar(builder);
      const shape = builder.shapeOf(parameter);
      const velocity = momentum ? builder.persistent(`${parameter}.velocity`, 'slot', shape) : null;
      builder.add({ op: 'sgd', parameter, gradient, velocity, learningRate, momentum, nesterov, weightDecay });
    },
    scalars: () => [lr],
  };
}

function adamOf({
  lr,
  betas = [0.9, 0.999],
  eps = 1e-8,
  weight_decay: weightDecay = 0,
}: OptimizerOptions): TestedOptimizer {
  const [beta1, beta2] = betas;
  const scalar = once((builder) => ({
    stepSize: builder.scalar('step size'),
    correction: builder.scalar('correction'),
    decay: builder.scalar('decay'),
  }));
  return {
    update(builder, parameter, gradient) {
      const shape = builder.shapeOf(parameter);
      const firstMoment = builder.persistent(`${parameter}.m`, 'slot', shape);
      const secondMoment = builder.persistent(`${parameter}.v`, 'slot', shape);
      const constants = { beta1, beta2, epsilon: eps, weightDecay: 0, ...scalar(builder) };
      builder.add({ op: 'adam', parameter, gradient, firstMoment, secondMoment, ...constants });
    },
    scalars: (step) => [lr / (1 - beta1 ** (step + 1)), 1 / Math.sqrt(1 - beta2 ** (step + 1)), 1 - lr * weightDecay],
  };
}

/** Registers scalars at the first parameter; the others share them. */
function once<T>(make: (builder: ProgramBuilder) => T): (builder: ProgramBuilder) => T {
  let made: { value: T } | null = null;
  return (builder) => {
    made ??= { value: make(builder) };
    return made.value;
  };
}
