import { MnistTrainError } from '../errors.js';

export function abortedError(what: string, signal: AbortSignal | undefined): MnistTrainError {
  return new MnistTrainError('ERR_ABORTED', `${what} was aborted.`, { cause: signal?.reason });
}

/** Throws ERR_ABORTED after the signal. */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(what, signal);
}

/**
 * A controller that also aborts when one of the signals does, with its reason. `unlink` takes its listeners off again: a signal that lives
 * as long as the program would otherwise collect one per run.
 */
export function linkedController(...signals: (AbortSignal | undefined)[]): {
  controller: AbortController;
  unlink: () => void;
} {
  const controller = new AbortController();
  const abort = (event: Event) => controller.abort((event.target as AbortSignal).reason);
  for (const signal of signals) {
    if (signal?.aborted) controller.abort(signal.reason);
    else signal?.addEventListener('abort', abort, { once: true });
  }
  return {
    controller,
    unlink: () => {
      for (const signal of signals) signal?.removeEventListener('abort', abort);
    },
  };
}
