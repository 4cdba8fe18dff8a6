import type { Constraint } from '../constraints.js';
import type { Initializer } from '../initializers.js';
import type { JsonValue } from '../json.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { Activation, BufferName, ScalarIndex } from '../program/ops.js';
import type { SectionName } from '../program/program.js';
import type { Regularizer } from '../regularizers.js';

/** What a layer is, as plain JSON: the options under which it was made, with its type. */
export interface LayerConfig {
  readonly type: string;
  readonly [option: string]: JsonValue;
}

export interface ParameterSpec {
  /**
   * The name after the layer's index: the buffer and the tensor in a file are called `<index>.<name>`. PyTorch's names:
   * weight, bias, running_mean, running_var; layers that hold layers put their indices before.
   */
  name: string;
  /** The layout in memory. The last dimension counts outputs: [inputs, units], [height, width, channels, filters]. */
  shape: readonly number[];
  initializer: Initializer;
  fanIn: number;
  fanOut: number;
  /** False for what follows from the data alone, such as moving statistics: no optimizer changes it. */
  trainable: boolean;
  /** The order in which files hold the dimensions, as PyTorch does; null where memory has that order already. */
  fileAxes: readonly number[] | null;
  regularizer?: Regularizer;
  constraint?: Constraint;
  /** Tells parameters of one outermost layer apart, so that each starts from random numbers of its own; default 0. */
  stream?: number;
}

/** A layer inside another one, as a summary lists it. */
export interface NestedLayer {
  /** After the outer layer's index. */
  name: string;
  layer: Layer;
  built: BuiltShape;
}

export interface BuiltShape {
  /** The shape of one sample's output. */
  outputShape: readonly number[];
  parameters: readonly ParameterSpec[];
  /** Multiplications with weights for one sample; 0 without it. */
  multiplyAdds?: number;
  /** The layers inside, in the order in which they run. */
  nested?: readonly NestedLayer[];
}

/** What the layers of one section of a program share while they are lowered. */
export interface SectionContext {
  /** Dropout is in `train` alone; batch normalization uses the batch's statistics there, moving ones elsewhere. */
  readonly section: SectionName;
  /** The model's seed. */
  readonly seed: number;
  /** The index of the scalar that holds the epoch, counted from 1. */
  epoch(): ScalarIndex;
  /** A number that no other layer of the model draws its random numbers with. */
  nextRandomLayer(): number;
  /** Has `parts` added up into a gradient before the updates, which stand together at the end of the section. */
  addUpParts(parts: BufferName, gradient: BufferName): void;
}

export interface LowerContext {
  /** Prefix of everything that this layer declares, unique in the model: its index, after those of layers around it. */
  prefix: string;
  /** The buffer of [rows, ...inputShape]. */
  input: BufferName;
  inputShape: readonly number[];
  /** Buffers of the layer's parameters, in the order of its specs. */
  parameters: readonly BufferName[];
  /** The gradients' buffers beside them, null for what is not trainable; empty outside training. */
  gradients: readonly (BufferName | null)[];
  /** False when nothing before this layer can learn. */
  needsInputGradient: boolean;
  /** The activation that the loss applies itself: a layer that ends with it leaves its own out. Null for none. */
  leftToLoss: OutputActivation | null;
  shared: SectionContext;
}

export interface LoweredLayer {
  output: BufferName;
  /**
   * Appends the backward operations, given the buffer of the gradient with respect to `output`, and returns the gradient
   * with respect to the input; null when that is not needed. It may overwrite dOutput unless `keep` says that somebody
   * else still reads it, and may return dOutput itself.
   */
  backward(dOutput: BufferName, keep: boolean): BufferName | null;
}

/** The activation at a layer's end; `linear` also for layers that change what an activation gave. */
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
  /** The rank of one sample that it takes; null for any. A model flattens what comes to a layer of rank 1. */
  readonly inputRank: number | null;
  /** Works out shapes and parameters. Throws ERR_SHAPE for an input that the layer does not take. */
  build(inputShape: readonly number[]): BuiltShape;
  lower(builder: ProgramBuilder, context: LowerContext): LoweredLayer;
}
