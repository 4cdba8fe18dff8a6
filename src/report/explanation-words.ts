import type { LayerConfig } from '../layers/layer.js';
import type {
  Contributions,
  ExplainedClass,
  ExplainedLayer,
  Explanation,
  LayerContribution,
} from '../model/explain/explanation.js';
import { imageShapeOf } from '../model/explain/places.js';

/** What an explanation says in words, the same on a terminal and on a page. */

/**
 * What a layer does, for somebody who has never seen one; short where a layer of its kind came before.
 *
 * @param shapeBefore Of what comes in.
 */
export function layerSentence(
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
  shift: 'shifts of batch normalization',
  curvature: 'bends of the activations',
};

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
export function trainingRemark({ layers, step }: Explanation): string {
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
