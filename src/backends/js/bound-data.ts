import { MnistTrainError } from '../../errors.js';
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

  constructor(samples: Samples) {
    const { inputs, targets, count } = checkSamples(samples);
    this.count = count;
    this.inputColumns = inputs.length / count;
    this.targetColumns = targets.length / count;
    this.hasClasses = !(targets instanceof Float32Array);
    this.#data = {
      pixels: inputs instanceof Uint8Array ? new Uint8Array(inputs) : null,
      floats: inputs instanceof Float32Array ? new Float32Array(inputs) : null,
      classes: targets instanceof Float32Array ? null : new Int32Array(targets),
      values: targets instanceof Float32Array ? new Float32Array(targets) : null,
    };
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
