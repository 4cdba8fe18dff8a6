import type { BufferName } from '../../program/ops.js';

/**
 * One layer in double precision: a function of [rows, ...inputShape], row-major, that also gives its derivative. What the
 * layer computed is kept in the closure `pullback`, so that a layer is one function with the forward pass above and the
 * backward pass below.
 */
export type ReferenceLayer = (input: Float64Array, rows: number) => LayerResult;

/** Weights by the names of their buffers. Float64Array where a difference of weights is to be finer than float32. */
export type ReferenceWeights = ReadonlyMap<BufferName, Float32Array | Float64Array>;

export interface LayerResult {
  /** [rows, ...outputShape]. */
  output: Float64Array;
  /** What the activation was applied to, in the shape of `output`; null of layers without weighted sums. */
  sums: Float64Array | null;
  /**
   * Which way the layer went where it is not smooth: 1 for a rectifier that is on, the winner's place in a pool. Between two
   * inputs with the same switches there is no kink.
   */
  switches(): Int32Array[];
  /** The gradients of Σ dOutput · output. */
  pullback(dOutput: Float64Array): LayerGradients;
}

export interface LayerGradients {
  dInput: Float64Array;
  /** With respect to `sums`; null where there are none. */
  dSums: Float64Array | null;
  /** Of the layer's parameters, summed over the rows. */
  parameters: ReadonlyMap<BufferName, Float64Array>;
}

const NOTHING: ReadonlyMap<BufferName, Float64Array> = new Map();

/** The result of a layer without weights. */
export function weightless(
  output: Float64Array,
  pullback: (dOutput: Float64Array) => Float64Array,
  switches: () => Int32Array[] = () => [],
): LayerResult {
  return {
    output,
    sums: null,
    switches,
    pullback: (dOutput) => ({ dInput: pullback(dOutput), dSums: null, parameters: NOTHING }),
  };
}

/** The result of a layer that passes on what it gets: flatten, and dropout outside training. */
export const passOn: ReferenceLayer = (input) => weightless(input, (dOutput) => dOutput);
