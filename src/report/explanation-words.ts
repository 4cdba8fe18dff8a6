import type { LayerConfig } from '../layers/layer.js';
import type {
  Contributions,
  ExplainedClass,
  ExplainedLayer,
  ExplainedNeuron,
  Explanation,
  LayerContribution,
} from '../model/explain/explanation.js';
import { imageShapeOf } from '../model/explain/places.js';

/** What an explanation says in words and numbers, the same on a terminal and on a page. */

export interface ExplanationSubject {
  explanation: Explanation;
  /** The layers' options, as in `model.layers`. */
  layers: readonly LayerConfig[];
  /** In a word: 784-128-10. */
  network: string;
  size: { width: number; height: number };
  /** What the image is called. */
  image: string;
  /** How it was converted, in words. */
  notes: readonly string[];
  /** Its own label, where that is known. */
  expected?: number;
}

/** A class's name. */
export const nameOf = ({ classes }: Explanation, label: number): string => classes[label].name;

/** With two digits behind the point, or the first two that are not 0: 13.60, -0.07, 0.0031, 4.7e-5. */
export function plainNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 0.095) return value.toFixed(2);
  return size >= 1e-4 ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace('e+', 'e');
}

/** The same with its sign: +13.60. */
export const signedNumber = (value: number): string => `${value > 0 ? '+' : ''}${plainNumber(value)}`;

/** As many digits as count: losses of sure answers are small. */
export const digits = (value: number, count = 4): string => String(Number(value.toPrecision(count)));

export const gradientText = (value: number): string =>
  Math.abs(value) >= 0.001 ? value.toPrecision(4) : value.toExponential(3);

/** With enough digits to see a step. */
export const weightText = (value: number): string => value.toFixed(7);

/** Two probabilities, with so many digits that their difference shows, if four do. */
export function probabilitiesText(before: number, after: number): readonly [string, string] {
  const percent = (fraction: number, places: number) => `${(fraction * 100).toFixed(places)} %`;
  const shown = [2, 3, 4].map((places) => [percent(before, places), percent(after, places)] as const);
  return shown.find(([a, b]) => a !== b) ?? shown[0];
}

/** The rule of the step, where it is short enough to do by hand. */
export function ruleText({ step }: Explanation): string {
  const { optimizer, learningRate } = step;
  const shown = digits(learningRate, 3);
  return optimizer === 'sgd'
    ? `With sgd at learning rate ${shown}: after = before - ${shown} x gradient.`
    : `With ${optimizer} at learning rate ${shown}, which makes its own steps of the gradients.`;
}

/** What loss and gradient are. */
export const lossText = (explanation: Explanation): string =>
  `The loss says how wrong the answer is: minus the logarithm of the probability of ${nameOf(explanation, explanation.label)}, the ` +
  `label. Here it is ${digits(explanation.step.lossBefore)}. The gradient of a weight is how fast the loss grows with it. ` +
  'Back-propagation finds it for every weight, from the last layer to the first, and a step moves each weight against it. ' +
  `${ruleText(explanation)} ${trainingRemark(explanation)}`.trim();

/** How a pixel counts. */
export const reasonText = ({ contributions }: Explanation): string => {
  const means =
    contributions.answer.method === 'weights'
      ? 'A pixel counts its brightness times its weight.'
      : 'A pixel counts its brightness times how fast the logit grows with it (gradient x input).';
  return `The logit of each class is a sum. ${means} Nothing is left out: the parts add up to the logits.`;
};

/** Of a layer's outputs. */
export function rangeText({ least, greatest, off, shape }: ExplainedLayer): string {
  const size = shape.reduce((product, side) => product * side, 1);
  const count = (value: number) => value.toLocaleString('en-US');
  const zeros = off === 0 ? '' : ` ${count(off)} of ${count(size)} are 0.`;
  return `Outputs from ${plainNumber(least)} to ${plainNumber(greatest)}.${zeros}`;
}

/** Of layers without weights, in a sentence. */
export function strongestText({ type, shape, neurons }: ExplainedLayer): string {
  const [{ unit, place, activation }] = neurons;
  const where = place ? ` at row ${place.row} column ${place.column}` : '';
  return `The strongest is ${unitName(type, shape)} ${unit}${where} with ${plainNumber(activation)}.`;
}

/** Whether the neurons that come next are those of the classes: layers without neurons pass on what they get. */
export const feedsClasses = ({ layers }: Explanation, { layer }: ExplainedLayer): boolean =>
  layers.slice(layer + 1, -1).every(({ neurons }) => neurons.length === 0);

/** What a neuron does for those of the next layer: "4 -1.27, 5 -1.08". */
export function feedsText(explanation: Explanation, layer: ExplainedLayer, { feeds = [] }: ExplainedNeuron): string {
  const name = (unit: number) => (feedsClasses(explanation, layer) ? nameOf(explanation, unit) : String(unit));
  return feeds.map(({ unit, contribution }) => `${name(unit)} ${signedNumber(contribution)}`).join(', ');
}

/** Of every layer, what it does, its name and the shape before it. */
export function describedLayers({
  explanation,
  layers,
}: ExplanationSubject): { layer: ExplainedLayer; sentence: string }[] {
  let before = explanation.input.shape;
  return explanation.layers.map((layer, index) => {
    const isNew = layers.findIndex((config) => isAlike(config, layers[index])) === index;
    const sentence = layerSentence(layers[index], layer, before, isNew);
    before = layer.shape;
    return { layer, sentence };
  });
}

/** Whether the same sentence describes both. */
const isAlike = (a: LayerConfig, b: LayerConfig): boolean =>
  a.type === b.type && (a.type !== 'activation' || a.activation === b.activation);

/**
 * What a layer does, for somebody who has never seen one; short where a layer of its kind came before.
 *
 * @param shapeBefore Of what comes in.
 */
function layerSentence(
  config: LayerConfig,
  { shape }: ExplainedLayer,
  shapeBefore: readonly number[],
  isNew: boolean,
): string {
  const inputs = shapeBefore.reduce((product, side) => product * side, 1);
  if (!isNew) return shortSentence(config, shape, shapeBefore);
  switch (config.type) {
    case 'dense':
      return `Each of its ${shape[0]} neurons multiplies the ${inputs} numbers before it by weights of its own, adds them up and adds its bias. ${activationSentence(config)}`;
    case 'conv2d': {
      const [height, width] = config.kernelSize as number[];
      return `Each of its ${shape[2]} filters is a small window of ${height} x ${width} weights, laid on every place of the image: it multiplies what it covers by the weights and adds up. ${activationSentence(config)}`;
    }
    case 'maxPooling2d':
      return `Of each window of ${pair(config.poolSize)} numbers, only the greatest goes on: ${sizeText(shapeBefore)} becomes ${sizeText(shape)}.`;
    case 'averagePooling2d':
      return `Of each window of ${pair(config.poolSize)} numbers, the mean goes on: ${sizeText(shapeBefore)} becomes ${sizeText(shape)}.`;
    case 'globalAveragePooling2d':
      return 'Of each channel, the mean over the whole image goes on.';
    case 'batchNormalization':
      return 'Every channel is shifted and scaled to what was usual in training, then once more by two numbers that were learned.';
    case 'activation':
    case 'softmax':
      return activationSentence(config);
    case 'residual':
      return 'What its inner layers make of the numbers is added to what came in.';
    case 'dropout':
      return 'In training it leaves out some numbers at random; here all go on unchanged.';
    case 'flatten':
      return 'The numbers are put into one row; none changes.';
    default:
      return '';
  }
}

function shortSentence(config: LayerConfig, shape: readonly number[], shapeBefore: readonly number[]): string {
  switch (config.type) {
    case 'dense':
      return `${shape[0]} neurons that work alike on the ${shapeBefore.join(' x ')} numbers before them. ${activationSentence(config)}`;
    case 'conv2d':
      return `${shape[2]} filters of ${pair(config.kernelSize)} that work alike, on all ${shapeBefore[2]} channels. ${activationSentence(config)}`;
    case 'maxPooling2d':
    case 'averagePooling2d':
      return `The same with windows of ${pair(config.poolSize)}.`;
    case 'batchNormalization':
      return 'Shifts and scales again.';
    default:
      return activationSentence(config);
  }
}

function activationSentence({ type, activation, negativeSlope }: LayerConfig): string {
  switch (type === 'softmax' ? type : activation) {
    case 'relu':
      return 'A sum below 0 becomes 0: the neuron is off.';
    case 'leakyRelu':
      return `A sum below 0 counts only ${negativeSlope} times.`;
    case 'sigmoid':
      return 'Sums are squeezed into 0 to 1.';
    case 'tanh':
      return 'Sums are squeezed into -1 to 1.';
    case 'gelu':
      return 'Sums far below 0 become 0, those far above stay.';
    case 'softmax':
      return 'Softmax turns the sums, called logits, into probabilities: e to the power of each, divided by the total of all.';
    default:
      return '';
  }
}

const pair = (value: LayerConfig[string]): string => (value as number[]).join(' x ');

/** [24, 24, 8] as 24 x 24 x 8. */
export const sizeText = (shape: readonly number[]): string => shape.join(' x ');

/** What the outputs of a layer are called. */
export const unitName = (type: string, shape: readonly number[]): string =>
  type === 'conv2d' ? 'filter' : shape.length === 3 ? 'channel' : 'neuron';

export interface PixelSums {
  /** Of the pixels that spoke for it, and of those against. */
  plus: number;
  minus: number;
}

export function pixelSums(pixels: readonly number[]): PixelSums {
  let [plus, minus] = [0, 0];
  for (const value of pixels) {
    if (value > 0) plus += value;
    else minus += value;
  }
  return { plus, minus };
}

export interface StrongPixel {
  /** "row 12 column 9". */
  place: string;
  brightness: number;
  contribution: number;
}

/** The pixels that did most: for, the greatest first; against, the least first. */
export function strongestPixels(
  pixels: readonly number[],
  { shape, values }: Explanation['input'],
  count: number,
): { plus: StrongPixel[]; minus: StrongPixel[] } {
  const [, width, channels] = imageShapeOf(shape) ?? [1, pixels.length, 1];
  const order = pixels.map((_, index) => index).sort((a, b) => pixels[b] - pixels[a]);
  const strong = (index: number): StrongPixel => {
    const position = Math.floor(index / channels);
    const place = `row ${Math.floor(position / width)} column ${position % width}`;
    return { place, brightness: values[index], contribution: pixels[index] };
  };
  return {
    plus: order
      .filter((index) => pixels[index] > 0)
      .slice(0, count)
      .map(strong),
    minus: order
      .reverse()
      .filter((index) => pixels[index] < 0)
      .slice(0, count)
      .map(strong),
  };
}

const REST_TITLES: Readonly<Record<LayerContribution['of'], string>> = {
  biases: 'biases',
  shift: 'shifts of normalization',
  curvature: 'bends of activations',
};

/** "biases of layer 0". */
export const titleOfRest = ({ layer, of }: LayerContribution): string => `${REST_TITLES[of]} of layer ${layer}`;

/** What is not from pixels, by its kind. */
export function restByKind(rest: Contributions['rest']): { title: string; contribution: number }[] {
  return (['biases', 'shift', 'curvature'] as const).flatMap((kind) => {
    const own = rest.filter(({ of }) => of === kind);
    if (own.length === 0) return [];
    return [{ title: REST_TITLES[kind], contribution: own.reduce((sum, { contribution }) => sum + contribution, 0) }];
  });
}

/** The label, and the classes whose probability the step moves most, in the order of the classes. */
export function movedClasses({ classes, step }: Explanation, count: number): ExplainedClass[] {
  const move = ({ label, probability }: ExplainedClass) =>
    label === step.label ? Number.POSITIVE_INFINITY : Math.abs(step.probabilitiesAfter[label] - probability);
  const most = [...classes].sort((a, b) => move(b) - move(a)).slice(0, count);
  return classes.filter((each) => most.includes(each));
}

/** Where training works otherwise than the network that answers; empty where it does not. */
function trainingRemark({ layers, step }: Explanation): string {
  if (step.trainingLoss === step.lossBefore) return '';
  const has = (type: string) => layers.some((layer) => layer.type === type);
  const ofRows = layers.some(({ type, shape }) => type === 'batchNormalization' && shape.length === 1);
  return [
    has('dropout') && 'Dropout leaves numbers out in training.',
    has('batchNormalization') &&
      'Batch normalization takes mean and spread of the batch in training, here of this one image.',
    ofRows && 'With one image, that leaves 0 of every number of a row, so nothing before it learns.',
  ]
    .filter(Boolean)
    .join(' ');
}
