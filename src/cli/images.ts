import type { ImageSize } from '../data/image.js';
import { MnistTrainError } from '../errors.js';
import type { Sequential } from '../index.js';

/** The size of image that a model takes. Throws ERR_SHAPE where it takes no grey images. `path` names it. */
export function imageSizeOf({ inputShape }: Sequential, path: string): ImageSize {
  const [height, width, channels = 1] = inputShape.length === 1 ? squareOf(inputShape[0]) : inputShape;
  if (width === undefined || channels !== 1) {
    throw new MnistTrainError(
      'ERR_SHAPE',
      `Expected a model of grey images for ${path}, received one of inputs [${inputShape.join(', ')}]. Use one that train wrote.`,
    );
  }
  return { width, height };
}

/** Models of flat inputs, [784] say, take square images. */
function squareOf(size: number): number[] {
  const side = Math.sqrt(size);
  return Number.isInteger(side) ? [side, side] : [];
}
