import type { Engine } from '../events.js';

/** One way of doing a piece of work. */
export interface Contender {
  engine: Engine;
  /** Does the work `repetitions` times and returns the seconds that it took, of everything together. */
  run(repetitions: number): Promise<number>;
}

export interface Measurement {
  engine: Engine;
  /** Seconds of one repetition. */
  medianSeconds: number;
  minSeconds: number;
  rounds: number;
}

export interface MeasureOptions {
  rounds: number;
  /** Repetitions are chosen so that a sample takes about this long; null for one repetition and no warm-up. */
  sampleSeconds: number | null;
  signal: AbortSignal;
}

/**
 * Measures contenders side by side: every round runs each of them once, so that a machine that slows down for a while
 * slows all of them, and their ratio stays meaningful. Finding the number of repetitions also warms up caches and the
 * JIT compiler; it does not count.
 */
export async function measure(contenders: readonly Contender[], options: MeasureOptions): Promise<Measurement[]> {
  const repetitions: number[] = [];
  for (const contender of contenders) repetitions.push(await calibrate(contender, options));
  const samples: number[][] = contenders.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      options.signal.throwIfAborted();
      samples[index].push((await contender.run(repetitions[index])) / repetitions[index]);
    }
  }
  return contenders.map(({ engine }, index) => ({
    engine,
    medianSeconds: median(samples[index]),
    minSeconds: Math.min(...samples[index]),
    rounds: options.rounds,
  }));
}

/** Doubles the repetitions until a sample is long enough to be timed, then scales to the wanted length. */
async function calibrate(contender: Contender, { sampleSeconds, signal }: MeasureOptions): Promise<number> {
  if (sampleSeconds === null) return 1;
  for (let repetitions = 1; ; repetitions *= 2) {
    signal.throwIfAborted();
    const seconds = await contender.run(repetitions);
    if (seconds >= sampleSeconds / 4) return Math.max(1, Math.round((repetitions * sampleSeconds) / seconds));
  }
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
