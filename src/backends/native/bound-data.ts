import { expected, MnistTrainError } from '../../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../../pieces.js';
import type { BoundData, Samples } from '../backend.js';
import { type BoundShape, checkSamples } from '../checks.js';
import type { NativeAddon, NativeData } from './addon.js';

/** Samples copied into native memory. */
export class NativeBoundData implements BoundData, BoundShape {
  readonly count: number;
  readonly inputColumns: number;
  readonly targetColumns: number;
  readonly hasClasses: boolean;
  #native: NativeData | null;

  private constructor({ inputs, targets, count }: Samples, native: NativeData) {
    this.count = count;
    this.inputColumns = inputs.length / count;
    this.targetColumns = targets.length / count;
    this.hasClasses = !(targets instanceof Float32Array);
    this.#native = native;
  }

  /** Counts what lists need room for, then copies. Throws ERR_ARGUMENT and ERR_SHAPE. */
  static *bind(addon: NativeAddon, given: Samples): Pieces<NativeBoundData> {
    const samples = checkSamples(given);
    const { inputs, targets, count } = samples;
    const [columns, targetColumns] = [inputs.length / count, targets.length / count];
    const areBytes = inputs instanceof Uint8Array;
    const areClasses = !(targets instanceof Float32Array);
    const atATime = Math.max(1, Math.floor(PIECE_BYTES / (columns * inputs.BYTES_PER_ELEMENT)));
    let nonZeros = 0;
    for (const [begin, end] of spans(count, atATime)) {
      nonZeros += addon.countNonZeros(inputs.subarray(begin * columns, end * columns));
      yield;
    }
    const native = new addon.Data(count, columns, areBytes, nonZeros, targetColumns, areClasses);
    for (const [begin, end] of spans(count, atATime)) {
      if (inputs.length !== count * columns || targets.length !== count * targetColumns) {
        throw expected(
          'arrays that keep their length while they are read',
          'inputs and targets',
          inputs,
          '',
          'ERR_SHAPE',
        );
      }
      const some = rows(inputs, begin * columns, end * columns);
      const wanted = rows(targets, begin * targetColumns, end * targetColumns);
      try {
        native.append(some, wanted instanceof Uint8Array ? Int32Array.from(wanted) : wanted);
      } catch (error) {
        // There are more values that are not zero than were counted.
        if (!(error instanceof RangeError)) throw error;
        throw expected('samples that stay as they are while they are read', 'inputs', inputs, '', 'ERR_DATA');
      }
      yield;
    }
    return new NativeBoundData(samples, native);
  }

  get native(): NativeData {
    if (this.#native) return this.#native;
    throw new MnistTrainError('ERR_STATE', 'The bound data was disposed of. Bind the samples again.');
  }

  dispose(): void {
    this.#native?.dispose();
    this.#native = null;
  }
}

/** Part of an array. Of memory that other threads may write to, a copy: it is looked at twice. */
function rows<T extends Uint8Array | Int32Array | Float32Array>(values: T, begin: number, end: number): T {
  const shared = values.buffer instanceof SharedArrayBuffer;
  return (shared ? values.slice(begin, end) : values.subarray(begin, end)) as T;
}
