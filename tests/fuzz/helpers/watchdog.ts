import { Worker } from 'node:worker_threads';

/** Of an input that does not end: far more than any takes, also on a busy machine. */
const HANG_SECONDS = 10;

/**
 * Ends the process when a check hangs in a loop, which no timeout of the same thread could: a second thread looks on. The
 * place of an input is its number, since a seed gives the same inputs each time.
 */
export function watchdog(target: string, seed: string): { watch(): void; rest(): void } {
  const running = new Int32Array(new SharedArrayBuffer(4)); // the number of the input, counted from 1; 0 at rest
  const worker = new Worker(new URL('watchdog-worker.mjs', import.meta.url), {
    workerData: { running, target, seed, seconds: HANG_SECONDS },
  });
  worker.unref();
  let inputs = 0;
  return {
    watch: () => {
      inputs++;
      Atomics.store(running, 0, inputs);
    },
    rest: () => {
      Atomics.store(running, 0, 0);
      void worker.terminate();
    },
  };
}
