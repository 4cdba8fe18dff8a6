import { checkInteger } from '../../errors.js';
import type { NativeAddon } from './addon.js';
import { loadAddon } from './load.js';
import { availableCores } from './machine.js';

/** The budget of the process before anybody sets one; default: a thread per processor that the process may use. */
const BUDGET_VARIABLE = 'MNIST_TRAIN_THREADS';
const MOST_THREADS = 256;

/** What was set where the addon does not load: nothing is shared then, since the TypeScript backend has no threads. */
let withoutAddon: number | null = null;

function defaultBudget(): number {
  const wanted = process.env[BUDGET_VARIABLE];
  if (!wanted) return Math.min(availableCores(), MOST_THREADS);
  return checkInteger(/^\d+$/.test(wanted) ? Number(wanted) : wanted, BUDGET_VARIABLE, 1, MOST_THREADS);
}

/** Gives the process its budget, unless it has one. Throws ERR_ARGUMENT for a $MNIST_TRAIN_THREADS that is none. */
export function openThreadBudget(addon: NativeAddon): void {
  addon.setThreadBudget(defaultBudget(), true);
}

/**
 * How many threads train and evaluate at once in this process, a whole number from 1 to 256: all models in all
 * worker_threads share them. Each gets an equal part, at most its own `threads`; where there are more models than threads
 * they take turns of about 50 ms. Results do not depend on it. Predictions do not wait for a thread. Default:
 * $MNIST_TRAIN_THREADS, else one per processor that the process may use, by its control group's limit too. Holds from the
 * next turn on. Throws ERR_ARGUMENT.
 */
export function setThreadBudget(threads: number): void {
  checkInteger(threads, 'threads', 1, MOST_THREADS);
  const { addon } = loadAddon();
  if (addon) addon.setThreadBudget(threads, false);
  else withoutAddon = threads;
}

/** The budget that `setThreadBudget` sets. */
export function threadBudget(): number {
  const { addon } = loadAddon();
  if (!addon) return withoutAddon ?? defaultBudget();
  openThreadBudget(addon);
  return addon.threadBudget();
}
