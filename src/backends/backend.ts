import type { Pieces } from '../pieces.js';
import type { BufferName } from '../program/ops.js';
import type { Program, SectionName } from '../program/program.js';

export type BackendName = 'native' | 'js';
export type Isa = 'avx2' | 'avx512' | 'neon';

/** Samples in memory, row-major, a sample a row. Data sets of the data layer have this form. */
export interface Samples {
  /** Uint8Array: pixels, read as value / 255. Float32Array: read as it is. */
  inputs: Uint8Array | Float32Array;
  /** Class indices, or Float32Array of targets for regression. */
  targets: Uint8Array | Int32Array | Float32Array;
  count: number;
}

/** A copy of samples in the backend's own memory: nobody can detach, resize or change it during a run. */
export interface BoundData {
  readonly count: number;
  /** True for class indices, false for float targets. */
  readonly hasClasses: boolean;
  dispose(): void;
}

/** How a run is cut into steps, and what the host supplies. */
export interface StepPlan {
  /** Samples per step; the last step takes what is left of the order. At most the section's capacity. */
  batchSize: number;
  /** One row of `program.scalars.length` values per step; empty when the program has no scalars. */
  scalars: Float32Array;
  /**
   * What is added (modulo 2^32) to a sample's index in the bound data wherever numbers are drawn by that index, in dropout
   * and augmentation: so the portions of a stream draw as the whole would. A whole number below 2^32; default 0.
   */
  firstIndex?: number;
}

export interface RunProgress {
  /** Whole steps done so far in this run, and the samples in them. */
  steps: number;
  samples: number;
  /** Over the samples so far: the summed loss and the number of correct answers. */
  lossSum: number;
  correct: number;
}

export interface RunOptions {
  /**
   * Stops the run: after the step in flight where steps are short, in the middle of a long one, which is undone. The promise
   * resolves with the whole steps that were done.
   */
  signal?: AbortSignal;
  /**
   * False where nobody asks for the weights when the signal came: a long step that it ended in the middle is then not undone,
   * and getting ready for that costs nothing. Default true.
   */
  undo?: boolean;
  /** Called about twenty times a second, and at the end. Weights read by `infer` are those of the last call. */
  onProgress?: (progress: RunProgress) => void;
}

export interface RunResult extends RunProgress {
  /** Per step: [summed loss, correct answers], `METRICS_PER_STEP` float64 values each. */
  metrics: Float64Array;
  /** True when the signal ended the run early, and when it diverged. */
  aborted: boolean;
  /**
   * True when the last step's summed loss is not finite. That ends a run of the train section at once: its buffers hold
   * what that step left there. Runs of the evaluate section go on to their end, and this is false.
   */
  diverged: boolean;
}

/** A program opened for running. Not re-entrant: one train or evaluate at a time; infer may run beside them. */
export interface Session {
  /** The threads that its runs use. */
  readonly threads: number;
  /** A copy of a parameter, a slot or a buffer of the train section. Float32Array for both element types. */
  read(buffer: BufferName): Pieces<Float32Array>;
  /**
   * Copies parameters as inference reads them into `values`, one behind the other: all of the weights published last, also
   * while a run is in flight. Throws ERR_ARGUMENT for what is no parameter.
   */
  readPublished(parameters: readonly BufferName[], values: Float32Array): void;
  /** Whether every parameter is a finite number. Not while a run is in flight. */
  parametersAreFinite(): boolean;
  /** Overwrites a parameter, a slot or a buffer of the train section, whole. Inference sees it after `publish`. */
  write(buffer: BufferName, values: Float32Array): Pieces<void>;
  /** Makes the parameters as they are now those that inference and evaluation read. Nothing is written meanwhile. */
  publish(): Pieces<void>;
  /** Runs a section over `order` (indices into data). Without data, `order` only says how many samples the steps have. */
  run(
    section: SectionName & ('train' | 'evaluate'),
    data: BoundData | null,
    order: Uint32Array,
    plan: StepPlan,
    options?: RunOptions,
  ): Promise<RunResult>;
  /** The infer section over any number of samples; the promise holds a new array. */
  infer(inputs: Uint8Array | Float32Array): Promise<Float32Array>;
  /** The same on the calling thread, at once, into `outputs`. Uses the weights published last. */
  inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void;
  /** Frees memory and threads now instead of at garbage collection; a run in flight is cancelled first. Idempotent. */
  dispose(): void;
}

export interface SessionOptions {
  /** Threads of the session's own team; default: as many as are available and of use. 1 in the TypeScript backend. */
  threads?: number;
}

export interface Backend {
  readonly name: BackendName;
  /** The instruction set in use; null in TypeScript. */
  readonly isa: Isa | null;
  /** The most threads that a session gets when it does not say; small programs get fewer. */
  readonly defaultThreads: number;
  /** The ops it has kernels for. */
  readonly operations: readonly string[];
  open(program: Program, options?: SessionOptions): Session;
  /** Copies samples. They may change meanwhile, and are what they were when they were copied; lengths must stay. */
  bind(samples: Samples): Pieces<BoundData>;
}
