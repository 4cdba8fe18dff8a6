import type { Callback, CallbackContext } from '../../callbacks/callback.js';
import { expected } from '../../errors.js';

type Moment = Exclude<keyof Callback, 'getState' | 'setState'>;
type Received<M extends Moment> =
  Parameters<NonNullable<Callback[M]>> extends [...infer Head, CallbackContext] ? Head : never;

const MEMBERS: Readonly<Record<keyof Callback, true>> = {
  onTrainBegin: true,
  onTrainEnd: true,
  onEpochBegin: true,
  onEpochEnd: true,
  onTrainBatchBegin: true,
  onTrainBatchEnd: true,
  onTestBegin: true,
  onTestEnd: true,
  getState: true,
  setState: true,
};

/** Checks a list of callbacks. A misspelt moment would never be called, so unknown functions called `on…` are refused. */
export function checkCallbacks(callbacks: readonly Callback[] | undefined): readonly Callback[] {
  if (callbacks === undefined) return [];
  if (!Array.isArray(callbacks)) throw expected('a list of callbacks', 'callbacks', callbacks);
  callbacks.forEach((callback, index) => {
    const name = `callbacks[${index}]`;
    if (typeof callback !== 'object' || callback === null) {
      throw expected('an object with functions such as onEpochEnd', name, callback);
    }
    for (const member in callback) {
      if (/^on[A-Z]/.test(member) && !Object.hasOwn(MEMBERS, member)) {
        throw expected(`one of ${Object.keys(MEMBERS).join(', ')}`, `a function of ${name}`, member);
      }
    }
    for (const member of Object.keys(MEMBERS) as (keyof Callback)[]) {
      const value = callback[member];
      if (value !== undefined && typeof value !== 'function') throw expected('a function', `${name}.${member}`, value);
    }
  });
  return callbacks;
}

/** Calls callbacks one after the other and awaits each. */
export class CallbackList {
  readonly #callbacks: readonly Callback[];
  readonly #context: CallbackContext;
  readonly #moments: { open: boolean };
  /** How many have begun: only those are told of the end. */
  #begun = 0;

  constructor(callbacks: readonly Callback[], context: CallbackContext, moments: { open: boolean }) {
    this.#callbacks = callbacks;
    this.#context = context;
    this.#moments = moments;
  }

  /** Whether somebody wants to be called between steps. */
  get watchesBatches(): boolean {
    return this.#callbacks.some(({ onTrainBatchBegin, onTrainBatchEnd }) => onTrainBatchBegin || onTrainBatchEnd);
  }

  async begin(): Promise<void> {
    for (const callback of this.#callbacks) {
      this.#begun++;
      await this.during(() => callback.onTrainBegin?.(this.#context));
    }
  }

  /** Tells all that have begun, also when one of them throws; rejects with the first error. */
  async end(): Promise<void> {
    const errors: unknown[] = [];
    for (const callback of this.#callbacks.slice(0, this.#begun)) {
      try {
        await this.during(() => callback.onTrainEnd?.(this.#context));
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  async call<M extends Moment>(moment: M, ...received: Received<M>): Promise<void> {
    for (const callback of this.#callbacks) {
      const listener = callback[moment] as ((...values: unknown[]) => void | Promise<void>) | undefined;
      if (listener) await this.during(() => listener.call(callback, ...received, this.#context));
    }
  }

  /** Awaits somebody's function; the model's weights may be replaced meanwhile. */
  async during(work: () => unknown): Promise<void> {
    this.#moments.open = true;
    try {
      await work();
    } finally {
      this.#moments.open = false;
    }
  }
}
