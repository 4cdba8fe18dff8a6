import type { EpochResult, FitProgress } from '../../index.js';
import type { Output } from '../output.js';
import type { ConfusionWatch } from './confusion-watch.js';
import { Curve } from './curve.js';
import type { LiveBlock, ScreenSize } from './live-block.js';
import { fitsLiveView, LiveFrame, type LiveState } from './live-frame.js';
import { Ration } from './ration.js';

/** The curves are drawn anew now and then, the rest of the view ten times a second: shares of the time, milliseconds. */
const CURVES = { share: 1 / 200, distance: { least: 300, most: 1000 } };
const FRAMES = { share: 1 / 100, distance: { least: 100, most: 1000 } };

/** The live view of a training: follows it from the first report, and shows it from `open` to `stop`. */
export class TrainingView {
  readonly #output: Output;
  readonly #watch: ConfusionWatch;
  readonly #frame: LiveFrame;
  readonly #curvesRation = new Ration(CURVES.share, CURVES.distance);
  readonly #ration = new Ration(FRAMES.share, FRAMES.distance);
  readonly #state: LiveState;
  #block: LiveBlock | null = null;
  /** The running epoch at the report before: reports have the means since its beginning. */
  #before = { epoch: 0, samples: 0, loss: 0, accuracy: 0 };
  #samplesPerEpoch = 0;

  constructor(output: Output, watch: ConfusionWatch) {
    this.#output = output;
    this.#watch = watch;
    this.#frame = new LiveFrame(output.style, output.colors !== 'none');
    const curves = () => ({ training: new Curve(), validation: new Curve() });
    this.#state = {
      start: Number.NaN,
      position: 0,
      epochs: 1,
      curves: { loss: curves(), accuracy: curves() },
      confusion: null,
      done: 0,
      text: '',
    };
  }

  get shown(): boolean {
    return this.#block !== null;
  }

  /** Follows a training; `done` is the share of it, `text` what stands behind the bar. */
  add({ epoch, epochs, samples, count, loss, accuracy }: FitProgress, done: number, text: string): void {
    const state = this.#state;
    if (Number.isNaN(state.start)) state.start = epoch - 1;
    this.#samplesPerEpoch = count ?? samples;
    Object.assign(state, { epochs, done, text });
    this.#addStretch({ epoch, samples, loss, accuracy });
    if (!this.#block) return;
    this.#watch.update(this.#trained);
    if (!this.#ration.isDue()) return;
    const start = performance.now();
    this.#block.show();
    this.#ration.spent(start);
  }

  /** The rest of the epoch, and what validation came to. */
  endEpoch({ epoch, loss, accuracy, validationLoss, validationAccuracy }: EpochResult): void {
    this.#addStretch({ epoch, samples: this.#samplesPerEpoch, loss, accuracy });
    const { curves } = this.#state;
    if (validationLoss !== undefined) curves.loss.validation.add(epoch, validationLoss);
    if (validationAccuracy !== undefined) curves.accuracy.validation.add(epoch, validationAccuracy);
  }

  get #trained(): number {
    return this.#state.position * this.#samplesPerEpoch;
  }

  open(): void {
    this.#block = this.#output.live((size) => this.#lines(size));
    this.#watch.update(this.#trained);
    this.#block.show();
  }

  /** Removes the view; resolves when no prediction is under way. */
  async stop(): Promise<void> {
    this.#block?.stop();
    await this.#watch.end(false);
  }

  /** Removes it and resolves with curves and confusions as they ended; null where they were never shown. */
  async finish(): Promise<string[] | null> {
    const { size } = this.#output;
    const stays = this.#block !== null && fitsLiveView(size);
    await this.#watch.end(stays);
    this.#block?.stop();
    this.#state.confusion = this.#watch.latest;
    return stays ? this.#frame.picture(this.#state, size) : null;
  }

  #lines(size: ScreenSize): string[] {
    this.#state.confusion = this.#watch.latest;
    const afresh = this.#curvesRation.isDue();
    const start = performance.now();
    const lines = this.#frame.lines(this.#state, size, afresh);
    if (afresh) this.#curvesRation.spent(start);
    return lines;
  }

  /** The steps since the report before: their mean follows from two means. */
  #addStretch({ epoch, samples, loss, accuracy = Number.NaN }: Stretch): void {
    const state = this.#state;
    const before = this.#before.epoch === epoch ? this.#before : { samples: 0, loss: 0, accuracy: 0 };
    const weight = samples - before.samples;
    if (weight <= 0) return;
    const meanOf = (now: number, then: number) => (now * samples - then * before.samples) / weight;
    state.position = epoch - 1 + samples / this.#samplesPerEpoch;
    state.curves.loss.training.add(state.position, meanOf(loss, before.loss), weight);
    state.curves.accuracy.training.add(state.position, meanOf(accuracy, before.accuracy), weight);
    this.#before = { epoch, samples, loss, accuracy };
  }
}

/** An epoch so far: its samples, and the means over them. */
type Stretch = Pick<FitProgress, 'epoch' | 'samples' | 'loss' | 'accuracy'>;
