import type { BoundData, Samples } from '../../backends/backend.js';
import type { CallbackModel } from '../../callbacks/callback.js';
import { categoricalCrossentropy } from '../../losses/categorical-crossentropy.js';
import type { Optimizer } from '../../optimizers/optimizer.js';
import { inTurns } from '../../pieces.js';
import { initialScheduleState } from '../../schedules/schedule.js';
import { abortedError } from '../abort.js';
import { namedWeights, type WeightsByName } from '../activations.js';
import { Engine } from '../engine.js';
import type { EngineOptions } from '../engine-options.js';
import { evaluate, indices } from '../evaluate.js';
import { compileMetrics } from '../evaluate-metrics.js';
import { lowerModel } from '../lower.js';
import type { ModelConfig } from '../serialization.js';
import type { Stack } from '../stack.js';
import { trainModel } from '../training/fit.js';
import type { History } from '../training/history.js';
import type { Training } from '../training/state.js';
import { averagesOf, gradientOf } from '../updates.js';

export interface StepContext {
  model: CallbackModel & { toConfig(): ModelConfig };
  stack: Stack;
  seed: number;
  weights: readonly Float32Array[];
  choice: EngineOptions;
}

/** What one step of training did to every number. */
export interface TrainingStep {
  learningRate: number;
  trainingLoss: number;
  lossBefore: number;
  lossAfter: number;
  probabilitiesAfter: Float32Array;
  /** As the optimizer took them: behind penalties and clipping. By parameter; those that do not learn have none. */
  gradients: WeightsByName;
  after: WeightsByName;
}

/**
 * One step of training on one sample, by what `fit` runs, on weights of its own. Only the fusion of ops is left out, which
 * changes no bit: the gradients then lie in memory when the step has ended.
 */
export async function trainingStep(
  context: StepContext,
  samples: Samples,
  optimizer: Optimizer,
  signal: AbortSignal | undefined,
): Promise<TrainingStep> {
  const { stack, seed, weights, choice } = context;
  const training = trainingOf(stack, optimizer);
  const engine = new Engine(namedWeights(stack, weights), choice, (capacities) =>
    lowerModel(stack, training, capacities, seed, { fuse: false }),
  );
  engine.reconfigure({}, averagesOf(stack.parameters, optimizer));
  let bound: BoundData | null = null;
  try {
    bound = await inTurns(engine.bind(samples));
    const lossBefore = await lossOf(engine, training, bound, signal);
    const { epochs } = await fitOnce(context, engine, training, samples, signal);
    const { read } = engine.trained!;
    const learning = stack.parameters.filter(({ spec }) => spec.trainable);
    const gradients = new Map(learning.map(({ name }) => [name, read(gradientOf(name))]));
    const after = new Map(stack.parameters.map(({ name }) => [name, engine.read(name)]));
    const lossAfter = await lossOf(engine, training, bound, signal);
    const probabilitiesAfter = await engine.infer(samples.inputs);
    const [{ loss: trainingLoss, learningRate }] = epochs;
    return { learningRate, trainingLoss, lossBefore, lossAfter, probabilitiesAfter, gradients, after };
  } finally {
    bound?.dispose();
    engine.dispose();
  }
}

function trainingOf(stack: Stack, optimizer: Optimizer): Training {
  const loss = categoricalCrossentropy();
  return {
    loss,
    metrics: compileMetrics(undefined, loss, stack),
    optimizer,
    augmentation: null,
    state: optimizer.initialState(),
    scheduleState: initialScheduleState(optimizer.learningRate),
  };
}

async function fitOnce(
  { model, stack, seed }: StepContext,
  engine: Engine,
  training: Training,
  { inputs, targets }: Samples,
  signal: AbortSignal | undefined,
): Promise<History> {
  const config = () => model.toConfig();
  const own = { engine, stack, training, seed, epochs: { done: 0 }, model, moments: { open: false }, config };
  const history = await trainModel(own, { inputs, targets }, { batchSize: 1, signal, onWarning: () => {} });
  if (history.stopped === 'aborted') throw abortedError('The explanation', signal);
  return history;
}

/** As `evaluate` has it. */
async function lossOf(
  engine: Engine,
  { loss }: Training,
  data: BoundData,
  signal: AbortSignal | undefined,
): Promise<number> {
  const means = await evaluate(engine, loss, { data, order: indices(0, 1), signal });
  if (!means) throw abortedError('The explanation', signal);
  return means.loss;
}
