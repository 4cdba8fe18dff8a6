import type { FitProgress } from '../../index.js';
import type { Output } from '../output.js';
import { clock, count, loss, percent } from './format.js';
import type { Progress } from './progress.js';

/** The progress bar of training: it spans all epochs and shows where loss and accuracy are now. */
export class TrainingProgress {
  readonly #output: Output;
  #progress: Progress | null = null;
  #start = 0;
  /** What was done when the clock started: the first report opens the bar. */
  #startSamples = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  update({ epoch, epochs, samples, count: inEpoch, ...state }: FitProgress): void {
    const samplesPerEpoch = inEpoch ?? samples;
    const done = (epoch - 1) * samplesPerEpoch + samples;
    const total = samplesPerEpoch * epochs;
    if (!this.#progress) {
      this.#progress = this.#output.progress({
        text: 'epoch {epoch}  loss {loss}  accuracy {accuracy}  {rate} images/s  {left} left',
        textWidth: 68 + 2 * String(epochs).length,
        total,
      });
      this.#start = performance.now();
      this.#startSamples = done;
    }
    const rate = ((done - this.#startSamples) / (performance.now() - this.#start)) * 1000;
    this.#progress.update(done, {
      epoch: `${epoch}/${epochs}`,
      loss: loss(state.loss),
      accuracy: percent(state.accuracy ?? Number.NaN),
      rate: rate > 0 ? count(rate) : '-',
      left: clock((total - done) / rate),
    });
  }

  stop(): void {
    this.#progress?.stop();
  }
}
