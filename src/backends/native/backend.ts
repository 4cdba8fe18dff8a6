import { checkInteger } from '../../errors.js';
import type { Pieces } from '../../pieces.js';
import type { Program } from '../../program/program.js';
import type { Backend, BoundData, Isa, Samples, Session, SessionOptions } from '../backend.js';
import type { NativeAddon } from './addon.js';
import { NativeBoundData } from './bound-data.js';
import { openThreadBudget } from './budget.js';
import { requireAddon } from './load.js';
import { chooseIsa, defaultThreads } from './machine.js';
import { createNativeSession } from './session.js';

const MAX_THREADS = 256;

export interface NativeBackendOptions {
  /** Default: $MNIST_TRAIN_ISA, else the best that the processor has. */
  isa?: string;
}

/** The backend over the C++ addon. Throws ERR_NATIVE_LOAD when it cannot be loaded, with the reason of every attempt. */
export function createNativeBackend({ isa }: NativeBackendOptions = {}): Backend {
  const addon = requireAddon();
  openThreadBudget(addon);
  return new NativeBackend(addon, chooseIsa(addon, isa));
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

  bind(samples: Samples): Pieces<BoundData> {
    return NativeBoundData.bind(this.#addon, samples);
  }
}
