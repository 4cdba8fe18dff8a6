import { availableParallelism } from 'node:os';
import type { Backend, Isa } from '../../backends/backend.js';
import { createNativeBackend } from '../../backends/native/backend.js';
import { requireAddon } from '../../backends/native/load.js';
import { nativeInstructionSets } from '../../backends/native/machine.js';
import { selectBackend } from '../../backends/select.js';
import { MnistTrainError } from '../../index.js';
import type { Output } from '../output.js';
import { errorText } from '../usage.js';

/** A backend, of one instruction set, with a number of threads. */
export interface Entrant {
  backend: Backend;
  threads: number;
}

/** Milliseconds of one look at the limit: long enough for the clock, short enough to be taken in every round. */
const LIMIT_MILLISECONDS = 5;

/**
 * Native with every instruction set that the processor has, the best first ($MNIST_TRAIN_ISA leaves one), each with one
 * thread, with two and with as many as a session gets at most; then TypeScript. Without the addon TypeScript alone.
 */
export function entrantsOf(output: Output): Entrant[] {
  const script = { backend: selectBackend('js'), threads: 1 };
  let natives: Backend[];
  try {
    natives = nativeInstructionSets(requireAddon()).map((isa) => createNativeBackend({ isa }));
  } catch (error) {
    if (!(error instanceof MnistTrainError && error.code === 'ERR_NATIVE_LOAD')) throw error;
    output.note(`${errorText(error)} Measuring TypeScript alone.`);
    return [script];
  }
  const entrants = natives.flatMap((backend) => {
    const counts = new Set([1, Math.min(2, availableParallelism()), backend.defaultThreads]);
    return [...counts].map((threads) => ({ backend, threads }));
  });
  return [...entrants, script];
}

/** GFLOP/s of multiply-adds on registers: what no dense kernel of this instruction set can pass with these threads. */
export function measureLimit(isa: Isa, threads: number): number {
  return requireAddon().measurePeak(isa, threads, LIMIT_MILLISECONDS);
}
