import type { Initializer } from '../initializers.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { Activation, BufferName } from '../program/ops.js';

/** What a layer is, as plain JSON: the options under which it was made, with its type. */
export interface LayerConfig {
  readonly type: string;
  readonly [option: string]: string | number | boolean;
}

export interface ParameterSpec {
  /** The name after the layer's index: the buffer and the tensor in a file are called `<index>.<name>`. */
  name: 'weight' | 'bias';
  /** The layout in memory: weights are [inputs, units]. */
  shape: readonly number[];
  initializer: Initializer;
  fanIn: number;
  fanOut: number;
  /** True when files hold the matrix the other way round, as PyTorch does: [units, inputs]. */
  transposedInFiles: boolean;
}

interface BuiltShape {
  /** The shape of one sample's output. */
  outputShape: readonly number[];
  parameters: readonly ParameterSpec[];
}

export interface LowerContext {
  /** Prefix of everything that this layer declares, unique in the model: its index. */
  prefix: string;
  /** The buffer of [rows, ...inputShape]. */
  input: BufferName;
  inputShape: readonly number[];
  /** Buffers of the layer's parameters, in the order of its specs. */
  parameters: readonly BufferName[];
  /** The gradients' buffers beside them; empty outside training. */
  gradients: readonly BufferName[];
  /** False when nothing before this layer can learn. */
  needsInputGradient: boolean;
  /** True when the loss applies the softmax itself: the layer then leaves its own out. */
  leaveOutSoftmax: boolean;
}

export interface LoweredLayer {
  output: BufferName;
  /**
   * Appends the backward operations, given the buffer of the gradient with respect to `output` (which it may
   * overwrite), and returns the gradient with respect to the input; null when that is not needed.
   */
  backward(dOutput: BufferName): BufferName | null;
}

/** The activation at a layer's end; `linear` also for layers that only move values. */
export type OutputActivation = Activation | 'softmax';

/**
 * A layer's description. It holds no weights: a model makes those from the specs, so one description may stand in
 * several models, or several times in one, each time with weights of its own.
 */
export interface Layer {
  readonly type: string;
  readonly config: LayerConfig;
  /** The activation of its output; null for layers that pass on what they get. */
  readonly outputActivation: OutputActivation | null;
  /** The rank of one sample that it takes; null for any. The model flattens what comes with a higher rank. */
  readonly inputRank: number | null;
  build(inputShape: readonly number[]): BuiltShape;
  lower(builder: ProgramBuilder, context: LowerContext): LoweredLayer;
}
