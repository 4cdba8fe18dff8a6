import type { EpochResult, FitProgress } from '../../index.js';
import type { Output } from '../output.js';
import type { ConfusionWatch } from './confusion-watch.js';
import { clock, count, loss, percent } from './format.js';
import { fitsLiveView } from './live-frame.js';
import type { Progress } from './progress.js';
import { TrainingView } from './training-view.js';

/** A training that ends sooner has no time for a view that grows: seconds done, and seconds left. */
const LONG_ENOUGH = { done: 1, left: 2 };

export interface TrainingProgressOptions {
  /** True for the live view from the first moment, false for never; undefined: when training takes a few seconds. */
  live?: boolean;
  watch: ConfusionWatch;
}

/** What a terminal shows of training between its lines: a bar that spans all epochs, and above it, in time, the live view. */
export class TrainingProgress {
  readonly #output: Output;
  readonly #options: TrainingProgressOptions;
  /** Follows from the beginning what it may have to show later. */
  readonly #view: TrainingView | null;
  #bar: Progress | null = null;
  #start = 0;
  /** What was done when the clock started: the first report opens the bar. */
  #startSamples = 0;

  constructor(output: Output, options: TrainingProgressOptions) {
    this.#output = output;
    this.#options = options;
    this.#view = output.canRedraw && options.live !== false ? new TrainingView(output, options.watch) : null;
  }

  update(progress: FitProgress): void {
    const { epoch, epochs, samples, count: inEpoch, ...state } = progress;
    const samplesPerEpoch = inEpoch ?? samples;
    const done = (epoch - 1) * samplesPerEpoch + samples;
    const total = samplesPerEpoch * epochs;
    if (!this.#start) {
      this.#start = performance.now();
      this.#startSamples = done;
    }
    const seconds = (performance.now() - this.#start) / 1000;
    const rate = (done - this.#startSamples) / seconds;
    const left = (total - done) / rate;
    const values = {
      epoch: `${epoch}/${epochs}`,
      loss: loss(state.loss),
      accuracy: percent(state.accuracy ?? Number.NaN),
      rate: rate > 0 ? count(rate) : '-',
      left: clock(left),
    };
    this.#view?.add(progress, done / total, `epoch ${values.epoch}  ${values.rate} images/s  ${values.left} left`);
    if (this.#view && !this.#view.shown && this.#wantsView(seconds, left)) this.#view.open();
    if (this.#view?.shown) return;
    this.#bar ??= this.#output.progress({
      text: 'epoch {epoch}  loss {loss}  accuracy {accuracy}  {rate} images/s  {left} left',
      textWidth: 68 + 2 * String(epochs).length,
      total,
    });
    this.#bar.update(done, values);
  }

  endEpoch(result: EpochResult): void {
    this.#view?.endEpoch(result);
  }

  /** Removes what is shown between the lines; resolves when nothing runs beside training any more. */
  async stop(): Promise<void> {
    this.#bar?.stop();
    await this.#view?.stop();
  }

  /** The same, and says the curves, to stay among the lines, where they were shown. */
  async finish(): Promise<void> {
    this.#bar?.stop();
    const picture = await this.#view?.finish();
    if (picture) this.#output.say(`\n${picture.join('\n')}`);
  }

  #wantsView(seconds: number, left: number): boolean {
    if (!fitsLiveView(this.#output.size)) return false;
    return this.#options.live === true || (seconds >= LONG_ENOUGH.done && left >= LONG_ENOUGH.left);
  }
}
