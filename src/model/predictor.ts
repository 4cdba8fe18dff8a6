/// <reference lib="esnext.disposable" preserve="true" />
import type { BackendName, Isa } from '../backends/backend.js';
import { expected, MnistTrainError } from '../errors.js';
import { layerFromConfig } from '../layers/from-config.js';
import type { LayerConfig, OutputActivation } from '../layers/layer.js';
import { checkOptions, type OptionNames } from '../options.js';
import { type LayerActivations, type LayerOutput, LayerProbes, layerOutputs, namedWeights } from './activations.js';
import { Engine } from './engine.js';
import { checkEngineOptions, type EngineOptions } from './engine-options.js';
import { type PredictOptions, predictSamples, predictSamplesSync } from './inference.js';
import { lowerModel } from './lower.js';
import { type NeuronWeights, neuronWeights } from './neuron-weights.js';
import type { PredictInputs } from './samples.js';
import { checkModelFields, FORMAT_VERSION, type ModelConfig } from './serialization.js';
import { buildStack, type Stack, sizeOfParameters, splitParameters } from './stack.js';
import { digestOfWeights } from './weights-digest.js';

export const ENGINE_OPTIONS: OptionNames<EngineOptions> = { backend: true, threads: true };

/**
 * A trained model as plain data: what `postMessage` and `workerData` carry to another thread. The weights are in shared
 * memory, so that sending costs the same whatever their size, and are never written again.
 */
export interface SharedModel {
  readonly config: ModelConfig;
  readonly metadata: Readonly<Record<string, string>>;
  /** The parameters in layer order, float32, as `getWeights` gives them. */
  readonly weights: SharedArrayBuffer;
}

const SHARED_FIELDS: OptionNames<SharedModel> = { config: true, metadata: true, weights: true };

/**
 * An immutable model that only predicts. Made by `Sequential.snapshot` and, from what another thread sent, by
 * `openPredictor`. To swap a new one into service, assign it to the variable that requests read, then dispose of the old
 * one: predictions in flight still end on it.
 */
export class Predictor {
  /** To send to other threads; see `openPredictor`. */
  readonly shared: SharedModel;
  readonly #stack: Stack;
  readonly #engine: Engine;
  /** Made when somebody asks for activations first. */
  #probes: LayerProbes | null = null;
  #inFlight = 0;
  #disposed = false;

  /** Use `model.snapshot()` or `openPredictor`. */
  constructor(shared: SharedModel, stack: Stack, options: EngineOptions) {
    this.shared = Object.freeze(shared);
    this.#stack = stack;
    // Nobody writes to them, neither here nor elsewhere; the engine computes with a copy of its own.
    this.#engine = new Engine(namedWeights(stack, this.#views()), options, (capacities) =>
      lowerModel(stack, null, capacities, shared.config.seed),
    );
  }

  get name(): string {
    return this.shared.config.name;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.shared.metadata;
  }

  /** The shape of one sample. */
  get inputShape(): readonly number[] {
    return this.#stack.inputShape;
  }

  /** The shape of one prediction. */
  get outputShape(): readonly number[] {
    return this.#stack.outputShape;
  }

  /** The activation of the outputs: predictions are probabilities after softmax. */
  get outputActivation(): OutputActivation {
    return this.#stack.outputActivation;
  }

  get classNames(): readonly string[] | undefined {
    return this.shared.config.classNames;
  }

  /** The layers' options, in order. */
  get layers(): readonly LayerConfig[] {
    return this.shared.config.layers;
  }

  /** Where the arithmetic runs. Throws ERR_NATIVE_LOAD. */
  get backend(): { name: BackendName; isa: Isa | null; threads: number } {
    const { backend, threads } = this.#engine;
    return { name: backend.name, isa: backend.isa, threads };
  }

  /** As `Sequential.predict`. */
  async predict(inputs: PredictInputs, options?: PredictOptions): Promise<Float32Array> {
    this.#checkAlive();
    this.#inFlight++;
    try {
      return await predictSamples(this.#engine, this.#stack, inputs, options);
    } finally {
      this.#inFlight--;
      this.#free();
    }
  }

  /** As `Sequential.predictSync`. */
  predictSync(inputs: PredictInputs, output?: Float32Array): Float32Array {
    this.#checkAlive();
    return predictSamplesSync(this.#engine, this.#stack, inputs, output);
  }

  /** The layers and the shapes of what they put out, as `activations` has them. */
  get layerOutputs(): readonly LayerOutput[] {
    return layerOutputs(this.#stack);
  }

  /** As `Sequential.activations`. */
  activations(inputs: PredictInputs): LayerActivations[] {
    this.#checkAlive();
    if (!this.#probes) {
      this.#probes = new LayerProbes(this.#stack, namedWeights(this.#stack, this.#views()), this.#engine.choice);
    }
    return this.#probes.activations(inputs);
  }

  /** As `Sequential.neuronWeights`. */
  neuronWeights(layer: number, neuron: number): NeuronWeights | null {
    return neuronWeights(this.#stack, namedWeights(this.#stack, this.#views()), layer, neuron);
  }

  /** Copies of the parameters, as `Sequential.getWeights` gives them. */
  getWeights(): Float32Array[] {
    return this.#views().map((values) => Float32Array.from(values));
  }

  /** As `Sequential.weightsSha256`. */
  weightsSha256(): string {
    return digestOfWeights(this.#views());
  }

  /**
   * Frees memory and threads, as soon as the predictions in flight have ended, instead of at garbage collection. New ones
   * throw ERR_STATE. `shared` stays good, here and in other threads. Idempotent.
   */
  dispose(): void {
    this.#disposed = true;
    this.#probes?.dispose();
    this.#probes = null;
    this.#free();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #views(): Float32Array[] {
    return splitParameters(this.#stack, new Float32Array(this.shared.weights));
  }

  #free(): void {
    if (this.#disposed && this.#inFlight === 0) this.#engine.dispose();
  }

  #checkAlive(): void {
    if (this.#disposed)
      throw new MnistTrainError('ERR_STATE', 'The predictor was disposed of. Make or open a new one.');
  }
}

/**
 * A predictor of a model that another thread sent: `openPredictor(workerData)`. It keeps a copy of the weights in its own
 * engine. `threads` default to 1, since whoever sends models to threads has these to use the processors. Throws
 * ERR_ARGUMENT or ERR_SHAPE for anything else than the `shared` of a predictor.
 */
export function openPredictor(shared: SharedModel, options?: EngineOptions): Predictor {
  const engineOptions = checkEngineOptions(checkOptions(options, 'openPredictor', ENGINE_OPTIONS));
  const { config, metadata, weights } = checkOptions(shared, 'openPredictor (a predictor.shared)', SHARED_FIELDS);
  const hint = "Send a predictor's shared, whole.";
  if (typeof config !== 'object' || config === null || !Array.isArray(config.layers)) {
    throw expected("a model's architecture", 'shared.config', config, hint);
  }
  if (config.formatVersion !== FORMAT_VERSION) {
    throw expected(
      `${FORMAT_VERSION}`,
      'shared.config.formatVersion',
      config.formatVersion,
      'Use one version of mnist-train.',
    );
  }
  if (typeof metadata !== 'object' || metadata === null)
    throw expected('text by key', 'shared.metadata', metadata, hint);
  const stack = buildStack(config.layers.map(layerFromConfig), config.inputShape);
  checkModelFields(config, stack.outputSize);
  const size = sizeOfParameters(stack) * Float32Array.BYTES_PER_ELEMENT;
  if (!(weights instanceof SharedArrayBuffer) || weights.byteLength !== size) {
    throw expected(`a SharedArrayBuffer of ${size} bytes`, 'shared.weights', weights, hint, 'ERR_SHAPE');
  }
  return new Predictor({ config, metadata, weights }, stack, { ...engineOptions, threads: engineOptions.threads ?? 1 });
}
