import { checkOptions } from '../options.js';
import type { Layer } from './layer.js';
import { checkPooling, lowerAverage, POOLING_OPTIONS, type PoolingOptions } from './pooling.js';
import { windowsOf } from './windows.js';

export type AveragePooling2dOptions = PoolingOptions;

/**
 * The mean of each window over what lies inside the image, channel by channel: from images [height, width, channels] to
 * [outputHeight, outputWidth, channels]. Throws ERR_ARGUMENT for an unknown option or a value out of range.
 */
export function averagePooling2d(options?: AveragePooling2dOptions): Layer {
  const { config, window } = checkPooling(checkOptions(options, 'averagePooling2d', POOLING_OPTIONS));
  const geometry = (inputShape: readonly number[]) => {
    const windows = windowsOf('averagePooling2d', inputShape, window);
    return { windows, outputShape: [windows.outputHeight, windows.outputWidth, windows.channels] };
  };
  return Object.freeze<Layer>({
    type: 'averagePooling2d',
    config: Object.freeze({ type: 'averagePooling2d', ...config }),
    outputActivation: 'linear',
    inputRank: 3,
    build: (inputShape) => ({ outputShape: geometry(inputShape).outputShape, parameters: [] }),
    lower: (builder, context) => {
      const { windows, outputShape } = geometry(context.inputShape);
      return lowerAverage(builder, context, windows, outputShape);
    },
  });
}
