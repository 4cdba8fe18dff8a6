import { checkInteger } from '../../errors.js';
import { sizeOf } from '../../program/program.js';
import type { WeightsByName } from '../activations.js';
import { column, shapeBefore } from '../neuron-weights.js';
import type { Stack } from '../stack.js';

/** The weights of a layer as images: what each of its neurons or filters looks for. */
export interface WeightPictures {
  /** The place in the list given to `sequential`. */
  layer: number;
  type: 'dense' | 'conv2d';
  /** One for each neuron or filter, in their order: [height, width, channels], row-major. */
  images: Float32Array[];
  height: number;
  width: number;
  channels: number;
}

/**
 * The weights of a layer as images: of a dense layer behind images, one weight for each pixel; of a convolution, the window.
 * Without `layer`, of the first one that has such; null where there is none. Layers inside a residual are not looked at.
 * Throws ERR_ARGUMENT for a layer that the model does not have.
 */
export function weightPictures(stack: Stack, weights: WeightsByName, layer?: number): WeightPictures | null {
  if (layer !== undefined) {
    checkInteger(layer, 'layer', 0, stack.layers.at(-1)!.index!);
    return picturesOf(
      stack,
      weights,
      stack.layers.findIndex(({ index }) => index === layer),
    );
  }
  for (const place of stack.layers.keys()) {
    const pictures = picturesOf(stack, weights, place);
    if (pictures) return pictures;
  }
  return null;
}

function picturesOf(stack: Stack, weights: WeightsByName, place: number): WeightPictures | null {
  const { layer, index, built } = stack.layers[place];
  const { type } = layer;
  if (type !== 'dense' && type !== 'conv2d') return null;
  const shape = built.parameters[0].shape;
  const [height, width, channels = 1] = type === 'dense' ? shapeBefore(stack, place) : shape;
  if (width === undefined || height * width * channels !== sizeOf(shape.slice(0, -1))) return null;
  // A row of numbers, of one pixel each, shows nothing.
  if (height * width === 1) return null;
  const matrix = weights.get(`${index}.weight`)!;
  const units = shape.at(-1)!;
  const images = Array.from({ length: units }, (_, unit) => column(matrix, units, unit));
  return { layer: index!, type, images, height, width, channels };
}

/** An image's channels side by side, as many as asked for, with a blank column between them: [height, width]. */
export function sideBySide(
  image: Float32Array,
  { height, width, channels }: Pick<WeightPictures, 'height' | 'width' | 'channels'>,
  shown: number = channels,
): { values: Float32Array; width: number; height: number } {
  const across = shown * (width + 1) - 1;
  const values = new Float32Array(height * across);
  for (let channel = 0; channel < shown; channel++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        values[y * across + channel * (width + 1) + x] = image[(y * width + x) * channels + channel];
      }
    }
  }
  return { values, width: across, height };
}
