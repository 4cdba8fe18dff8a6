import { checkOptions } from '../options.js';
import type { Layer } from './layer.js';
import { checkPooling, POOLING_OPTIONS, type PoolingOptions } from './pooling.js';
import { windowsOf } from './windows.js';

export type MaxPooling2dOptions = PoolingOptions;

/**
 * The largest value of each window, channel by channel: from images [height, width, channels] to
 * [outputHeight, outputWidth, channels]. Of equal values the first one, row by row, gets the gradient.
 * Throws ERR_ARGUMENT for an unknown option or a value out of range.
 */
export function maxPooling2d(options?: MaxPooling2dOptions): Layer {
  const { config, window } = checkPooling(checkOptions(options, 'maxPooling2d', POOLING_OPTIONS));
  const windows = (inputShape: readonly number[]) => windowsOf('maxPooling2d', inputShape, window);
  return Object.freeze<Layer>({
    type: 'maxPooling2d',
    config: Object.freeze({ type: 'maxPooling2d', ...config }),
    outputActivation: 'linear',
    inputRank: 3,
    build: (inputShape) => {
      const { outputHeight, outputWidth, channels } = windows(inputShape);
      return { outputShape: [outputHeight, outputWidth, channels], parameters: [] };
    },
    lower: (builder, { prefix, input, inputShape, needsInputGradient, shared }) => {
      const geometry = windows(inputShape);
      const shape = [geometry.outputHeight, geometry.outputWidth, geometry.channels];
      const output = builder.batched(`${prefix}.output`, shape);
      const learns = shared.section === 'train' && needsInputGradient;
      const winners = learns ? builder.batched(`${prefix}.winners`, shape, 'activation', 'int32') : null;
      builder.add({ op: 'maxPool2d', input, output, winners, ...geometry });
      return {
        output,
        backward: (dOutput) => {
          if (!winners) return null;
          const dInput = builder.batched(`${prefix}.dInput`, inputShape);
          builder.add({ op: 'maxPool2dBackward', dOutput, winners, dInput, ...geometry });
          return dInput;
        },
      };
    },
  });
}
