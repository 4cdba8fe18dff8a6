/** Keeps work that is only for the eye to a share of the time, whether a piece of it takes long on this machine or not. */
export class Ration {
  readonly #share: number;
  readonly #distance: { least: number; most: number };
  #next = Number.NEGATIVE_INFINITY;

  /**
   * @param share The part of the time that the work may take, in (0, 1).
   * @param distance Milliseconds from the end of one piece to the next. Not even a machine that is busy with other things,
   *   where all takes long, waits for longer than `most`.
   */
  constructor(share: number, distance: { least: number; most: number }) {
    this.#share = share;
    this.#distance = distance;
  }

  /** Whether there is time for another piece. */
  isDue(now = performance.now()): boolean {
    return now >= this.#next;
  }

  /** A piece of work took from `start` to `end`, in milliseconds. */
  spent(start: number, end = performance.now()): void {
    const { least, most } = this.#distance;
    this.#next = end + Math.min(most, Math.max(least, (end - start) / this.#share));
  }
}
