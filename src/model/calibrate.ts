import { MnistTrainError } from '../errors.js';
import type { Link } from '../layers/chain.js';
import { layerFromConfig } from '../layers/from-config.js';
import { categoricalCrossentropy } from '../losses/categorical-crossentropy.js';
import type { Loss } from '../losses/loss.js';
import { expectedCalibrationError } from '../metrics/expected-calibration-error.js';
import { fitTemperature, TEMPERATURES } from '../metrics/fit-temperature.js';
import type { Labels } from '../metrics/inputs.js';
import { negativeLogLikelihood } from '../metrics/negative-log-likelihood.js';
import { inTurns } from '../pieces.js';
import type { BufferName } from '../program/ops.js';
import { abortedError } from './abort.js';
import { Engine } from './engine.js';
import { labelsOf } from './evaluate-metrics.js';
import { lowerModel } from './lower.js';
import { type LabelledSamples, readSamples } from './samples.js';
import { buildStack, type Stack } from './stack.js';

/** How well probabilities meet the labels: the mean of -log p_label, and what `expectedCalibrationError` gives. */
export interface CalibrationQuality {
  loss: number;
  expectedCalibrationError: number;
}

export interface Calibration {
  /** What logits were divided by; above 1 where the model was too sure of itself. */
  temperature: number;
  /** On the samples that the temperature was fitted on. */
  before: CalibrationQuality;
  after: CalibrationQuality;
}

interface CalibrationContext {
  engine: Engine;
  stack: Stack;
  /** Null before `compile`. */
  loss: Loss | null;
}

/** Logits are made for so many samples at a time, with a look at the signal in between. */
const PORTION = 1024;

/** Divides the last weights by a temperature; see `Sequential.calibrate`. Null when the signal or a disposal came first. */
export async function calibrateModel(
  { engine, stack, loss }: CalibrationContext,
  data: LabelledSamples,
  signal: AbortSignal | undefined,
): Promise<Calibration | null> {
  const { logitStack, parameters } = headOf(stack, loss);
  const goOn = () => {
    if (signal?.aborted || engine.disposed) throw abortedError('Calibration', signal);
  };
  const reading = readSamples(data, stack, categoricalCrossentropy(), 'data');
  const { inputs, count, targets } = await inTurns(reading, goOn);
  const labels = labelsOf(targets, stack.outputSize);
  const stopped = () => signal?.aborted === true || engine.disposed;
  return engine.inTurn(async () => {
    if (stopped()) return null;
    // Probabilities have lost what is far below 1. A model without the softmax gives the logits themselves.
    const weights = new Map(stack.parameters.map(({ name }) => [name, engine.read(name)]));
    const choice = { backend: engine.backend, threads: engine.threads };
    const logitEngine = new Engine(weights, choice, (capacities) => lowerModel(logitStack, null, capacities));
    try {
      const calibration = await engine.undisturbed(async () => {
        const logits = await logitsOf(logitEngine, inputs, count, stopped);
        if (!logits) return null;
        const temperature = checkTemperature(fitTemperature(labels, logits, { fromLogits: true }));
        const divided = parameters.map(
          (name) => [name, weights.get(name)!.map((value) => value / temperature)] as const,
        );
        for (const [name, values] of divided) weights.set(name, values);
        logitEngine.write(new Map(divided));
        const after = await logitsOf(logitEngine, inputs, count, stopped);
        return after && { temperature, before: qualityOf(labels, logits), after: qualityOf(labels, after) };
      });
      // All of them: where an optimizer keeps averages, what was calibrated becomes the weights to train on from as well.
      if (calibration) engine.write(weights);
      return calibration;
    } finally {
      logitEngine.dispose();
    }
  });
}

async function logitsOf(
  engine: Engine,
  inputs: Uint8Array | Float32Array,
  count: number,
  stopped: () => boolean,
): Promise<Float32Array | null> {
  const columns = inputs.length / count;
  let logits = new Float32Array(0);
  for (let first = 0; first < count; first += PORTION) {
    if (stopped()) return null;
    const portion = await engine.infer(inputs.subarray(first * columns, (first + PORTION) * columns));
    const outputs = portion.length / Math.min(PORTION, count - first);
    if (first === 0) logits = new Float32Array(count * outputs);
    logits.set(portion, first * outputs);
  }
  return stopped() ? null : logits;
}

function qualityOf(labels: Labels, logits: Float32Array): CalibrationQuality {
  return {
    loss: negativeLogLikelihood(labels, logits, { fromLogits: true }),
    expectedCalibrationError: expectedCalibrationError(labels, logits, { fromLogits: true }),
  };
}

function checkTemperature(temperature: number): number {
  if (temperature > TEMPERATURES.least && temperature < TEMPERATURES.greatest) return temperature;
  const [what, why] =
    temperature <= TEMPERATURES.least
      ? ['samples that the model is sometimes wrong on', 'When all answers are right, the surest are the best.']
      : ['samples that the model does better on than chance', 'Train it first, and look at the labels.'];
  throw new MnistTrainError(
    'ERR_DATA',
    `Expected ${what} for the data of calibrate, received some that no temperature is the best for. ${why}`,
  );
}

/** Layers that pass a common factor of their inputs on, and have no weights. */
const PASSING = new Set(['averagePooling2d', 'globalAveragePooling2d', 'maxPooling2d']);
const passesOn = ({ layer }: Link): boolean => layer.outputActivation === null || PASSING.has(layer.type);

/** The parameters whose division divides the logits, and the model up to the logits. Throws ERR_STATE. */
function headOf(stack: Stack, loss: Loss | null): { parameters: readonly BufferName[]; logitStack: Stack } {
  const { layers, inputShape } = stack;
  const place = layers.findLastIndex(({ built }) => built.parameters.length > 0);
  const { layer, index } = layers[place];
  const rest = layers.slice(place + 1).filter((link) => !passesOn(link));
  const endings = [layer.outputActivation, ...rest.map((link) => link.layer.outputActivation)].join(', ');
  const ends = endings === 'softmax' || endings === 'linear, softmax';
  const givesLogits = endings === 'linear' && loss?.name === 'categoricalCrossentropy';
  if ((layer.type !== 'dense' && layer.type !== 'conv2d') || !(ends || givesLogits)) {
    throw new MnistTrainError(
      'ERR_STATE',
      'Expected a model whose last layer with weights, dense or conv2d, is followed by softmax for calibrate, received one ' +
        `that ends with ${layer.type} (${endings}). A model of logits has to be compiled with categoricalCrossentropy.`,
    );
  }
  const withoutSoftmax = layers.flatMap((link) => {
    if (link.index === null) return [];
    if (link.layer.outputActivation !== 'softmax') return [link.layer];
    return link.index === index ? [layerFromConfig({ ...link.layer.config, activation: 'linear' })] : [];
  });
  return {
    parameters: stack.parameters.filter((parameter) => parameter.layer === index).map(({ name }) => name),
    logitStack: buildStack(withoutSoftmax, inputShape),
  };
}
