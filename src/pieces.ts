import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Long work on the calling thread: a generator that yields wherever the event loop may have a turn. The same work then
 * serves calls that answer at once and calls that keep the event loop free.
 */
export type Pieces<T> = Generator<undefined, T, undefined>;

/** Bytes that are copied or looked at between two places to pause: tens of microseconds, and still worth a loop. */
export const PIECE_BYTES = 2 ** 17;

/** Work between two turns: what the event loop is late by at most, but for one piece. */
const TURN_MILLISECONDS = 1;

/** So many pieces are done before the first turn even where the system lets others run in between: that is small work. */
const FIRST_PIECES = 16;

/** Does work from its beginning to its end. */
export function atOnce<T>(work: Pieces<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * For loops that wait for work done elsewhere: awaiting what this returns takes a turn where the last one was too long ago.
 * What waits for a job may find that the next one has ended as well, and so on, without the event loop in between.
 */
export function turnTaker(): () => Promise<void> {
  let end = performance.now() + TURN_MILLISECONDS;
  return async () => {
    if (performance.now() < end) return;
    await nextTurn();
    end = performance.now() + TURN_MILLISECONDS;
  };
}

/**
 * Does work in turns with everything else on this thread. What can be done within a millisecond is done before the first
 * of them, in the caller's own turn. After every turn `goOn` is called; what it throws ends the work.
 */
export async function inTurns<T>(work: Pieces<T>, goOn?: () => void): Promise<T> {
  let end = performance.now() + TURN_MILLISECONDS;
  try {
    for (let pieces = 1; ; pieces++) {
      const { done, value } = work.next();
      if (done) return value;
      if (pieces <= FIRST_PIECES || performance.now() < end) continue;
      await nextTurn();
      goOn?.();
      end = performance.now() + TURN_MILLISECONDS;
    }
  } finally {
    work.return(undefined as never); // so that its own finally blocks run
  }
}

/** The parts of so many elements, `size` in each but the last, as [begin, end]. */
export function* spans(count: number, size: number): Generator<readonly [begin: number, end: number]> {
  for (let begin = 0; begin < count; begin += size) yield [begin, Math.min(begin + size, count)];
}
