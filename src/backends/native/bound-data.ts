import { MnistTrainError } from '../../errors.js';
import type { BoundData, Samples } from '../backend.js';
import type { BoundShape } from '../checks.js';
import type { NativeAddon, NativeData } from './addon.js';

/** Samples copied into native memory. */
export class NativeBoundData implements BoundData, BoundShape {
  readonly count: number;
  readonly inputColumns: number;
  readonly targetColumns: number;
  readonly hasClasses: boolean;
  #native: NativeData | null;

  constructor(addon: NativeAddon, { inputs, targets, count }: Samples) {
    this.count = count;
    this.inputColumns = inputs.length / count;
    this.targetColumns = targets.length / count;
    this.hasClasses = !(targets instanceof Float32Array);
    this.#native = new addon.Data(inputs, targets instanceof Uint8Array ? Int32Array.from(targets) : targets, count);
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
