/** Keeps work that is only for the eye to a share of the time, however long a piece of it takes on this machine. */
export class Ration {
  readonly #share: number;
  readonly #leastDistance: number;
  #next = Number.NEGATIVE_INFINITY;

  /**
   * @param share The part of the time that the work may take, in (0, 1).
   * @param leastDistance Milliseconds from the end of one piece to the next, at least.
   */
  constructor(share: number, leastDistance: number) {
    this.#share = share;
    this.#leastDistance = leastDistance;
  }

  /** Whether there is time for another piece. */
  isDue(now = performance.now()): boolean {
    return now >= this.#next;
  }

  /** A piece of work took from `start` to `end`, in milliseconds. */
  spent(start: number, end = performance.now()): void {
    this.#next = end + Math.max(this.#leastDistance, (end - start) / this.#share);
  }
}
