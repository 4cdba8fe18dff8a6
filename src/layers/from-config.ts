import { checkOneOf, expected } from '../errors.js';
import { type DenseOptions, dense } from './dense.js';
import { flatten } from './flatten.js';
import type { Layer } from './layer.js';

const FACTORIES: Record<string, (options: object) => Layer> = {
  dense: (options) => dense(options as DenseOptions),
  flatten,
};

/** Makes a layer from its configuration, checking everything again: it may come from a file. Throws ERR_ARGUMENT. */
export function layerFromConfig(config: unknown): Layer {
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw expected('an object', 'a layer', config);
  }
  const { type, ...options } = config as Record<string, unknown>;
  return FACTORIES[checkOneOf(type, 'the type of a layer', Object.keys(FACTORIES))](options);
}
