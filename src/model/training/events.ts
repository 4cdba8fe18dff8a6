import type { EpochResult } from '../../epoch-result.js';
import { checkOptions, checkSignal } from '../../options.js';
import { linkedController } from '../abort.js';
import type { History } from './history.js';
import { FIT_OPTIONS, type FitOptions, type FitProgress } from './plan.js';

/** What `Sequential.train` gives, in their order. */
export type TrainingEvent =
  /** About twenty times a second. A reader that is slow gets the newest; those between are left out. */
  | { event: 'progress'; progress: FitProgress }
  /** After every whole epoch; none is left out. */
  | { event: 'epoch'; result: EpochResult }
  /** The last one. */
  | { event: 'done'; history: History };

/** What has happened and was not read yet. */
class Inbox {
  readonly #epochs: EpochResult[] = [];
  #progress: FitProgress | null = null;
  #wake = () => {};

  progress(progress: FitProgress): void {
    this.#progress = progress;
    this.#wake();
  }

  epoch(result: EpochResult): void {
    this.#epochs.push(result);
    // What was on the way to this is old news.
    this.#progress = null;
    this.#wake();
  }

  next(): TrainingEvent | null {
    const result = this.#epochs.shift();
    if (result) return { event: 'epoch', result };
    const progress = this.#progress;
    this.#progress = null;
    return progress && { event: 'progress', progress };
  }

  /** Resolves when something comes, or the fit ends. Nothing must be there. */
  wait(ended: Promise<unknown>): Promise<unknown> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    return Promise.race([woken, ended]);
  }
}

/** Runs a fit and gives what happens in it. A reader that leaves early ends it, and waits for its end. */
export async function* trainingEvents(
  train: (options: FitOptions) => Promise<History>,
  given: FitOptions | undefined,
): AsyncGenerator<TrainingEvent, void, undefined> {
  const options = checkOptions(given, 'train', FIT_OPTIONS);
  const inbox = new Inbox();
  const { controller, unlink } = linkedController(checkSignal(options.signal));
  let ended = false;
  const running = train({
    ...options,
    signal: controller.signal,
    onProgress: (progress) => {
      inbox.progress(progress);
      options.onProgress?.(progress);
    },
    onEpochEnd: (result) => {
      inbox.epoch(result);
      return options.onEpochEnd?.(result);
    },
  });
  const settled = running.then(
    () => {
      ended = true;
    },
    () => {
      ended = true;
    },
  );
  try {
    for (;;) {
      const event = inbox.next();
      if (event) yield event;
      else if (ended) break;
      else await inbox.wait(settled);
    }
    yield { event: 'done', history: await running };
  } finally {
    controller.abort();
    await settled;
    unlink();
  }
}
