import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { checkInteger, expected } from '../../errors.js';
import type { Program } from '../../program/program.js';
import type { Backend, BoundData, Isa, Samples, Session, SessionOptions } from '../backend.js';
import { checkSamples } from '../checks.js';
import type { NativeAddon } from './addon.js';
import { NativeBoundData } from './bound-data.js';
import { requireAddon } from './load.js';
import { createNativeSession } from './session.js';

/** Lowers the instruction set, for tests and benchmarks: avx2, avx512 or neon. */
const ISA_VARIABLE = 'MNIST_TRAIN_ISA';
const MAX_THREADS = 256;
/** A step of a small network has too little work for more: their barriers cost more than they gain. */
const MOST_DEFAULT_THREADS = 8;

export interface NativeBackendOptions {
  /** Default: $MNIST_TRAIN_ISA, else the best that the processor has. */
  isa?: string;
}

/** The backend over the C++ addon. Throws ERR_NATIVE_LOAD when it cannot be loaded, with the reason of every attempt. */
export function createNativeBackend({
  isa = process.env[ISA_VARIABLE] || undefined,
}: NativeBackendOptions = {}): Backend {
  const addon = requireAddon();
  return new NativeBackend(addon, chooseIsa(addon, isa));
}

/** The instruction sets that can be asked for, best first; the one of $MNIST_TRAIN_ISA where that is set. */
export function nativeInstructionSets(): readonly Isa[] {
  const addon = requireAddon();
  const wanted = process.env[ISA_VARIABLE];
  return wanted ? [chooseIsa(addon, wanted)] : (addon.instructionSets as readonly Isa[]);
}

function chooseIsa(addon: NativeAddon, wanted: string | undefined): Isa {
  const choices = addon.instructionSets;
  if (wanted !== undefined && !choices.includes(wanted)) {
    throw expected(`one of ${choices.join(', ')} (what this processor and this build have)`, ISA_VARIABLE, wanted);
  }
  return (wanted ?? choices[0]) as Isa;
}

class NativeBackend implements Backend {
  readonly name = 'native';
  readonly isa: Isa;
  readonly defaultThreads = defaultThreads();
  readonly #addon: NativeAddon;

  constructor(addon: NativeAddon, isa: Isa) {
    this.#addon = addon;
    this.isa = isa;
  }

  get operations(): readonly string[] {
    return this.#addon.operations;
  }

  open(program: Program, { threads }: SessionOptions = {}): Session {
    if (threads !== undefined) checkInteger(threads, 'threads', 1, MAX_THREADS);
    return createNativeSession(this.#addon, program, this.isa, { threads, available: this.defaultThreads });
  }

  bind(samples: Samples): BoundData {
    return new NativeBoundData(this.#addon, checkSamples(samples));
  }
}

function defaultThreads(): number {
  return Math.max(1, Math.min(availableParallelism(), cgroupCores(), MOST_DEFAULT_THREADS));
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
