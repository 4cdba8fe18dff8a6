import type { JsonValue } from '../json.js';
import type { OutputActivation } from '../layers/layer.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName } from '../program/ops.js';

/** What a model is trained to make small: the mean over samples. */
export interface Loss {
  readonly name: string;
  /** The options under which it was made: a resumed run must have the same ones. */
  readonly config: Readonly<Record<string, JsonValue>>;
  /** `classes`: one class index per sample. `values`: as many numbers per sample as the model has outputs. */
  readonly targets: 'classes' | 'values';
  /** True when the loss applies the softmax itself, so that a softmax at the model's end is left out in training. */
  readonly includesSoftmax: boolean;
  /** Throws ERR_ARGUMENT when a model with this output cannot be trained on this loss. */
  checkOutput(units: number, activation: OutputActivation): void;
  /**
   * Appends the loss of `output` [rows, units] against `targets`. In training it returns the buffer of the gradient
   * with respect to `output`, else null.
   */
  lower(
    builder: ProgramBuilder,
    output: BufferName,
    targets: BufferName,
    units: number,
    training: boolean,
  ): BufferName | null;
}
