import { expected } from '../../errors.js';
import { checkCallback, checkOptions, checkSignal } from '../../options.js';
import { turnTaker } from '../../pieces.js';
import { sizeOf } from '../../program/program.js';
import { throwIfAborted } from '../abort.js';
import { type LayerOutput, LayerProbes, namedWeights } from '../activations.js';
import { checkShape, type LabelledSamples, type PredictInputs, readInputs } from '../samples.js';
import type { Sequential } from '../sequential.js';
import { stackOf } from '../stack-of.js';

export interface NeuronActivityOptions {
  /** Ends the work within milliseconds; the promise rejects with ERR_ABORTED. */
  signal?: AbortSignal;
  /** Called after every few samples. What it throws ends the work. */
  onProgress?: (progress: { done: number; of: number }) => void;
}

/** How often the neurons of one layer are on: above zero. */
export interface LayerActivity extends LayerOutput {
  /**
   * What is counted: each number of a row; of images each channel, whose neurons have one window with one set of weights
   * for all positions.
   */
  unit: 'neuron' | 'channel';
  /** For each unit the share of its values, over samples and positions, that are above zero. */
  shares: Float64Array;
  /** The middle one of them. */
  medianShare: number;
  /** The units that are zero for every sample, everywhere. */
  dead: number[];
}

export interface NeuronActivity {
  /** How many samples were looked at. */
  samples: number;
  /** The layers that end with a rectifier; those inside a residual are not seen. */
  layers: LayerActivity[];
}

/** So many samples at a time: what the model's probes have memory for. */
const AT_A_TIME = 16;

/**
 * How often the neurons behind rectifiers (relu) are on, and which never are. A neuron that is off for every sample of the
 * training set learns no more, since no gradient passes it; whether it is, other samples can only suggest.
 *
 * Goes through all layers anew for each one, on the calling thread, a few samples at a time. Rejects with ERR_ARGUMENT for a
 * model without rectifiers, with ERR_ABORTED, and as `activations` does for wrong inputs.
 * It looks at a copy of the weights that `getWeights` gives.
 */
export async function neuronActivity(
  model: Sequential,
  inputs: PredictInputs | Pick<LabelledSamples, 'inputs' | 'shape'>,
  options?: NeuronActivityOptions,
): Promise<NeuronActivity> {
  const checked = checkOptions(options, 'neuronActivity', { signal: true, onProgress: true });
  const signal = checkSignal(checked.signal);
  const onProgress = checkCallback(checked.onProgress, 'onProgress');
  const stack = stackOf(model);
  const rectified = stack.layers.filter(({ index, layer }) => index !== null && layer.outputActivation === 'relu');
  if (rectified.length === 0) {
    const types = stack.layers.map(({ layer }) => layer.type);
    throw expected('a layer with the activation relu', 'the layers of the model', types, 'Others are never off.');
  }
  if ('shape' in inputs && inputs.shape) checkShape(inputs.shape, stack.inputShape, 'inputs.shape');
  const values = readInputs(inputs, stack);
  const samples = values.length / stack.inputSize;
  const counters = new Map(rectified.map(({ index, built }) => [index, new Counter(built.outputShape)]));
  const outputs: LayerOutput[] = [];
  const turn = turnTaker();
  const probes = new LayerProbes(stack, namedWeights(stack, model.getWeights()), { backend: model.backend.name });
  try {
    for (let begin = 0; begin < samples; begin += AT_A_TIME) {
      throwIfAborted('Looking at neurons', signal);
      const end = Math.min(begin + AT_A_TIME, samples);
      const layers = probes.activations(values.subarray(begin * stack.inputSize, end * stack.inputSize));
      for (const { values: own, ...output } of layers) {
        counters.get(output.layer)?.add(own);
        if (begin === 0 && counters.has(output.layer)) outputs.push(output);
      }
      onProgress?.({ done: end, of: samples });
      await turn();
    }
  } finally {
    probes.dispose();
  }
  throwIfAborted('Looking at neurons', signal);
  return { samples, layers: outputs.map((output) => ({ ...output, ...counters.get(output.layer)!.result() })) };
}

/** Counts values above zero. */
class Counter {
  readonly #shape: readonly number[];
  readonly #on: Float64Array;
  #values = 0;

  constructor(shape: readonly number[]) {
    this.#shape = shape;
    this.#on = new Float64Array(shape.at(-1)!);
  }

  add(values: Float32Array): void {
    const units = this.#on.length;
    this.#values += values.length / units;
    for (let i = 0; i < values.length; i++) if (values[i] > 0) this.#on[i % units]++;
  }

  result(): Pick<LayerActivity, 'unit' | 'shares' | 'medianShare' | 'dead'> {
    const shares = this.#on.map((count) => count / this.#values);
    const dead = [...shares.keys()].filter((unit) => shares[unit] === 0);
    const unit = sizeOf(this.#shape) === this.#shape.at(-1) ? 'neuron' : 'channel';
    return { unit, shares, medianShare: medianOf(shares), dead };
  }
}

function medianOf(values: Float64Array): number {
  const sorted = values.toSorted();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
