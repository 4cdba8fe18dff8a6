import type { JsonValue } from '../json.js';
import type { OutputActivation } from '../layers/layer.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName } from '../program/ops.js';

/** Activations that a loss can compute together with itself, better than after them. */
export type LossActivation = Extract<OutputActivation, 'softmax' | 'sigmoid'>;

/**
 * What a loss compares outputs with:
 *
 * - `classes`: a class index per sample, or a row per sample of one share per output, at least 0, that sum to 1.
 * - `binary`: per output 0, 1 or a number between.
 * - `values`: per output any number.
 */
export type TargetKind = 'classes' | 'binary' | 'values';

/** What a model is trained to make small: the mean over samples. */
export interface Loss {
  readonly name: string;
  /** The options under which it was made: a resumed run must have the same ones. */
  readonly config: Readonly<Record<string, JsonValue>>;
  readonly targets: TargetKind;
  /** The activation that the loss applies itself, so that one at the model's end is left out in training; null for none. */
  readonly activation: LossActivation | null;
  /** Whether it counts correct answers. */
  readonly hasAccuracy: boolean;
  /** Throws ERR_ARGUMENT when a model with this output cannot be trained on this loss. */
  checkOutput(units: number, activation: OutputActivation): void;
  /**
   * Appends the loss of `output` [rows, units] against `targets`: float32 [rows, units], or for `classes` int32 [rows] too.
   * In training it returns the buffer of the gradient with respect to `output`, else null.
   */
  lower(
    builder: ProgramBuilder,
    output: BufferName,
    targets: BufferName,
    units: number,
    training: boolean,
  ): BufferName | null;
}
