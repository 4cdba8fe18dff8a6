/** One way of doing a piece of work. */
export interface Contender {
  /** Does the work `repetitions` times and returns the seconds that it took, of everything together. */
  run(repetitions: number): Promise<number>;
}

/** Seconds of one repetition, over the rounds. */
export interface Measurement {
  medianSeconds: number;
  minSeconds: number;
  maxSeconds: number;
  rounds: number;
}

export interface MeasureOptions {
  /** Samples of each contender. */
  rounds: number;
  /** The least, for a contender that is slow. */
  leastRounds: number;
  /** Repetitions are chosen so that a sample takes about this long, or one repetition if that takes longer. */
  sampleSeconds: number;
  /** A contender whose rounds would take longer than this in all takes part in the first of them only. */
  contenderSeconds: number;
  signal: AbortSignal;
}

interface Plan {
  repetitions: number;
  rounds: number;
}

/**
 * Measures contenders side by side: every round runs each of them once, so that a machine that slows down for a while
 * slows all of them, and their ratio stays meaningful. Finding the number of repetitions also warms up caches and the
 * JIT compiler; it does not count.
 */
export async function measure(contenders: readonly Contender[], options: MeasureOptions): Promise<Measurement[]> {
  const plans: Plan[] = [];
  for (const contender of contenders) plans.push(await calibrate(contender, options));
  const samples: number[][] = contenders.map(() => []);
  for (let round = 0; round < options.rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const { repetitions, rounds } = plans[index];
      if (round >= rounds) continue;
      options.signal.throwIfAborted();
      samples[index].push((await contender.run(repetitions)) / repetitions);
    }
  }
  return samples.map((times) => ({
    medianSeconds: median(times),
    minSeconds: Math.min(...times),
    maxSeconds: Math.max(...times),
    rounds: times.length,
  }));
}

/** Doubles the repetitions until a sample is long enough to be timed, then scales to the wanted length. */
async function calibrate(contender: Contender, options: MeasureOptions): Promise<Plan> {
  const { sampleSeconds, contenderSeconds, leastRounds, signal } = options;
  for (let repetitions = 1; ; repetitions *= 2) {
    signal.throwIfAborted();
    const seconds = await contender.run(repetitions);
    if (seconds < sampleSeconds / 4) continue;
    const wanted = Math.max(1, Math.round((repetitions * sampleSeconds) / seconds));
    const affordable = Math.floor((contenderSeconds * repetitions) / (seconds * wanted));
    return { repetitions: wanted, rounds: Math.min(options.rounds, Math.max(leastRounds, affordable)) };
  }
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
