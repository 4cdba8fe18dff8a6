import { checkOneOf, expected } from '../errors.js';
import { activation } from './activation.js';
import { averagePooling2d } from './average-pooling-2d.js';
import { batchNormalization } from './batch-normalization.js';
import { conv2d } from './conv2d.js';
import { dense } from './dense.js';
import { dropout } from './dropout.js';
import { flatten } from './flatten.js';
import { globalAveragePooling2d } from './global-average-pooling-2d.js';
import type { Layer } from './layer.js';
import { maxPooling2d } from './max-pooling-2d.js';
import { type ResidualOptions, residual } from './residual.js';
import { softmax } from './softmax.js';

/** Every layer checks its own options. */
const FACTORIES: Record<string, (options: never) => Layer> = {
  dense,
  conv2d,
  maxPooling2d,
  averagePooling2d,
  globalAveragePooling2d,
  flatten,
  dropout,
  batchNormalization,
  activation,
  softmax,
  residual: residualFromConfig,
};

/** Makes a layer from its configuration, checking everything again: it may come from a file. Throws ERR_ARGUMENT. */
export function layerFromConfig(config: unknown): Layer {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw expected('an object', 'a layer', config);
  }
  const { type, ...options } = config as Record<string, unknown>;
  return FACTORIES[checkOneOf(type, 'the type of a layer', Object.keys(FACTORIES))](options as never);
}

function residualFromConfig(options: Record<keyof ResidualOptions, unknown>): Layer {
  const layers = (list: unknown) => (Array.isArray(list) ? list.map(layerFromConfig) : (list as Layer[]));
  return residual({ ...options, layers: layers(options.layers), shortcut: layers(options.shortcut) });
}
