import type { Output } from './output.js';

/** Exit statuses by the convention of shells, 128 + the signal's number. */
const STATUS = { SIGINT: 130, SIGTERM: 143 } as const;
type SignalName = keyof typeof STATUS;

/**
 * Turns signals into an AbortSignal. The first one asks the work to stop after the step in flight; a second one ends the
 * process at once. Files are written under a temporary name and renamed, so even that leaves none half-written.
 */
export class Interruption {
  readonly #controller = new AbortController();
  #status = 0;

  /** `graceful` of programs that a signal is the usual end of: what is said then, and the status stays 0. */
  constructor(output: Output, graceful?: string) {
    for (const name of Object.keys(STATUS) as SignalName[]) {
      process.on(name, () => {
        if (this.#controller.signal.aborted) endNow(name, output);
        if (graceful === undefined) this.#status = STATUS[name];
        output.note(graceful ?? 'Stopping after the step in flight. Interrupt again to stop at once.');
        this.#controller.abort();
      });
    }
  }

  /** Stops the work as a signal does, for another reason. */
  stop(): void {
    this.#controller.abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The exit status that the signal asks for; 0 when none came. */
  get status(): number {
    return this.#status;
  }
}

/**
 * Ends the process by the signal itself: process.exit would wait for file operations in flight, which on a disk that hangs
 * is for ever.
 */
function endNow(name: SignalName, output: Output): never {
  output.stopProgress();
  process.removeAllListeners(name);
  process.kill(process.pid, name);
  // The first process of a container survives its own signals.
  process.exit(STATUS[name]);
}
