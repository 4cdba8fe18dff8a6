import { takeRows } from '../../data/rows.js';
import { confusionMatrix, type Dataset, MnistTrainError } from '../../index.js';
import type { Confusion } from './confusion.js';

/** Images whose classes are asked for again and again. */
const MOST_IMAGES = 1000;
/**
 * A prediction is about a third of an image's work in training. So many images are trained on for each one that is
 * predicted, which keeps predictions to a hundredth of the work. (Their own time would not say: it is mostly waiting for
 * the steps in flight.)
 */
const TRAINED_PER_IMAGE = 33;
/** Nobody reads faster. */
const LEAST_MILLISECONDS = 500;

/** A few images, spread evenly over those that a training validates with, or else trains on. Never the test set's. */
export interface WatchedImages {
  inputs: Uint8Array | Float32Array;
  labels: readonly number[];
  kind: 'validation' | 'training';
  names: readonly string[] | undefined;
}

export function imagesToWatch(
  train: Dataset,
  { validation, validationSplit = 0 }: { validation?: Dataset; validationSplit?: number },
): WatchedImages {
  const from = validation ?? train;
  // `fit` keeps the end of the data for validation.
  const first = !validation && validationSplit > 0 ? Math.floor(train.count * (1 - validationSplit)) : 0;
  const count = Math.min(MOST_IMAGES, from.count - first);
  const places = Array.from({ length: count }, (_, i) => first + Math.floor((i * (from.count - first)) / count));
  return {
    inputs: takeRows(from.inputs, from.inputs.length / from.count, places),
    labels: places.map((place) => Number(from.targets[place])),
    kind: first > 0 || validation ? 'validation' : 'training',
    names: train.classNames,
  };
}

type Predict = (inputs: WatchedImages['inputs']) => Promise<Float32Array>;

/** Asks a model in training, now and then and beside its steps, what it takes some images for. Changes nothing in it. */
export class ConfusionWatch {
  readonly #predict: Predict;
  readonly #imagesOf: () => WatchedImages;
  #images: WatchedImages | null = null;
  #asking: Promise<void> | null = null;
  #ended = false;
  #latest: Confusion | null = null;
  /** When it is asked next, in images trained on and in time. */
  #next = { trained: 0, time: 0 };

  /** @param imagesOf Called when they are needed first. */
  constructor(predict: Predict, imagesOf: () => WatchedImages) {
    this.#predict = predict;
    this.#imagesOf = imagesOf;
  }

  get latest(): Confusion | null {
    return this.#latest;
  }

  /** Asks where it is time and no answer is awaited. `trained` images have gone through the steps so far. */
  update(trained: number): void {
    if (this.#asking || this.#ended || trained < this.#next.trained || performance.now() < this.#next.time) return;
    this.#asking = this.#ask(trained).finally(() => {
      this.#asking = null;
    });
  }

  /** Resolves when nothing is asked any more; `afresh` asks a last time. */
  async end(afresh: boolean): Promise<void> {
    await this.#asking;
    if (afresh && !this.#ended) await this.#ask(0);
    this.#ended = true;
  }

  async #ask(trained: number): Promise<void> {
    try {
      this.#images ??= this.#imagesOf();
      const { inputs, labels, kind, names } = this.#images;
      const outputs = await this.#predict(inputs);
      this.#latest = { counts: confusionMatrix(labels, outputs), kind, names };
      this.#next = {
        trained: trained + TRAINED_PER_IMAGE * labels.length,
        time: performance.now() + LEAST_MILLISECONDS,
      };
    } catch (error) {
      // Training has ended, or fails for the same reason and says so itself.
      if (!(error instanceof MnistTrainError)) throw error;
      this.#ended = true;
    }
  }
}
