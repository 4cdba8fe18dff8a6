import { lowerChain } from '../layers/chain.js';
import type { LoweredLayer, SectionContext } from '../layers/layer.js';
import type { Loss, LossActivation } from '../losses/loss.js';
import type { Optimizer } from '../optimizers/optimizer.js';
import { ProgramBuilder } from '../program/builder.js';
import { foldLayers } from '../program/fold.js';
import { fuseProgram } from '../program/fuse.js';
import type { BufferName } from '../program/ops.js';
import type { ElementType, Program, SectionName } from '../program/program.js';
import { type Augmentation, lowerAugmentation } from './augmentation.js';
import type { Parameter, Stack } from './stack.js';
import { averagesOf, lowerUpdates } from './updates.js';

/** The most samples in one step of each section; 0 leaves training or evaluation out. */
export interface Capacities {
  train: number;
  evaluate: number;
  infer: number;
  /** The type of the targets of each section, where the loss takes class indices and rows alike; default indices. */
  targets?: Partial<Record<'train' | 'evaluate', ElementType>>;
}

/** How a model is trained. */
interface TrainingSetup {
  loss: Loss;
  optimizer: Optimizer;
  augmentation?: Augmentation | null;
}

/** The scalar of programs that drop values or augment images: the running epoch, counted from 1. */
export const EPOCH = 'epoch';

/**
 * Makes a model flat. Sections: `train` = gather inputs and targets, augment the inputs, forward, loss, backward, updates;
 * `evaluate` = gather, forward, loss; `infer` = forward alone.
 *
 * Buffers: parameters `0.weight`, `0.bias`, ... by the layer's index; their averages (`0.weight.average`), which evaluation
 * and inference then read in their place; slots behind them (`0.weight.velocity`); in a section `train/inputs` (and
 * `train/inputs.augmented`), `train/targets`, `train/0.output`, `train/0.dInput`, `train/loss.dOutput` and the gradients
 * `train/0.weight.gradient`, of convolutions after their parts `train/0.weight.gradientParts`.
 *
 * `seed` is the model's, for what layers and augmentation draw at random. Without `fuse`, all gradients stay in memory when a
 * step has ended; results are the same to the bit.
 */
export function lowerModel(
  stack: Stack,
  training: TrainingSetup | null,
  capacities: Capacities,
  seed = 0,
  { fuse = true }: { fuse?: boolean } = {},
): Program {
  const builder = new ProgramBuilder();
  for (const { name, spec } of stack.parameters) builder.persistent(name, 'parameter', spec.shape);
  const averages = averagesOf(stack.parameters, training?.optimizer);
  for (const [name, average] of averages) builder.persistent(average, 'parameter', builder.shapeOf(name), name);
  const shown = { ...stack, parameters: stack.parameters.map((p) => ({ ...p, name: averages.get(p.name) ?? p.name })) };
  if (training && capacities.train > 0) lowerTraining(builder, stack, training, capacities, seed);
  if (training && capacities.evaluate > 0) lowerEvaluation(builder, shown, training.loss, capacities, seed);
  builder.section('infer', capacities.infer);
  const input = builder.batched('inputs', stack.inputShape, 'input');
  builder.endpoints(input, forward(builder, shown, input, new Shared(builder, 'infer', seed), null).output);
  const program = foldLayers(builder.build());
  return fuse ? fuseProgram(program) : program;
}

function lowerTraining(
  builder: ProgramBuilder,
  stack: Stack,
  { loss, optimizer, augmentation }: TrainingSetup,
  capacities: Capacities,
  seed: number,
): void {
  builder.section('train', capacities.train);
  const { input, targets } = gather(builder, stack, loss, capacities.targets?.train);
  const shared = new Shared(builder, 'train', seed);
  const images = augmentation
    ? lowerAugmentation(builder, augmentation, input, { seed, epoch: shared.epoch() })
    : input;
  const { output, backward } = forward(builder, stack, images, shared, loss.activation);
  const dOutput = loss.lower(builder, output, targets, stack.outputSize, true);
  if (dOutput !== null) backward(dOutput, false);
  shared.addUp();
  lowerUpdates(builder, stack.parameters, optimizer);
}

function lowerEvaluation(
  builder: ProgramBuilder,
  stack: Stack,
  loss: Loss,
  capacities: Capacities,
  seed: number,
): void {
  builder.section('evaluate', capacities.evaluate);
  const { input, targets } = gather(builder, stack, loss, capacities.targets?.evaluate);
  const { output } = forward(builder, stack, input, new Shared(builder, 'evaluate', seed), loss.activation);
  loss.lower(builder, output, targets, stack.outputSize, false);
}

function gather(
  builder: ProgramBuilder,
  stack: Stack,
  loss: Loss,
  type: ElementType = 'int32',
): { input: BufferName; targets: BufferName } {
  const input = builder.batched('inputs', stack.inputShape, 'input');
  const targets =
    loss.targets === 'classes' && type === 'int32'
      ? builder.batched('targets', [], 'target', 'int32')
      : builder.batched('targets', [stack.outputSize], 'target');
  builder.add({ op: 'gather', source: 'inputs', output: input });
  builder.add({ op: 'gather', source: 'targets', output: targets });
  return { input, targets };
}

function forward(
  builder: ProgramBuilder,
  stack: Stack,
  input: BufferName,
  shared: Shared,
  leftToLoss: LossActivation | null,
): LoweredLayer {
  const gradient = ({ name, spec }: Parameter) =>
    spec.trainable ? builder.fixed(`${name}.gradient`, spec.shape, 'gradient') : null;
  return lowerChain(builder, stack.layers, {
    prefix: '',
    input,
    parameters: stack.parameters.map(({ name }) => name),
    gradients: shared.section === 'train' ? stack.parameters.map(gradient) : [],
    needsInputGradient: false,
    leftToLoss,
    shared,
  });
}

class Shared implements SectionContext {
  readonly #builder: ProgramBuilder;
  readonly #sums: { parts: BufferName; gradient: BufferName }[] = [];
  #epoch: number | null = null;
  #randomLayers = 0;

  constructor(
    builder: ProgramBuilder,
    readonly section: SectionName,
    readonly seed: number,
  ) {
    this.#builder = builder;
  }

  epoch(): number {
    this.#epoch ??= this.#builder.scalar(EPOCH);
    return this.#epoch;
  }

  nextRandomLayer(): number {
    return this.#randomLayers++;
  }

  addUpParts(parts: BufferName, gradient: BufferName): void {
    this.#sums.push({ parts, gradient });
  }

  /** Appends the sums that were asked for. */
  addUp(): void {
    for (const { parts, gradient } of this.#sums) this.#builder.add({ op: 'sumParts', parts, output: gradient });
  }
}
