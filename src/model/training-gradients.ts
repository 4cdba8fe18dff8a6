import type { Samples } from '../backends/backend.js';
import type { Loss } from '../losses/loss.js';
import { sgd } from '../optimizers/sgd.js';
import { inTurns } from '../pieces.js';
import type { BufferName } from '../program/ops.js';
import { throwIfAborted } from './abort.js';
import type { WeightsByName } from './activations.js';
import { Engine } from './engine.js';
import type { EngineOptions } from './engine-options.js';
import { indices } from './evaluate.js';
import { lowerModel } from './lower.js';
import type { Stack } from './stack.js';

export interface TrainingGradients {
  /** The mean over the samples, without penalties. */
  loss: number;
  /** By the names of the trainable parameters, those of penalties included. */
  gradients: ReadonlyMap<BufferName, Float32Array>;
}

interface Setup {
  stack: Stack;
  weights: WeightsByName;
  loss: Loss;
  seed: number;
  choice: EngineOptions;
}

/** At rate 0 the weights stay; the velocity, which begins at 0, becomes the gradient to the bit, unless it is subnormal. */
const STILL = sgd({ learningRate: 0, momentum: 0.5 });

/**
 * The gradients that the engine computes in one training step over all samples, in the program that trains. Works on a
 * copy of the weights. Rejects with ERR_ABORTED after `signal`.
 */
export async function trainingGradients(
  { stack, weights, loss, seed, choice }: Setup,
  samples: Samples,
  signal?: AbortSignal,
): Promise<TrainingGradients> {
  const engine = new Engine(weights, choice, (capacities) =>
    lowerModel(stack, { loss, optimizer: STILL }, capacities, seed),
  );
  const goOn = () => throwIfAborted('The training step', signal);
  try {
    const data = await inTurns(engine.bind(samples), goOn);
    try {
      const run = await engine.run('train', {
        data,
        order: indices(0, samples.count),
        batchSize: samples.count,
        // Learning rate 0, and epoch 0 where something is drawn at random.
        scalars: (names) => new Float32Array(names.length),
        options: { signal },
      });
      goOn();
      const trainable = stack.parameters.filter(({ spec }) => spec.trainable);
      const gradients = trainable.map(({ name }) => [name, engine.trained!.read(`${name}.velocity`)] as const);
      return { loss: run.lossSum / samples.count, gradients: new Map(gradients) };
    } finally {
      data.dispose();
    }
  } finally {
    engine.dispose();
  }
}
