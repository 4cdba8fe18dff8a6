import { RandomPurpose, RandomStream } from './random.js';

/** How a weight matrix starts. Biases always start at zero. */
export const KERNEL_INITIALIZERS = ['glorotUniform', 'glorotNormal', 'heUniform', 'heNormal'] as const;
export type KernelInitializer = (typeof KERNEL_INITIALIZERS)[number];
export type Initializer = KernelInitializer | 'zeros';

/**
 * The first values of a parameter of `size` elements, as a function of (seed, layer) alone.
 *
 * - glorotUniform: uniform in ±sqrt(6 / (fanIn + fanOut)); glorotNormal: normal of variance 2 / (fanIn + fanOut).
 *   Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
 * - heUniform: uniform in ±sqrt(6 / fanIn); heNormal: normal of variance 2 / fanIn.
 *   He et al., "Delving deep into rectifiers" (2015).
 *
 * Normal values are not cut off, as in PyTorch (Keras draws them again beyond two standard deviations).
 */
export function initialize(
  initializer: Initializer,
  size: number,
  fanIn: number,
  fanOut: number,
  seed: number,
  layer: number,
): Float32Array {
  const values = new Float32Array(size);
  if (initializer === 'zeros') return values;
  const stream = new RandomStream(seed, RandomPurpose.initialize, layer);
  const variance = initializer.startsWith('glorot') ? 2 / (fanIn + fanOut) : 2 / fanIn;
  if (initializer.endsWith('Uniform')) {
    const limit = Math.sqrt(3 * variance);
    for (let index = 0; index < size; index++) values[index] = (2 * stream.uniform() - 1) * limit;
  } else {
    const deviation = Math.sqrt(variance);
    for (let index = 0; index < size; index++) values[index] = stream.normal() * deviation;
  }
  return values;
}
