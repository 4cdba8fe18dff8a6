import type { LoweredLayer } from '../layers/layer.js';
import type { Loss } from '../losses/loss.js';
import type { Optimizer } from '../optimizers/optimizer.js';
import { ProgramBuilder } from '../program/builder.js';
import { fuseProgram } from '../program/fuse.js';
import type { BufferName } from '../program/ops.js';
import type { Program, SectionName } from '../program/program.js';
import type { Stack } from './stack.js';

/** The most samples in one step of each section; 0 leaves training or evaluation out. */
export interface Capacities {
  train: number;
  evaluate: number;
  infer: number;
}

/**
 * Makes a model flat. Sections: `train` = gather inputs and targets, forward, loss, backward, updates; `evaluate` =
 * gather, forward, loss; `infer` = forward alone.
 *
 * Buffers: parameters `0.weight`, `0.bias`, ... by the layer's index; slots behind them (`0.weight.velocity`); in a
 * section `train/inputs`, `train/targets`, `train/0.output`, `train/0.dInput`, `train/loss.dOutput` and the gradients
 * `train/0.weight.gradient`.
 */
export function lowerModel(
  stack: Stack,
  training: { loss: Loss; optimizer: Optimizer } | null,
  capacities: Capacities,
): Program {
  const builder = new ProgramBuilder();
  for (const { name, spec } of stack.parameters) builder.persistent(name, 'parameter', spec.shape);
  if (training && capacities.train > 0)
    lowerTraining(builder, stack, training.loss, training.optimizer, capacities.train);
  if (training && capacities.evaluate > 0) lowerEvaluation(builder, stack, training.loss, capacities.evaluate);
  builder.section('infer', capacities.infer);
  const input = builder.batched('inputs', stack.inputShape, 'input');
  builder.endpoints(input, forward(builder, stack, input, 'infer', false).output);
  return fuseProgram(builder.build());
}

function lowerTraining(
  builder: ProgramBuilder,
  stack: Stack,
  loss: Loss,
  optimizer: Optimizer,
  capacity: number,
): void {
  builder.section('train', capacity);
  const { input, targets } = gather(builder, stack, loss);
  const { output, layers } = forward(builder, stack, input, 'train', loss.includesSoftmax);
  let gradient = loss.lower(builder, output, targets, stack.outputSize, true);
  for (const layer of layers.toReversed()) {
    if (gradient === null) break;
    gradient = layer.backward(gradient);
  }
  const scalars = optimizer.scalarNames.map((name) => builder.scalar(name));
  for (const { name } of stack.parameters) optimizer.lower(builder, name, gradientOf(name), scalars);
}

function lowerEvaluation(builder: ProgramBuilder, stack: Stack, loss: Loss, capacity: number): void {
  builder.section('evaluate', capacity);
  const { input, targets } = gather(builder, stack, loss);
  const { output } = forward(builder, stack, input, 'evaluate', loss.includesSoftmax);
  loss.lower(builder, output, targets, stack.outputSize, false);
}

function gather(builder: ProgramBuilder, stack: Stack, loss: Loss): { input: BufferName; targets: BufferName } {
  const input = builder.batched('inputs', stack.inputShape, 'input');
  const targets =
    loss.targets === 'classes'
      ? builder.batched('targets', [], 'target', 'int32')
      : builder.batched('targets', [stack.outputSize], 'target');
  builder.add({ op: 'gather', source: 'inputs', output: input });
  builder.add({ op: 'gather', source: 'targets', output: targets });
  return { input, targets };
}

const gradientOf = (parameter: BufferName): BufferName => `train/${parameter}.gradient`;

function forward(
  builder: ProgramBuilder,
  stack: Stack,
  input: BufferName,
  section: SectionName,
  leaveOutSoftmax: boolean,
): { output: BufferName; layers: LoweredLayer[] } {
  const layers: LoweredLayer[] = [];
  const last = stack.layers.findLastIndex(({ layer }) => layer.outputActivation !== null);
  let current = input;
  let learned = false;
  stack.layers.forEach(({ layer, index, inputShape, parameters }, place) => {
    const gradients =
      section === 'train'
        ? parameters.map(({ name, spec }) => builder.fixed(`${name}.gradient`, spec.shape, 'gradient'))
        : [];
    const lowered = layer.lower(builder, {
      prefix: String(index),
      input: current,
      inputShape,
      parameters: parameters.map(({ name }) => name),
      gradients,
      needsInputGradient: learned,
      leaveOutSoftmax: leaveOutSoftmax && place === last,
    });
    layers.push(lowered);
    current = lowered.output;
    learned ||= parameters.length > 0;
  });
  return { output: current, layers };
}
