import { layerFromConfig } from '../../layers/from-config.js';
import type { LayerConfig } from '../../layers/layer.js';
import { buildStack, type Stack } from '../stack.js';

/** A layer of a split stack: all of a layer of the caller's, or of one with an activation its weighted sums or that. */
export interface Part {
  /** The place in the caller's list. */
  layer: number;
  of: 'whole' | 'sums' | 'activation';
}

/**
 * The same network with activations as layers of their own, so that weighted sums are some layer's output too. It has the
 * same parameters in the same order, and gives the same bits: an activation rides on the op of its sums in either case.
 */
export interface SplitStack {
  stack: Stack;
  /** Of each layer given to `buildStack`, by its index. */
  parts: readonly Part[];
}

export function splitStack(layers: readonly LayerConfig[], inputShape: readonly number[]): SplitStack {
  const split = layers.flatMap((config, layer) => splitLayer(config).map((part) => ({ ...part, layer })));
  return {
    stack: buildStack(
      split.map(({ config }) => layerFromConfig(config)),
      inputShape,
    ),
    parts: split.map(({ layer, of }) => ({ layer, of })),
  };
}

function splitLayer(config: LayerConfig): { config: LayerConfig; of: Part['of'] }[] {
  const { type, activation, negativeSlope, ...rest } = config;
  if ((type !== 'dense' && type !== 'conv2d') || activation === 'linear') return [{ config, of: 'whole' }];
  const ending = { type: 'activation', activation };
  return [
    { config: { type, ...rest, activation: 'linear' }, of: 'sums' },
    { config: negativeSlope === undefined ? ending : { ...ending, negativeSlope }, of: 'activation' },
  ];
}
