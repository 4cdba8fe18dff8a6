/**
 * Reads ahead: pulls up to `limit` items from an asynchronous source while somebody works on those before. At its end and
 * after an error the items read before are handed out first.
 */
export class Prefetch<T> {
  readonly #pull: () => Promise<T | null>;
  readonly #limit: number;
  readonly #items: T[] = [];
  #ended = false;
  #failure: { error: unknown } | null = null;
  #closed = false;
  #pulling = false;
  #wake: () => void = () => {};

  /** `pull` gives the next item, and null at the end. It is not called again before it has answered. */
  constructor(pull: () => Promise<T | null>, limit: number) {
    this.#pull = pull;
    this.#limit = limit;
    void this.#fill();
  }

  /** Whether the source is being waited for. */
  get pulling(): boolean {
    return this.#pulling;
  }

  /**
   * The items that are there, at least one: all that `alike` says go with the first. Null at the end, and when the signal
   * comes while there are none. Rejects with the source's error.
   */
  async take(alike: (first: T, next: T) => boolean, signal: AbortSignal): Promise<T[] | null> {
    while (this.#items.length === 0) {
      if (this.#failure) throw this.#failure.error;
      if (this.#ended || signal.aborted) return null;
      const { promise, resolve } = withResolvers();
      this.#wake = resolve;
      signal.addEventListener('abort', resolve);
      await promise;
      signal.removeEventListener('abort', resolve);
    }
    const different = this.#items.findIndex((item) => !alike(this.#items[0], item));
    const taken = this.#items.splice(0, different < 0 ? this.#items.length : different);
    void this.#fill();
    return taken;
  }

  /** Reads no more. */
  close(): void {
    this.#closed = true;
  }

  async #fill(): Promise<void> {
    if (this.#pulling) return;
    this.#pulling = true;
    try {
      while (!this.#closed && !this.#ended && this.#items.length < this.#limit) {
        const item = await this.#pull();
        if (item === null) this.#ended = true;
        else this.#items.push(item);
        this.#wake();
      }
    } catch (error) {
      this.#failure = { error };
      this.#ended = true;
    } finally {
      this.#pulling = false;
      this.#wake();
    }
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
