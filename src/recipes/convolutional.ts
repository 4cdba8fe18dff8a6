import { activation } from '../layers/activation.js';
import { batchNormalization } from '../layers/batch-normalization.js';
import { conv2d } from '../layers/conv2d.js';
import { dense } from '../layers/dense.js';
import type { Layer } from '../layers/layer.js';
import { maxPooling2d } from '../layers/max-pooling-2d.js';

export interface ConvolutionalWidths {
  /** Filters of the two convolutions. */
  filters: readonly [number, number];
  /** Sizes of their windows. */
  kernels: readonly [number, number];
  /** Units of the hidden dense layer. */
  units: number;
}

/**
 * The family of networks of the convolutional recipes: twice a convolution, a max-pool of 2 × 2, batch normalization and a
 * rectifier; a dense layer with the same behind it; one output per class.
 *
 * Normalization stands behind the pool, where it has a quarter of the values to do, and where the pool is still part of the
 * convolution (`program/fuse-pools.ts`). It makes a short training as good as one several times as long: without it, one
 * epoch of twice as many filters was needed for 99 %.
 */
export function convolutionalLayers({ filters, kernels, units }: ConvolutionalWidths, classes: number): Layer[] {
  // The bias before a batch normalization would be subtracted again.
  const own = { useBias: false, kernelInitializer: 'heNormal' } as const;
  const normalized = () => [batchNormalization({ momentum: 0.95 }), activation({ activation: 'relu' })];
  return [
    ...filters.flatMap((count, place) => [
      conv2d({ filters: count, kernelSize: kernels[place], ...own }),
      maxPooling2d(),
      ...normalized(),
    ]),
    dense({ units, ...own }),
    ...normalized(),
    dense({ units: classes, activation: 'softmax' }),
  ];
}
