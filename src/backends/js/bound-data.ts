import { expected, MnistTrainError } from '../../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../../pieces.js';
import type { BoundData, Samples } from '../backend.js';
import { type BoundShape, checkSamples } from '../checks.js';
import type { StepData } from './kernels/kernel.js';

/** Samples copied into memory of their own; class indices become int32. */
export class JsBoundData implements BoundData, BoundShape {
  readonly count: number;
  readonly inputColumns: number;
  readonly targetColumns: number;
  readonly hasClasses: boolean;
  #data: StepData | null;

  private constructor({ inputs, targets, count }: Samples, data: StepData) {
    this.count = count;
    this.inputColumns = inputs.length / count;
    this.targetColumns = targets.length / count;
    this.hasClasses = !(targets instanceof Float32Array);
    this.#data = data;
  }

  /** Throws ERR_ARGUMENT and ERR_SHAPE. */
  static *bind(given: Samples): Pieces<JsBoundData> {
    const samples = checkSamples(given);
    const { inputs, targets } = samples;
    return new JsBoundData(samples, {
      pixels: inputs instanceof Uint8Array ? yield* copied(inputs, Uint8Array) : null,
      floats: inputs instanceof Float32Array ? yield* copied(inputs, Float32Array) : null,
      classes: targets instanceof Float32Array ? null : yield* copied(targets, Int32Array),
      values: targets instanceof Float32Array ? yield* copied(targets, Float32Array) : null,
    });
  }

  /** The copied samples; throws ERR_STATE after `dispose`. */
  get data(): StepData {
    if (this.#data) return this.#data;
    throw new MnistTrainError('ERR_STATE', 'The bound data was disposed of. Bind the samples again.');
  }

  dispose(): void {
    this.#data = null;
  }
}

type Numbers = Uint8Array | Int32Array | Float32Array;

/** A copy of numbers in an array of the given type. */
function* copied<T extends Numbers>(values: Numbers, type: new (length: number) => T): Pieces<T> {
  const { length } = values;
  const copy = new type(length);
  for (const [begin, end] of spans(length, PIECE_BYTES / 4)) {
    if (values.length !== length) {
      throw expected(
        'arrays that keep their length while they are read',
        'inputs and targets',
        values,
        '',
        'ERR_SHAPE',
      );
    }
    copy.set(values.subarray(begin, end), begin);
    yield;
  }
  return copy;
}
