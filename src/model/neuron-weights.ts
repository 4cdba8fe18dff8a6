import { checkInteger } from '../errors.js';
import type { Link } from '../layers/chain.js';
import { sizeOf } from '../program/program.js';
import type { WeightsByName } from './activations.js';
import type { Stack } from './stack.js';

/** Numbers in the form of an image [height, width, channels] or [height, width], or of a row [length]. */
export interface WeightImage {
  shape: readonly number[];
  /** Row-major. */
  values: Float32Array;
}

export interface NeuronWeights {
  /** The layer that the weights belong to: the one asked for, or the nearest before it that it passes on. */
  layer: number;
  type: 'dense' | 'conv2d';
  /** Which of that layer's units or filters. */
  unit: number;
  /**
   * dense: one weight for each output of the layer before, in its shape. conv2d: the window, [height, width, channels].
   */
  weights: WeightImage;
  /** Null where the layer has none. */
  bias: number | null;
  /** How much each number of the input counts, in its shape; null where that is no linear function. */
  pixels: WeightImage | null;
  /** The dense layers whose weights `pixels` is a product of, the deepest first. */
  through: readonly number[];
}

/** Layers whose output of some index comes from the input of that index. */
const POINTWISE = new Set(['activation', 'softmax', 'dropout', 'flatten', 'batchNormalization']);
/** Layers that take channels one by one. */
const POOLS = new Set(['maxPooling2d', 'averagePooling2d', 'globalAveragePooling2d']);

/**
 * What a neuron, number `neuron` of a layer's outputs counted row-major, looks at. Null where no single set of weights
 * says that: behind a residual, or before the first layer with weights.
 *
 * `pixels` follows the dense layers back to the input as if there were nothing else: it is the product W₁ · ... · Wₖ of
 * their weights, [inputs, units], of which the neuron is a column, with what batch normalization multiplies channels by.
 * It leaves out biases and activations, so the rectifiers that are off for some image count as if they were on: for the
 * first layer it is exact, for deeper ones a rough picture that is the same for every image. Behind convolutions, pools and
 * residuals there is none. Weights of a layer behind batch normalization are shown as they are, not as it scales them.
 *
 * Throws ERR_ARGUMENT for a layer or neuron that the model does not have.
 */
export function neuronWeights(
  stack: Stack,
  weights: WeightsByName,
  layer: number,
  neuron: number,
): NeuronWeights | null {
  checkInteger(layer, 'layer', 0, stack.layers.at(-1)!.index!);
  const place = stack.layers.findIndex(({ index }) => index === layer);
  const size = sizeOf(stack.layers[place].built.outputShape);
  checkInteger(neuron, 'neuron', 0, size - 1);
  const source = sourceOf(stack.layers, place, neuron);
  if (!source) return null;
  const { link, unit, at } = source;
  const matrix = weights.get(`${link.index}.weight`)!;
  const shape = link.built.parameters[0].shape;
  const own = column(matrix, shape.at(-1)!, unit);
  const dense = link.layer.type === 'dense';
  const projection = dense ? project(stack, weights, place, neuron) : null;
  return {
    layer: link.index!,
    type: dense ? 'dense' : 'conv2d',
    unit,
    weights: { shape: dense ? shapeBefore(stack, at) : shape.slice(0, -1), values: own },
    bias: weights.get(`${link.index}.bias`)?.[unit] ?? null,
    pixels: projection && { shape: stack.inputShape, values: projection.values },
    through: projection?.through ?? [],
  };
}

interface Source {
  link: Link;
  /** Its place in the stack. */
  at: number;
  unit: number;
}

function sourceOf(links: readonly Link[], place: number, neuron: number): Source | null {
  for (let at = place; at >= 0; at--) {
    const link = links[at];
    const { type } = link.layer;
    if (type === 'dense' || type === 'conv2d') return { link, at, unit: neuron % link.built.outputShape.at(-1)! };
    if (!POINTWISE.has(type) && !POOLS.has(type)) return null;
  }
  return null;
}

/** The shape that the input of a dense layer had before it was made flat. */
export function shapeBefore({ layers, inputShape }: Stack, at: number): readonly number[] {
  for (let place = at - 1; place >= 0; place--) {
    const { layer, built } = layers[place];
    if (built.outputShape.length > 1 || !POINTWISE.has(layer.type)) return built.outputShape;
  }
  return inputShape;
}

/** Follows a neuron back to the input. Null where something on the way is not a product with weights, or nothing is. */
function project(
  { layers }: Stack,
  weights: WeightsByName,
  place: number,
  neuron: number,
): { values: Float32Array; through: number[] } | null {
  const through: number[] = [];
  let row: Float64Array = new Float64Array(sizeOf(layers[place].built.outputShape));
  row[neuron] = 1;
  for (let at = place; at >= 0; at--) {
    const { layer, index, inputShape } = layers[at];
    if (layer.type === 'dense') {
      row = back(weights.get(`${index}.weight`)!, sizeOf(inputShape), row);
      through.push(index!);
    } else if (layer.type === 'batchNormalization') {
      scaleChannels(row, weights, String(index), layer.config.epsilon as number);
    } else if (!POINTWISE.has(layer.type)) {
      return null;
    }
  }
  return { values: Float32Array.from(row), through };
}

/** matrix[inputs, units] · row[units], skipping zeros: the first row has a single one. */
function back(matrix: Float32Array, inputs: number, row: Float64Array): Float64Array {
  const units = row.length;
  const result = new Float64Array(inputs);
  for (let unit = 0; unit < units; unit++) {
    const factor = row[unit];
    if (factor === 0) continue;
    for (let input = 0; input < inputs; input++) result[input] += matrix[input * units + unit] * factor;
  }
  return result;
}

/** What batch normalization multiplies each channel by: gamma / sqrt(variance + epsilon). */
function scaleChannels(row: Float64Array, weights: WeightsByName, layer: string, epsilon: number): void {
  const variance = weights.get(`${layer}.running_var`)!;
  const gamma = weights.get(`${layer}.weight`);
  for (let i = 0; i < row.length; i++) {
    const channel = i % variance.length;
    row[i] *= (gamma?.[channel] ?? 1) / Math.sqrt(variance[channel] + epsilon);
  }
}

/** A column of a matrix [rows, columns]. */
export function column(matrix: Float32Array, columns: number, index: number): Float32Array {
  return Float32Array.from({ length: matrix.length / columns }, (_, row) => matrix[row * columns + index]);
}
