import { layerFromConfig } from '../layers/from-config.js';
import type { Sequential } from './sequential.js';
import { buildStack, type Stack } from './stack.js';

/** The layers of a model with their shapes, made anew from what it shows of itself. */
export function stackOf({ layers, inputShape }: Pick<Sequential, 'layers' | 'inputShape'>): Stack {
  return buildStack(layers.map(layerFromConfig), inputShape);
}
