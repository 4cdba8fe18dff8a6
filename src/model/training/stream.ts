import type { Samples } from '../../backends/backend.js';
import { joinRows } from '../../data/rows.js';
import { expected, MnistTrainError } from '../../errors.js';
import type { Loss } from '../../losses/loss.js';
import { inTurns } from '../../pieces.js';
import { linkedController } from '../abort.js';
import type { Engine } from '../engine.js';
import { indices } from '../evaluate.js';
import { type LabelledSamples, readSamples } from '../samples.js';
import type { Stack } from '../stack.js';
import { Prefetch } from './prefetch.js';
import type { Portion, TrainingSource } from './source.js';

type Batches = AsyncIterable<LabelledSamples> | Iterable<LabelledSamples>;

/**
 * Batches one after the other, for data that do not fit in memory: an iterable, asynchronous or not, or a function that
 * begins one for every epoch, counted as in `EpochResult`.
 */
export type BatchStream = Batches | ((epoch: number) => Batches);

export function isBatchStream(data: unknown): data is BatchStream {
  if (typeof data === 'function') return true;
  // Numbers by themselves are no batches: a mistake that the checks of samples name better.
  if (ArrayBuffer.isView(data)) return false;
  return typeof data === 'object' && data !== null && (Symbol.asyncIterator in data || Symbol.iterator in data);
}

interface StreamSetup {
  stream: BatchStream;
  stack: Stack;
  loss: Loss;
  /** Samples per step; null to take every batch as one step. */
  batchSize: number | null;
  stepsPerEpoch: number | null;
  /** The first epoch of the fit. */
  firstEpoch: number;
  /** Steps read ahead. */
  prefetch: number;
  signal?: AbortSignal;
}

/** Places in an epoch are counted in 32 bits. */
const INDICES = 2 ** 32;

type Iterator = AsyncIterator<LabelledSamples> | globalThis.Iterator<LabelledSamples>;

/**
 * Steps from a stream. Batches are checked and copied as they come, up to `prefetch` steps ahead of those that run; those
 * that are there when steps end are bound together as the next portion.
 */
export class StreamSource implements TrainingSource {
  readonly count = null;
  readonly stepsPerEpoch: number | null;
  readonly #engine: Engine;
  readonly #setup: StreamSetup;
  /** Where a stream does not begin anew with each epoch: its steps through all epochs. */
  #endless: AsyncGenerator<Samples, void> | null = null;
  #skipped = false;
  /** Whether the source was being waited for when it was closed: it may never answer. */
  #waiting = false;

  constructor(engine: Engine, setup: StreamSetup) {
    this.#engine = engine;
    this.#setup = setup;
    this.stepsPerEpoch = setup.stepsPerEpoch;
  }

  async *portions(epoch: number, from: number): AsyncGenerator<Portion, boolean> {
    const { prefetch, signal } = this.#setup;
    const steps = this.#steps(epoch);
    const skippedSamples = await this.#skip(steps, epoch, from);
    const ahead = new Prefetch(async () => {
      const { value, done } = await steps.next();
      return done ? null : value;
    }, prefetch);
    const { controller, unlink } = linkedController(signal, this.#engine.disposal);
    try {
      let firstIndex = skippedSamples;
      for (;;) {
        const taken = await ahead.take(goTogether, controller.signal);
        if (taken === null) return !controller.signal.aborted;
        const samples = together(taken);
        yield* this.#portion(samples, taken[0].count, firstIndex);
        firstIndex = (firstIndex + samples.count) % INDICES;
      }
    } finally {
      unlink();
      ahead.close();
      this.#waiting = ahead.pulling;
      await this.#end(steps);
    }
  }

  prepare(): void {}

  async dispose(): Promise<void> {
    if (this.#endless) await this.#end(this.#endless);
    this.#endless = null;
  }

  /** A source that is being waited for is told of the end, but not waited for any longer. */
  async #end(steps: AsyncGenerator<Samples, void>): Promise<void> {
    const ended = steps.return();
    if (this.#waiting) ended.catch(() => {});
    else await ended;
  }

  async *#portion(samples: Samples, batchSize: number, firstIndex: number): AsyncGenerator<Portion, void> {
    const data = await inTurns(this.#engine.bind(samples));
    let there = true;
    try {
      const order = indices(0, samples.count);
      yield { data, order, batchSize, firstIndex, preparationSeconds: 0, isThere: () => there };
    } finally {
      there = false;
      data.dispose();
    }
  }

  /** The steps of an epoch. */
  async *#steps(epoch: number): AsyncGenerator<Samples, void> {
    const { stepsPerEpoch } = this.#setup;
    const steps = this.#open(epoch);
    let count = 0;
    try {
      while (stepsPerEpoch === null || count < stepsPerEpoch) {
        const { value, done } = await steps.next();
        if (done) break;
        count++;
        yield value;
      }
    } finally {
      // Between epochs an endless stream only pauses.
      if (steps !== this.#endless) await steps.return();
    }
    if (count === 0) {
      throw new MnistTrainError(
        'ERR_DATA',
        `Expected batches in epoch ${epoch} of the stream, received none. An iterable that can be read only once has to be given as a function that makes a new one for every epoch.`,
      );
    }
    if (stepsPerEpoch !== null && count < stepsPerEpoch) {
      throw expected(`${stepsPerEpoch} steps (stepsPerEpoch)`, `epoch ${epoch} of the stream`, count, '', 'ERR_DATA');
    }
  }

  #open(epoch: number): AsyncGenerator<Samples, void> {
    const { stream, stepsPerEpoch, batchSize } = this.#setup;
    const begin = () => {
      const batches = this.#batches(iteratorOf(typeof stream === 'function' ? stream(epoch) : stream), epoch);
      return batchSize === null ? batches : regroup(batches, batchSize);
    };
    if (typeof stream === 'function' || stepsPerEpoch === null) return begin();
    this.#endless ??= begin();
    return this.#endless;
  }

  /** Batches as they come, checked and copied: the caller may use its memory again for the next. */
  async *#batches(iterator: Iterator, epoch: number): AsyncGenerator<Samples, void> {
    const { stack, loss } = this.#setup;
    let ended = false;
    try {
      for (let place = 1; ; place++) {
        const { value, done } = await iterator.next();
        ended = done === true;
        if (ended) break;
        const name = `batch ${place} of the stream from epoch ${epoch} on`;
        const { inputs, targets, count } = await inTurns(readSamples(value, stack, loss, name));
        yield { inputs: inputs.slice(), targets: targets.slice(), count };
      }
    } finally {
      if (!ended) await iterator.return?.();
    }
  }

  /** Reads past what was trained on before an interruption; resolves with the samples of this epoch among it. */
  async #skip(steps: AsyncGenerator<Samples, void>, epoch: number, from: number): Promise<number> {
    if (!this.#skipped && typeof this.#setup.stream !== 'function' && this.#setup.stepsPerEpoch !== null) {
      for (let before = this.#setup.firstEpoch; before < epoch; before++) {
        for await (const _ of this.#steps(before));
      }
    }
    this.#skipped = true;
    let samples = 0;
    for (let step = 0; step < from; step++) {
      const { value, done } = await steps.next();
      if (done) throw expected(`at least ${from} steps`, `epoch ${epoch} of the stream`, step, '', 'ERR_DATA');
      samples += value.count;
    }
    return samples % INDICES;
  }
}

function iteratorOf(batches: Batches): Iterator {
  if (isBatchStream(batches) && typeof batches !== 'function') {
    return Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  }
  throw expected('an iterable of batches', 'what the stream function returned', batches);
}

/** Cuts and joins batches into steps of one size; the last one has what is left. */
async function* regroup(batches: AsyncGenerator<Samples, void>, size: number): AsyncGenerator<Samples, void> {
  let held: Samples[] = [];
  let count = 0;
  for await (const batch of batches) {
    if (held.length > 0 && !sameTypes(held[0], batch)) {
      throw expected('batches of one type', 'the stream', batch.inputs, 'Steps of batchSize join several batches.');
    }
    held.push(batch);
    count += batch.count;
    if (count < size) continue;
    const whole = together(held);
    let start = 0;
    for (; start + size <= count; start += size) yield rows(whole, start, start + size);
    held = start < count ? [rows(whole, start, count)] : [];
    count -= start;
  }
  if (count > 0) yield together(held);
}

function rows({ inputs, targets, count }: Samples, start: number, end: number): Samples {
  const part = <T extends Samples['inputs'] | Samples['targets']>(values: T): T => {
    const columns = values.length / count;
    return values.slice(start * columns, end * columns) as T;
  };
  return { inputs: part(inputs), targets: part(targets), count: end - start };
}

const sameTypes = (a: Samples, b: Samples): boolean =>
  a.inputs.constructor === b.inputs.constructor && a.targets.constructor === b.targets.constructor;

/** Whether a step can follow another in a run, in which every step but the last has the same size. */
const goTogether = (first: Samples, next: Samples): boolean => sameTypes(first, next) && first.count === next.count;

function together(parts: readonly Samples[]): Samples {
  if (parts.length === 1) return parts[0];
  return {
    inputs: joinRows(parts.map(({ inputs }) => inputs)),
    targets: joinRows(parts.map(({ targets }) => targets)),
    count: parts.reduce((sum, { count }) => sum + count, 0),
  };
}
