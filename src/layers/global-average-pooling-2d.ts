import { checkBoolean, checkOptions } from '../options.js';
import type { Layer } from './layer.js';
import { lowerAverage } from './pooling.js';
import { checkImage, windowsOf } from './windows.js';

export interface GlobalAveragePooling2dOptions {
  /** Whether the output is an image of one pixel, [1, 1, channels], instead of [channels]; default false. */
  keepDims?: boolean;
}

/** The mean of each channel over the whole image. Throws ERR_ARGUMENT for an unknown option. */
export function globalAveragePooling2d(options?: GlobalAveragePooling2dOptions): Layer {
  const checked = checkOptions(options, 'globalAveragePooling2d', { keepDims: true });
  const keepDims = checkBoolean(checked.keepDims ?? false, 'keepDims');
  const shapeOf = (inputShape: readonly number[]) => {
    checkImage('globalAveragePooling2d', inputShape);
    return keepDims ? [1, 1, inputShape[2]] : [inputShape[2]];
  };
  return Object.freeze<Layer>({
    type: 'globalAveragePooling2d',
    config: Object.freeze({ type: 'globalAveragePooling2d', keepDims }),
    outputActivation: 'linear',
    inputRank: 3,
    build: (inputShape) => ({ outputShape: shapeOf(inputShape), parameters: [] }),
    lower: (builder, context) => {
      const [height, width] = context.inputShape;
      const whole = { kernel: [height, width], strides: [1, 1], padding: 'valid' } as const;
      const windows = windowsOf('globalAveragePooling2d', context.inputShape, whole);
      return lowerAverage(builder, context, windows, shapeOf(context.inputShape));
    },
  });
}
