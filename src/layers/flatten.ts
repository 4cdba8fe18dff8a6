import { checkOptions } from '../options.js';
import { sizeOf } from '../program/program.js';
import type { Layer } from './layer.js';

export type FlattenOptions = Record<never, never>;

/**
 * Makes each sample one row of numbers, in row-major order. Costs nothing: a batch is a matrix with a sample a row
 * already. A model puts it before a dense layer by itself where it is needed.
 */
export function flatten(options?: FlattenOptions): Layer {
  checkOptions(options, 'flatten', {});
  return Object.freeze<Layer>({
    type: 'flatten',
    config: Object.freeze({ type: 'flatten' }),
    outputActivation: null,
    inputRank: null,
    build: (inputShape) => ({ outputShape: [sizeOf(inputShape)], parameters: [] }),
    lower: (_builder, { input }) => ({ output: input, backward: (dOutput) => dOutput }),
  });
}
