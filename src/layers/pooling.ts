/** What pooling layers have in common. */

import type { OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { Windows } from '../program/ops.js';
import type { LowerContext, LoweredLayer } from './layer.js';
import { checkPadding, checkPair, type Padding, type PairOption, type WindowOptions } from './windows.js';

export interface PoolingOptions {
  /** The size of a window: a number, or [height, width]; default 2. */
  poolSize?: PairOption;
  /** How far windows are apart: a number, or [down, across]; default poolSize. */
  strides?: PairOption;
  /** Default valid. What lies outside the image does not count. */
  padding?: Padding;
}

export const POOLING_OPTIONS: OptionNames<PoolingOptions> = { poolSize: true, strides: true, padding: true };

/** Checks the options; `config` has them as they stand in a layer's configuration. Throws ERR_ARGUMENT. */
export function checkPooling(options: PoolingOptions) {
  const poolSize = checkPair(options.poolSize ?? 2, 'poolSize');
  const strides = checkPair(options.strides ?? poolSize, 'strides');
  const padding = checkPadding(options.padding);
  const window: WindowOptions = { kernel: poolSize, strides, padding };
  return { config: { poolSize, strides, padding }, window };
}

/** The mean over windows, into images or, with one window over everything, into whatever shape. */
export function lowerAverage(
  builder: ProgramBuilder,
  { prefix, input, inputShape, needsInputGradient }: LowerContext,
  windows: Windows,
  outputShape: readonly number[],
): LoweredLayer {
  const output = builder.batched(`${prefix}.output`, outputShape);
  builder.add({ op: 'averagePool2d', input, output, ...windows });
  return {
    output,
    backward: (dOutput) => {
      if (!needsInputGradient) return null;
      const dInput = builder.batched(`${prefix}.dInput`, inputShape);
      builder.add({ op: 'averagePool2dBackward', dOutput, dInput, ...windows });
      return dInput;
    },
  };
}
