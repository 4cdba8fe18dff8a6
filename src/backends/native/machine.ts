import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { expected } from '../../errors.js';
import type { Isa } from '../backend.js';
import type { NativeAddon } from './addon.js';

/** What the native backend uses of the machine. By itself, so that who only asks need not load the backend. */

/** Lowers the instruction set, for tests and benchmarks: avx2, avx512 or neon. */
const ISA_VARIABLE = 'MNIST_TRAIN_ISA';
/** A step of a small network has too little work for more: their barriers cost more than they gain. */
const MOST_DEFAULT_THREADS = 8;

/** `wanted`, $MNIST_TRAIN_ISA or the best there is, in this order. Throws ERR_ARGUMENT for one that is not there. */
export function chooseIsa(
  addon: NativeAddon,
  wanted: string | undefined = process.env[ISA_VARIABLE] || undefined,
): Isa {
  const choices = addon.instructionSets;
  if (wanted !== undefined && !choices.includes(wanted)) {
    throw expected(`one of ${choices.join(', ')} (what this processor and this build have)`, ISA_VARIABLE, wanted);
  }
  return (wanted ?? choices[0]) as Isa;
}

/** The instruction sets that can be asked for, best first; the one of $MNIST_TRAIN_ISA where that is set. */
export function nativeInstructionSets(addon: NativeAddon): readonly Isa[] {
  return process.env[ISA_VARIABLE] ? [chooseIsa(addon)] : (addon.instructionSets as readonly Isa[]);
}

/** One per processor that this process may use, up to 8. */
export function defaultThreads(): number {
  return Math.min(availableCores(), MOST_DEFAULT_THREADS);
}

/** The processors that this process may use. */
export function availableCores(): number {
  return Math.max(1, Math.min(availableParallelism(), cgroupCores()));
}

/** The cores that the control group grants this process, rounded up; Infinity where there is no limit. */
function cgroupCores(): number {
  try {
    const [quota, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').trim().split(' ').map(Number);
    return quota > 0 && period > 0 ? Math.ceil(quota / period) : Infinity; // "max" reads as NaN
  } catch {
    return Infinity; // no control groups of version 2 here: nothing limits but the machine
  }
}
