/** What native/addon exports. Shapes and meanings are checked on this side; the addon checks memory safety again. */

/** Room for samples in native memory, and the samples as far as they were appended. */
export interface NativeData {
  /** Copies the next samples: whole rows, of the types that the room was made for. */
  append(inputs: Uint8Array | Float32Array, targets: Int32Array | Float32Array): void;
  dispose(): void;
}

/** A program opened natively. Buffers go by their index in the program. */
export interface NativeSession {
  /** Copies rows out of a buffer, from `firstRow` on, as many as `values` holds. */
  read(buffer: number, firstRow: number, values: Float32Array): void;
  /** The same of parameters as published last, one behind the other; also during a run. */
  readPublished(buffers: Uint32Array, values: Float32Array): void;
  parametersAreFinite(): boolean;
  /** Overwrites rows. Evaluation and inference do not see it before `publish`. */
  write(buffer: number, firstRow: number, values: Float32Array): void;
  /** Publishes so many bytes more of the parameters; true when that was the last of them. Begins anew after a write. */
  publish(bytes: number): boolean;
  /** Begins a run of section 0 (train) or 1 (evaluate) and returns its number of steps. */
  begin(
    section: number,
    data: NativeData | null,
    order: Uint32Array,
    batchSize: number,
    scalars: Float32Array,
    firstIndex: number,
    undo: boolean,
  ): number;
  /**
   * Runs steps for about so many milliseconds on the session's own threads; resolves with the steps done so far. None are
   * done after a training step whose summed loss is not finite, and possibly none when a prediction was posted while it
   * waited for threads of the process's budget.
   */
  advance(milliseconds: number): Promise<number>;
  /** The metrics of the steps done so far, METRICS_PER_STEP values each. Not while the run is being advanced. */
  metrics(): Float64Array;
  /** Ends the run. */
  finish(): void;
  /** Makes the run stop: after the step in flight, or in the middle of a long one, which is undone where `begin` said so. */
  cancel(): void;
  infer(inputs: Uint8Array | Float32Array): Promise<Float32Array>;
  inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void;
  dispose(): void;
}

export interface NativeAddon {
  /** The package's version when it was built. */
  readonly version: string;
  /** The instruction sets that the build has and the processor supports, best first. */
  readonly instructionSets: readonly string[];
  /** The ops it has kernels for; their positions are their codes. */
  readonly operations: readonly string[];
  readonly Session: new (program: Float64Array, instructionSet: string, threads: number) => NativeSession;
  /** `nonZeros` is how many of the values are not zero: append refuses more. Targets are one class index, or floats. */
  readonly Data: new (
    count: number,
    columns: number,
    areBytes: boolean,
    nonZeros: number,
    targetColumns: number,
    areClasses: boolean,
  ) => NativeData;
  countNonZeros(values: Uint8Array | Float32Array): number;
  /** GFLOP/s that no dense kernel can pass, measured on this and other threads for 1 to 200 milliseconds. Blocks. */
  measurePeak(instructionSet: string, threads: number, milliseconds: number): number;
  /** Threads that work in runs at once, of all environments of the process. */
  threadBudget(): number;
  /** 1 to 256. A default changes nothing that was set before. */
  setThreadBudget(threads: number, isDefault: boolean): void;
  /** The most that worked at once since the budget was last set; for tests. */
  mostThreadsAtWork(): number;
}
