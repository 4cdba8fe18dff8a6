import { checkInteger, checkNumber } from '../../errors.js';
import type { Optimizer } from '../../optimizers/optimizer.js';
import { type OptimizerName, resolveOptimizer } from '../../optimizers/resolve.js';
import { checkOptions, checkSignal } from '../../options.js';
import { throwIfAborted } from '../abort.js';
import { layerOutputs } from '../activations.js';
import type { Sequential } from '../sequential.js';
import { ContributionSums } from './contributions.js';
import type { ExplainedClass, Explanation } from './explanation.js';
import { explainStep } from './gradients.js';
import { explainLayers } from './neurons.js';
import { see } from './see.js';

export interface ExplainOptions {
  /** The class of the sample, which the step teaches; default: the model's answer. */
  label?: number;
  /** The most neurons of each layer, and the most gradients of each parameter, at least 1; default 5. */
  neurons?: number;
  /** What makes the step; default sgd without momentum. */
  optimizer?: OptimizerName | Optimizer;
  /** At least 0, in place of the optimizer's own; default 0.01 with the default optimizer. */
  learningRate?: number;
  signal?: AbortSignal;
}

const NEURONS = 5;

/**
 * Walks one sample through a model, layer by layer, with the numbers that it computes: the strongest neurons, which pixels
 * spoke for and against the answer, and what a step of training on it would change. Nothing of the model changes. It need not
 * be compiled: the step takes categorical cross-entropy and `options.optimizer`.
 *
 * @param sample One sample: a Uint8Array of pixels, or numbers as the network sees them.
 *
 * Rejects with ERR_ARGUMENT or ERR_SHAPE for another sample, a label that is no class, and a model that does not end with
 * softmax; with ERR_DATA for numbers that are not finite, ERR_NON_FINITE where the model makes such of the sample, ERR_STATE while steps of the model run, ERR_ABORTED when `signal`
 * comes first, and as `fit` does where the step diverges.
 */
export async function explain(
  model: Sequential,
  sample: Uint8Array | Float32Array | readonly number[],
  options?: ExplainOptions,
): Promise<Explanation> {
  const checked = checkOptions(options, 'explain', {
    label: true,
    neurons: true,
    optimizer: true,
    learningRate: true,
    signal: true,
  });
  const count = checkInteger(checked.neurons ?? NEURONS, 'neurons', 1);
  const optimizer = optimizerOf(checked);
  const signal = checkSignal(checked.signal);
  const seen = see(model, sample);
  const { split, splitWeights, classes, answer } = seen;
  const label = checked.label === undefined ? answer : checkInteger(checked.label, 'label', 0, classes.length - 1);
  throwIfAborted('The explanation', signal);
  const rival = label === answer ? secondOf(classes, answer) : label;
  const sums = new ContributionSums(split, splitWeights, seen.input, seen.logits);
  throwIfAborted('The explanation', signal);
  return {
    input: { shape: model.inputShape, values: Array.from(seen.input) },
    classes,
    answer,
    rival,
    label,
    layers: explainLayers({ ...seen, weights: splitWeights, count }, layerOutputs(seen.stack)),
    contributions: { answer: sums.of(answer, null), lead: sums.of(answer, rival) },
    step: await explainStep({ ...seen, model, count, label, optimizer, signal }),
  };
}

function optimizerOf({ optimizer, learningRate }: ExplainOptions): Optimizer {
  const own = resolveOptimizer(optimizer ?? 'sgd');
  return learningRate === undefined ? own : { ...own, learningRate: checkNumber(learningRate, 'learningRate', 0) };
}

/** The most likely class besides. A model of one class has no other. */
function secondOf(classes: readonly ExplainedClass[], answer: number): number {
  const others = classes.filter(({ label }) => label !== answer);
  return others.reduce((best, each) => (each.logit > best.logit ? each : best), others[0] ?? classes[answer]).label;
}
