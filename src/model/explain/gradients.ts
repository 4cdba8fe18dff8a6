import type { Optimizer } from '../../optimizers/optimizer.js';
import type { ExplainedGradients, ExplainedStep } from './explanation.js';
import { parameterWords } from './places.js';
import { type StepContext, type TrainingStep, trainingStep } from './step.js';

export interface ExplainStepContext extends StepContext {
  /** One sample as the caller gave it. */
  sample: Uint8Array | Float32Array;
  label: number;
  optimizer: Optimizer;
  /** The most gradients of each parameter. */
  count: number;
  signal: AbortSignal | undefined;
}

/** What a step of training changes, in words and by size. */
export async function explainStep(context: ExplainStepContext): Promise<ExplainedStep> {
  const { sample, label, optimizer, signal } = context;
  const samples = { inputs: sample, targets: Int32Array.of(label), count: 1 };
  const step = await trainingStep(context, samples, optimizer, signal);
  const { learningRate, trainingLoss, lossBefore, lossAfter } = step;
  return {
    label,
    optimizer: optimizer.name,
    learningRate,
    trainingLoss,
    lossBefore,
    lossAfter,
    probabilitiesAfter: Array.from(step.probabilitiesAfter),
    parameters: gradientsOf(context, step),
  };
}

function gradientsOf(
  { stack, weights, count }: ExplainStepContext,
  { gradients, after }: TrainingStep,
): ExplainedGradients[] {
  const words = parameterWords(stack);
  return stack.parameters.flatMap(({ name, spec }, place) => {
    const gradient = gradients.get(name);
    if (!gradient) return [];
    const { title, placeOf } = words.get(name)!;
    const largest = largestOf(gradient, count).map((index) => ({
      index,
      place: placeOf(index),
      gradient: gradient[index],
      before: weights[place][index],
      after: after.get(name)![index],
    }));
    const zeros = gradient.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0);
    return [
      {
        name,
        title,
        shape: spec.shape,
        norm: Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0)),
        zeros,
        largest,
      },
    ];
  });
}

/** Where the largest absolute values stand, the first of equals. */
function largestOf(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === count && Math.abs(values[i]) <= Math.abs(values[best[count - 1]])) continue;
    const at = best.findIndex((other) => Math.abs(values[other]) < Math.abs(values[i]));
    best.splice(at < 0 ? best.length : at, 0, i);
    best.length = Math.min(best.length, count);
  }
  return best;
}
