import type { LayerConfig } from '../../layers/layer.js';
import type { ExplainedLayer, ExplainedNeuron, Explanation } from '../../model/explain/explanation.js';
import { plainNumber, signedNumber } from './numbers.js';
import { type ExplanationSubject, nameOf } from './subject.js';

/** Layers and neurons in words. */

/** Of a layer's outputs. */
export function rangeText({ least, greatest, off, shape }: ExplainedLayer): string {
  const zeros = off === 0 ? '' : `, and ${off.toLocaleString('en-US')} of them are 0`;
  return `It puts out ${sizeText(shape)} numbers, from ${plainNumber(least)} to ${plainNumber(greatest)}${zeros}.`;
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
      return `Of each window of ${pair(config.poolSize)} numbers, only the greatest goes on.`;
    case 'averagePooling2d':
      return `Of each window of ${pair(config.poolSize)} numbers, the mean goes on.`;
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
const sizeText = (shape: readonly number[]): string => shape.join(' x ');

/** What the outputs of a layer are called. */
export const unitName = (type: string, shape: readonly number[]): string =>
  type === 'conv2d' ? 'filter' : shape.length === 3 ? 'channel' : 'neuron';
