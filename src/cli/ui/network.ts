import type { LayerConfig } from '../../index.js';

/**
 * A network in a word, as papers on MNIST write it: 784-128-10 of dense layers; 28x28-16C5-P2-10 with a convolution of
 * 16 filters of 5 × 5 and a max-pool of 2 × 2. Layers that neither change widths nor hold many weights are left out.
 */
export function networkText(inputShape: readonly number[], layers: readonly LayerConfig[]): string {
  const isDense = layers.every(({ type }) => type === 'dense' || type === 'flatten' || type === 'dropout');
  const [height, width, channels] = inputShape;
  const pixels = inputShape.reduce((product, side) => product * side, 1);
  const image = channels === 1 ? `${height}x${width}` : inputShape.join('x');
  return [isDense ? pixels : image, ...layers.flatMap(layerText)].join('-');
}

function layerText(layer: LayerConfig): string[] {
  switch (layer.type) {
    case 'dense':
      return [String(layer.units)];
    case 'conv2d':
      return [`${layer.filters}C${pairText(layer.kernelSize)}`];
    case 'maxPooling2d':
      return [`P${pairText(layer.poolSize)}`];
    case 'averagePooling2d':
      return [`A${pairText(layer.poolSize)}`];
    case 'globalAveragePooling2d':
      return ['GA'];
    case 'residual':
      return [`R(${(layer.layers as readonly LayerConfig[]).flatMap(layerText).join('-')})`];
    default:
      return [];
  }
}

/** [5, 5] as 5, [3, 2] as 3x2. */
function pairText(pair: LayerConfig[string]): string {
  const [down, across] = pair as readonly number[];
  return down === across ? String(down) : `${down}x${across}`;
}
