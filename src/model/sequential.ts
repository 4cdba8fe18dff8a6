/// <reference lib="esnext.disposable" preserve="true" />
import type { BackendName, BoundData, Isa, Samples } from '../backends/backend.js';
import { checkInteger, expected, MnistTrainError } from '../errors.js';
import type { Layer, LayerConfig, OutputActivation } from '../layers/layer.js';
import type { Loss } from '../losses/loss.js';
import { type LossName, resolveLoss } from '../losses/resolve.js';
import type { Metric } from '../metrics/metric.js';
import type { MetricName } from '../metrics/resolve.js';
import type { Optimizer } from '../optimizers/optimizer.js';
import { type OptimizerName, resolveOptimizer } from '../optimizers/resolve.js';
import { checkOptions, checkSignal, type OptionNames } from '../options.js';
import { inTurns, type Pieces } from '../pieces.js';
import { type Program, sizeOf } from '../program/program.js';
import { initialScheduleState } from '../schedules/schedule.js';
import { abortedError, throwIfAborted } from './abort.js';
import { type LayerActivations, LayerProbes, namedWeights, type WeightsByName } from './activations.js';
import { type AugmentationOptions, resolveAugmentation } from './augmentation.js';
import { type Calibration, calibrateModel } from './calibrate.js';
import { Engine, INFER_CAPACITY } from './engine.js';
import { checkEngineOptions, type EngineOptions } from './engine-options.js';
import { EVALUATION_BATCH_SIZE, indices } from './evaluate.js';
import { compileMetrics, evaluateWithMetrics } from './evaluate-metrics.js';
import { type PredictOptions, predictSamples, predictSamplesSync } from './inference.js';
import { type Capacities, lowerModel } from './lower.js';
import { type NeuronWeights, neuronWeights } from './neuron-weights.js';
import { ENGINE_OPTIONS, Predictor } from './predictor.js';
import { type LabelledSamples, type PredictInputs, readSamples } from './samples.js';
import {
  checkModelFields,
  FORMAT_VERSION,
  isReservedKey,
  type ModelConfig,
  readModel,
  saveModel,
} from './serialization.js';
import { buildStack, initialWeights, type Stack, sizeOfParameters, splitParameters } from './stack.js';
import { summarize } from './summary.js';
import { type TrainingEvent, trainingEvents } from './training/events.js';
import { trainModel } from './training/fit.js';
import { type History, TrainingAbortedError } from './training/history.js';
import type { FitOptions } from './training/plan.js';
import type { Training } from './training/state.js';
import { type BatchStream, isBatchStream } from './training/stream.js';
import { averagesOf } from './updates.js';
import { digestOfWeights } from './weights-digest.js';

export interface SequentialOptions extends EngineOptions {
  /** The shape of one sample, row-major, channels last: [28, 28, 1], or [784]. */
  inputShape: readonly number[];
  /**
   * Decides the first weights and the order of samples, a whole number from 0 to 2^53 - 1; default 0. The same seed, data
   * and options give the same weights to the bit, on every processor and with any number of threads.
   */
  seed?: number;
  /** For people; default "sequential". */
  name?: string;
  /** One per output, saved with the model. `fit` takes them from the data set where there are none. */
  classNames?: readonly string[];
}

export interface CompileOptions extends EngineOptions {
  optimizer: OptimizerName | Optimizer;
  loss: LossName | Loss;
  /**
   * What `evaluate` gives beside the loss, by name, and `fit` for its validation samples: names with their default options, what
   * the functions of `metrics` make, or objects of that form. They cost a second pass forward.
   */
  metrics?: readonly (MetricName | Metric)[];
  /**
   * Changes every image at random before each training step, never in evaluation or prediction; default: none. What
   * becomes of an image depends on the model's seed, the epoch and the sample alone, not on batches or threads. Loss and
   * accuracy of an epoch are those of the changed images.
   */
  augmentation?: AugmentationOptions;
}

export interface EvaluateOptions {
  /** Samples per step, default 256. Changes speed only, not the result. */
  batchSize?: number;
  signal?: AbortSignal;
}

export interface SaveOptions {
  /** The caller's own text, saved with the model. */
  metadata?: Record<string, string>;
  signal?: AbortSignal;
}

export interface LoadModelOptions extends EngineOptions {
  signal?: AbortSignal;
}

export interface Evaluation {
  /** The mean over the samples. */
  loss: number;
  /** Only with losses that count correct answers: categoricalCrossentropy and binaryCrossentropy. */
  accuracy?: number;
  count: number;
  /** The metrics given to `compile`, by their names. */
  [metric: string]: number | undefined;
}

const SEQUENTIAL_OPTIONS: OptionNames<SequentialOptions> = {
  inputShape: true,
  seed: true,
  name: true,
  classNames: true,
  backend: true,
  threads: true,
};
const COMPILE_OPTIONS: OptionNames<CompileOptions> = {
  optimizer: true,
  loss: true,
  metrics: true,
  augmentation: true,
  backend: true,
  threads: true,
};

interface Parts {
  stack: Stack;
  weights: readonly Float32Array[];
  name: string;
  seed: number;
  classNames?: readonly string[];
  metadata?: Record<string, string>;
  engineOptions: EngineOptions;
}

/** A model of layers one after the other. Made by `sequential` and `loadModel`. */
export class Sequential {
  readonly name: string;
  readonly seed: number;
  /** Text that came with the model's file; `save` writes it again. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly #stack: Stack;
  readonly #engine: Engine;
  readonly #epochs = { done: 0 };
  #classNames: readonly string[] | undefined;
  readonly #engineOptions: EngineOptions;
  #compileOptions: CompileOptions | null = null;
  #training: Training | null = null;
  /** Made when somebody asks for activations first. */
  #probes: LayerProbes | null = null;
  #fitting = false;
  /** Whether a fit waits for a callback. */
  readonly #moments = { open: false };

  /** Use `sequential` or `loadModel`. */
  constructor(parts: Parts) {
    this.name = parts.name;
    this.seed = parts.seed;
    this.metadata = Object.freeze({ ...parts.metadata });
    this.#stack = parts.stack;
    this.#engineOptions = parts.engineOptions;
    this.#classNames = parts.classNames && [...parts.classNames];
    this.#engine = new Engine(
      new Map(parts.stack.parameters.map(({ name }, index) => [name, parts.weights[index]])),
      parts.engineOptions,
      (capacities) => this.#stackProgram(capacities),
    );
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
    return this.#classNames;
  }

  /** The layers' options, in order. */
  get layers(): readonly LayerConfig[] {
    return this.#stack.layers.filter(({ index }) => index !== null).map(({ layer }) => layer.config);
  }

  /** What `compile` was given or made of a name; null before. */
  get optimizer(): Optimizer | null {
    return this.#training?.optimizer ?? null;
  }

  /** Where the arithmetic runs. Chooses the backend when that has not happened yet: throws ERR_NATIVE_LOAD. */
  get backend(): { name: BackendName; isa: Isa | null; threads: number } {
    const { backend, threads } = this.#engine;
    return { name: backend.name, isa: backend.isa, threads };
  }

  /**
   * Says how to train. Needed before `fit` and `evaluate`, not for prediction. Compiling again keeps the weights and starts
   * the optimizer anew. `backend` and `threads` replace those that the model was made with.
   *
   * With an optimizer that averages weights (`useEma`), the averages are what `evaluate`, validation, `predict`,
   * `getWeights`, `weightsSha256` and `save` show, while training goes on from the weights beside them. Moving statistics of
   * batch normalization are not averaged again. `setWeights` sets both, and compiling again keeps the averages as the
   * weights.
   *
   * Throws ERR_ARGUMENT for unknown options, a loss that does not go with the last layer and metrics that do not go with the
   * loss, ERR_SHAPE for augmentation
   * of what is no image, ERR_STATE during fit or evaluate.
   */
  compile(options: CompileOptions): void {
    const checked = checkOptions(options, 'compile', COMPILE_OPTIONS);
    const optimizer = resolveOptimizer(checked.optimizer);
    const loss = resolveLoss(checked.loss);
    const augmentation = resolveAugmentation(checked.augmentation, this.#stack.inputShape);
    const engineOptions = checkEngineOptions(checked);
    loss.checkOutput(this.#stack.outputSize, this.#stack.outputActivation);
    const metrics = compileMetrics(checked.metrics, loss, this.#stack);
    this.#checkNotFitting('compile');
    if (this.#engine.busy) throw new MnistTrainError('ERR_STATE', 'Wait for evaluate to end before compile.');
    this.#engine.reconfigure(engineOptions, averagesOf(this.#stack.parameters, optimizer));
    this.#dropProbes();
    this.#compileOptions = { ...checked, optimizer, loss };
    this.#training = {
      loss,
      metrics,
      optimizer,
      augmentation,
      state: optimizer.initialState(),
      scheduleState: initialScheduleState(optimizer.learningRate),
    };
  }

  /**
   * A model of its own with the same layers, seed and weights: what is done to it does not touch this one. It is compiled
   * as this one was, where it was, with `changes`; its optimizer starts anew, and its epochs count from 1. Throws as
   * `compile` and `getWeights` do.
   */
  copy(changes?: Partial<CompileOptions>): Sequential {
    const { name, seed, metadata } = this;
    const stack = this.#stack;
    const parts = { stack, weights: this.getWeights(), name, seed, classNames: this.#classNames, metadata };
    const copy = new Sequential({ ...parts, engineOptions: this.#engineOptions });
    if (this.#compileOptions) copy.compile({ ...this.#compileOptions, ...changes });
    return copy;
  }

  /**
   * Trains on mini-batches. Everything is checked before the first step; the promise rejects with ERR_ARGUMENT, ERR_SHAPE
   * or ERR_DATA, naming the place, or with ERR_STATE before `compile` and during another fit.
   *
   * Epoch e takes the samples in an order that depends on the seed and e alone, and e counts on over several calls as the
   * optimizer's state does: two epochs and then three give the bits of five. validationSplit takes the end of the data,
   * before shuffling.
   *
   * When `signal` aborts, training ends within milliseconds, with the weights after the last whole step, and the promise
   * rejects with a `TrainingAbortedError`, which has the history of the whole epochs; so it does when the signal was
   * aborted before, and nothing is trained. An interrupted epoch is not taken up again; the next fit begins the one after
   * it. A callback's `stopTraining` is the way to end a fit that shall count as a success.
   *
   * When a loss becomes NaN or infinite, training stops at once and rejects with ERR_NON_FINITE, naming epoch, step and the
   * layer where it began. The model then has the weights with which the loss was finite last.
   */
  async fit(data: LabelledSamples | BatchStream, options?: FitOptions): Promise<History> {
    const training = this.#compiled('fit');
    this.#checkNotFitting('fit');
    this.#fitting = true;
    try {
      const { seed } = this;
      const context = {
        engine: this.#engine,
        stack: this.#stack,
        training,
        seed,
        epochs: this.#epochs,
        model: this,
        moments: this.#moments,
        config: () => this.toConfig(),
      };
      const history = await trainModel(context, data, options);
      if (training.loss.targets === 'classes' && !isBatchStream(data)) {
        this.#classNames ??= data.classNames && [...data.classNames];
      }
      if (history.stopped === 'aborted') throw new TrainingAbortedError(history, options?.signal?.reason);
      return history;
    } finally {
      this.#fitting = false;
    }
  }

  /**
   * `fit` as a stream of events: `for await (const event of model.train(data, { epochs: 5 }))`. Training begins with the
   * first step of the loop and does not wait for its reader: use `snapshot` where the weights are wanted. Leaving the loop
   * ends training after its last whole step. What `fit` rejects with, the loop throws; with a signal that aborted, a
   * `TrainingAbortedError`.
   */
  train(data: LabelledSamples | BatchStream, options?: FitOptions): AsyncGenerator<TrainingEvent, void, undefined> {
    return trainingEvents((all) => this.fit(data, all), options);
  }

  /**
   * Loss, accuracy and the metrics given to `compile` on labelled samples. During a fit it waits for the steps in flight: an
   * epoch, or the part of one that a stream, a checkpoint or a callback between steps leaves. Rejects with ERR_ABORTED when
   * `signal` comes first, and as `fit` does for wrong data.
   */
  async evaluate(data: LabelledSamples, options?: EvaluateOptions): Promise<Evaluation> {
    const { loss, metrics } = this.#compiled('evaluate');
    const checked = checkOptions(options, 'evaluate', { batchSize: true, signal: true });
    const batchSize = checkInteger(checked.batchSize ?? EVALUATION_BATCH_SIZE, 'batchSize', 1);
    const signal = checkSignal(checked.signal);
    const { samples, bound } = await inTurns(this.#readAndBind(data, loss), () => {
      if (signal?.aborted || this.#engine.disposed) throw abortedError('Evaluation', signal);
    });
    try {
      const order = indices(0, samples.count);
      const request = { data: bound, samples, order, batchSize, signal };
      const means = await evaluateWithMetrics(this.#engine, loss, metrics, request);
      if (!means) throw abortedError('Evaluation', signal);
      return { ...means, count: samples.count };
    } finally {
      bound.dispose();
    }
  }

  /**
   * Makes probabilities mean what they say, by temperature scaling: finds the T whose softmax(logits / T) gives the labels
   * the least loss, and divides the weights and the bias of the last layer that has some by it. Guo et al., "On calibration
   * of modern neural networks" (2017). `save` writes the model so calibrated. The order of the classes stays, and with it
   * accuracy; only classes that are equal but for rounding may change places.
   *
   * `data` must be samples that training did not see, nor those that the model is measured on afterwards: on training data
   * the model is surer than it may be elsewhere. Calibrate when training has ended, since further steps undo it.
   *
   * For models whose last layer with weights, dense or conv2d, has the activation softmax or is followed by it, with at most
   * pooling, flatten or dropout between; without softmax once compiled with categoricalCrossentropy. Needs no `compile`
   * otherwise. Rejects with ERR_STATE for other models and during a fit, with ERR_DATA where no temperature is the best
   * (every answer right, or no better than chance), with ERR_ABORTED when `signal` comes first, and as `evaluate` does for
   * wrong data; the weights are then what they were.
   */
  async calibrate(data: LabelledSamples, options?: { signal?: AbortSignal }): Promise<Calibration> {
    const signal = checkSignal(checkOptions(options, 'calibrate', { signal: true }).signal);
    this.#engine.checkAlive();
    this.#checkNotFitting('calibrate');
    const context = { engine: this.#engine, stack: this.#stack, loss: this.#training?.loss ?? null };
    const calibration = await calibrateModel(context, data, signal);
    if (!calibration) throw abortedError('Calibration', signal);
    return calibration;
  }

  /**
   * The model's outputs, [count, outputs] row-major: probabilities after softmax. Rejects with ERR_ARGUMENT or ERR_SHAPE
   * for wrong inputs, with ERR_ABORTED when `signal` comes first. May run during a fit, on the weights published last:
   * with a signal or more than 1 MB of inputs, later samples may see later weights. Inputs of more than 4 MB are read while
   * it goes on; leave them as they are until it has ended.
   */
  async predict(inputs: PredictInputs, options?: PredictOptions): Promise<Float32Array> {
    return predictSamples(this.#engine, this.#stack, inputs, options);
  }

  /**
   * The same at once, on the calling thread: for a few samples, where crossing threads would take longer. Writes into
   * `output` where given, of exactly [count, outputs], and returns it.
   */
  predictSync(inputs: PredictInputs, output?: Float32Array): Float32Array {
    return predictSamplesSync(this.#engine, this.#stack, inputs, output);
  }

  /**
   * What every layer puts out for one sample or a few, at once and on the calling thread, with the weights published last
   * as `predict` uses them. A residual is one layer; what dropout, flatten and the like pass on is there again. The last
   * layer's values are those of `predictSync` to the bit. Throws ERR_ARGUMENT or ERR_SHAPE for wrong inputs.
   */
  activations(inputs: PredictInputs): LayerActivations[] {
    const weights = this.#published();
    if (this.#probes) this.#probes.write(weights);
    else this.#probes = new LayerProbes(this.#stack, weights, this.#engine.choice);
    return this.#probes.activations(inputs);
  }

  /**
   * The weights of one neuron, and which numbers of the input count for it; null where no single set of weights says
   * that. `layer` counts the layers given to `sequential`, `neuron` the numbers that the layer puts out, row-major; of an
   * activation or a pool, the weights are those of the layer before it. See `NeuronWeights` for what `pixels` leaves out.
   * Throws ERR_ARGUMENT for a layer or neuron that the model does not have.
   */
  neuronWeights(layer: number, neuron: number): NeuronWeights | null {
    return neuronWeights(this.#stack, this.#published(), layer, neuron);
  }

  /**
   * An immutable copy that predicts, with the weights as predictions see them now: those published last, also during a
   * fit. It can be swapped into service while this model trains on, and its `shared` be sent to other threads. It runs
   * where this model does, unless `options` say otherwise. Throws ERR_ARGUMENT, or ERR_STATE once disposed of.
   */
  snapshot(options?: EngineOptions): Predictor {
    const own = checkEngineOptions(checkOptions(options, 'snapshot', ENGINE_OPTIONS));
    const weights = new SharedArrayBuffer(sizeOfParameters(this.#stack) * Float32Array.BYTES_PER_ELEMENT);
    this.#readPublished(new Float32Array(weights));
    const { backend, threads } = this.#engine.choice;
    const choice = { backend: own.backend ?? backend, threads: own.threads ?? threads };
    return new Predictor({ config: this.toConfig(), metadata: this.metadata, weights }, this.#stack, choice);
  }

  /** A table of layers: output shapes, parameters, and multiplications with weights (and additions) for one sample. */
  summary(): string {
    return summarize(this.name, this.#stack);
  }

  /** The number of trainable numbers. */
  countParameters(): number {
    const trainable = this.#stack.parameters.filter(({ spec }) => spec.trainable);
    return trainable.reduce((sum, { spec }) => sum + sizeOf(spec.shape), 0);
  }

  /**
   * Copies of the parameters in layer order, weights before biases, in Keras's layout and row-major: weights are
   * [inputs, units], of convolutions [height, width, channels, filters]; batch normalization has gamma, beta, moving mean
   * and moving variance. Throws ERR_STATE while steps run; `onEpochEnd` is a good moment during a fit.
   */
  getWeights(): Float32Array[] {
    return this.#stack.parameters.map(({ name }) => this.#engine.read(name));
  }

  /**
   * Replaces the parameters, as `getWeights` gives them. Throws ERR_SHAPE, ERR_DATA, or ERR_STATE during a fit, except
   * inside a callback: training then goes on from there.
   */
  setWeights(weights: readonly Float32Array[]): void {
    if (!this.#moments.open) this.#checkNotFitting('setWeights');
    const { parameters } = this.#stack;
    if (!Array.isArray(weights) || weights.length !== parameters.length) {
      throw expected(
        `a list of ${parameters.length} arrays, as getWeights gives them,`,
        'weights',
        weights,
        '',
        'ERR_SHAPE',
      );
    }
    parameters.forEach(({ name, spec }, index) => {
      const values = weights[index];
      if (!(values instanceof Float32Array) || values.length !== sizeOf(spec.shape)) {
        const what = `a Float32Array of [${spec.shape.join(', ')}]`;
        throw expected(what, `weights[${index}] (${name})`, values, '', 'ERR_SHAPE');
      }
      const wrong = values.findIndex((value) => !Number.isFinite(value));
      if (wrong >= 0) throw expected('a finite number', `weights[${index}][${wrong}]`, values[wrong], '', 'ERR_DATA');
    });
    this.#engine.write(new Map(parameters.map(({ name }, index) => [name, weights[index]])));
  }

  /** SHA-256, in hexadecimal, of the parameters' little-endian float32 bytes in the order and layout of `getWeights`. */
  weightsSha256(): string {
    return digestOfWeights(this.getWeights());
  }

  /** The architecture as plain JSON, without weights. */
  toConfig(): ModelConfig {
    return {
      formatVersion: FORMAT_VERSION,
      name: this.name,
      inputShape: this.#stack.inputShape,
      seed: this.seed,
      layers: this.layers,
      ...(this.#classNames ? { classNames: this.#classNames } : {}),
    };
  }

  /** The operations that this model is lowered to, for listings; training and evaluation only when compiled. */
  program({ batchSize = 32 }: { batchSize?: number } = {}): Program {
    const train = checkInteger(batchSize, 'batchSize', 1);
    return this.#stackProgram({ train, evaluate: EVALUATION_BATCH_SIZE, infer: INFER_CAPACITY });
  }

  /**
   * Writes a safetensors file with PyTorch's names and layouts: `<layer index>.weight` as [units, inputs], of convolutions
   * as [filters, channels, height, width], `<layer index>.bias`, of batch normalization `<layer index>.running_mean` and
   * `.running_var` besides, and the architecture in the metadata `mnist_train.model`. The index counts the layers given to
   * `sequential`; layers in a residual follow its own, as in `3.0.weight`. A dense layer behind a flattened image counts
   * its inputs by row, column and channel, as memory does. The file appears whole or not at all. `metadata` is the caller's
   * own text, read back as `model.metadata`; keys that begin with "mnist_train." and the key "format" are taken. During a
   * fit it waits for the steps in flight, as `evaluate` does. The optimizer's state is not saved: `fit` has checkpoints.
   *
   * Rejects with ERR_FILE, ERR_ARGUMENT, ERR_NON_FINITE for weights that are not finite, or ERR_ABORTED when `signal` comes
   * before the file is there: what was at the path then stays.
   */
  async save(path: string, options?: SaveOptions): Promise<void> {
    checkPath(path);
    const { metadata = {}, signal } = checkOptions(options, 'save', { metadata: true, signal: true });
    checkSignal(signal);
    if (typeof metadata !== 'object' || metadata === null) throw expected('an object of text', 'metadata', metadata);
    for (const [key, value] of Object.entries(metadata)) {
      if (typeof value !== 'string') throw expected('text', `metadata.${key}`, value);
      if (isReservedKey(key)) throw expected('another key', 'metadata', key, 'It is used by mnist-train itself.');
    }
    const goOn = () => throwIfAborted('Saving', signal);
    goOn();
    const weights = await this.#engine.inTurn(() => this.#engine.parameters(goOn));
    const file = { config: this.toConfig(), stack: this.#stack, weights, metadata: { ...this.metadata, ...metadata } };
    await saveModel(path, file, goOn);
  }

  /**
   * Frees memory and threads now instead of at garbage collection. A fit or an evaluation in flight is rejected with
   * ERR_ABORTED. Other methods that need weights throw ERR_STATE from then on. Idempotent.
   */
  dispose(): void {
    this.#engine.dispose();
    this.#dropProbes();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  *#readAndBind(data: LabelledSamples, loss: Loss): Pieces<{ samples: Samples; bound: BoundData }> {
    const samples = yield* readSamples(data, this.#stack, loss, 'data');
    return { samples, bound: yield* this.#engine.bind(samples) };
  }

  /** The weights as predictions see them. */
  #published(): WeightsByName {
    const values = new Float32Array(sizeOfParameters(this.#stack));
    this.#readPublished(values);
    return namedWeights(this.#stack, splitParameters(this.#stack, values));
  }

  #readPublished(values: Float32Array): void {
    this.#engine.readPublished(
      this.#stack.parameters.map(({ name }) => name),
      values,
    );
  }

  #dropProbes(): void {
    this.#probes?.dispose();
    this.#probes = null;
  }

  #stackProgram(capacities: Capacities): Program {
    return lowerModel(this.#stack, this.#training, capacities, this.seed);
  }

  #compiled(method: string): Training {
    this.#engine.checkAlive();
    if (this.#training) return this.#training;
    throw new MnistTrainError('ERR_STATE', `Call compile with an optimizer and a loss before ${method}.`);
  }

  #checkNotFitting(method: string): void {
    if (this.#fitting) throw new MnistTrainError('ERR_STATE', `Wait for the running fit to end before ${method}.`);
  }
}

function checkPath(path: unknown): void {
  if (typeof path !== 'string' || path === '') throw expected('a file name', 'path', path);
}

/**
 * Makes a model of layers one after the other, with its first weights. Images go straight into a dense layer: a flatten
 * is put in between. Throws ERR_ARGUMENT or ERR_SHAPE.
 */
export function sequential(layers: readonly Layer[], options: SequentialOptions): Sequential {
  const checked = checkOptions(options, 'sequential', SEQUENTIAL_OPTIONS);
  const { inputShape, seed = 0, name = 'sequential', classNames } = checked;
  const engineOptions = checkEngineOptions(checked);
  const stack = buildStack(layers, inputShape);
  checkModelFields({ name, seed, classNames }, stack.outputSize);
  return new Sequential({ stack, weights: initialWeights(stack, seed), name, seed, classNames, engineOptions });
}

/**
 * Reads a model that `save` wrote, ready to predict; call `compile` to train on or evaluate. The file is checked from end
 * to end: rejects with ERR_FILE when it cannot be read, and with ERR_FORMAT, naming file and tensor, when it is
 * damaged, not a model, or does not fit its own architecture; with ERR_ABORTED after `signal`.
 */
export async function loadModel(path: string, options?: LoadModelOptions): Promise<Sequential> {
  checkPath(path);
  const { signal, ...choice } = checkOptions(options, 'loadModel', { ...ENGINE_OPTIONS, signal: true });
  const engineOptions = checkEngineOptions(choice);
  checkSignal(signal);
  const { config, stack, weights, metadata } = await readModel(path, signal);
  const { name, seed, classNames } = config;
  return new Sequential({ stack, weights, name, seed, classNames, metadata, engineOptions });
}
