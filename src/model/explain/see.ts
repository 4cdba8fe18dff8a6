import { expected } from '../../errors.js';
import { atOnce } from '../../pieces.js';
import { type LayerActivations, LayerProbes, namedWeights, type WeightsByName } from '../activations.js';
import type { EngineOptions } from '../engine-options.js';
import { checkFinite } from '../numbers.js';
import { readInputs } from '../samples.js';
import type { Sequential } from '../sequential.js';
import type { Stack } from '../stack.js';
import { stackOf } from '../stack-of.js';
import type { ExplainedClass } from './explanation.js';
import { type SplitStack, splitStack } from './split.js';

/** A model and what it makes of a sample, all of it from the engine. */
export interface Seen {
  stack: Stack;
  seed: number;
  /** In the order of the stack's parameters, which is that of the split stack too. */
  weights: readonly Float32Array[];
  choice: EngineOptions;
  split: SplitStack;
  splitWeights: WeightsByName;
  /** The sample as the caller gave it, and as the network sees it. */
  sample: Uint8Array | Float32Array;
  input: Float32Array;
  /** What each layer of the split stack puts out. */
  outputs: readonly LayerActivations[];
  logits: Float32Array;
  classes: readonly ExplainedClass[];
  answer: number;
}

/** Throws ERR_ARGUMENT or ERR_SHAPE for what cannot be explained, ERR_DATA for numbers that are not finite, ERR_STATE. */
export function see(model: Sequential, given: Uint8Array | Float32Array | readonly number[]): Seen {
  const { layers, inputShape, seed, classNames } = model.toConfig();
  const stack = stackOf({ layers, inputShape });
  checkEnding(stack);
  const sample = readSample(given, stack);
  const weights = model.getWeights();
  const { name: backend, threads } = model.backend;
  const choice = { backend, threads };
  const split = splitStack(layers, inputShape);
  const splitWeights = namedWeights(split.stack, weights);
  const outputs = activationsOf(split.stack, splitWeights, choice, sample);
  const last = split.stack.layers.findLast(({ layer }) => layer.outputActivation !== null)!.index!;
  const input = sample instanceof Uint8Array ? Float32Array.from(sample, (value) => value / 255) : sample.slice();
  const logits = outputs[last - 1]?.values ?? input;
  const probabilities = outputs[last].values;
  if (!logits.every(Number.isFinite)) {
    const hint = 'The weights, or numbers of the sample, are too great for float32.';
    throw expected('finite logits', 'the sample', Array.from(logits), hint, 'ERR_NON_FINITE');
  }
  const classes = Array.from(logits, (logit, label) => ({
    label,
    name: classNames?.[label] ?? String(label),
    logit,
    probability: probabilities[label],
  }));
  const answer = logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
  return { stack, seed, weights, choice, split, splitWeights, sample, input, outputs, logits, classes, answer };
}

function checkEnding({ outputActivation, outputSize }: Stack): void {
  if (outputActivation !== 'softmax') {
    const hint = 'explain takes models that give probabilities of classes.';
    throw expected('softmax', 'the activation of the last layer', outputActivation, hint);
  }
  if (outputSize < 2) throw expected('at least 2', 'the classes of a model to explain', outputSize);
}

function readSample(given: Uint8Array | Float32Array | readonly number[], stack: Stack): Uint8Array | Float32Array {
  const sample = readInputs(given, stack, 'sample').slice();
  if (sample.length !== stack.inputSize) {
    const what = `one sample of [${stack.inputShape.join(', ')}], ${stack.inputSize} numbers,`;
    throw expected(what, 'sample', given, '', 'ERR_SHAPE');
  }
  if (sample instanceof Float32Array) atOnce(checkFinite(sample, 'sample', stack.inputSize));
  return sample;
}

function activationsOf(
  stack: Stack,
  weights: WeightsByName,
  choice: EngineOptions,
  sample: Uint8Array | Float32Array,
): LayerActivations[] {
  const probes = new LayerProbes(stack, weights, choice);
  try {
    return probes.activations(sample);
  } finally {
    probes.dispose();
  }
}
