import { expected, MnistTrainError } from '../../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../../pieces.js';
import type { BufferName } from '../../program/ops.js';
import { type MemoryPlan, type PlannedBuffer, planMemory } from '../../program/plan.js';
import { METRICS_PER_STEP, type Program, type SectionName } from '../../program/program.js';
import type { BoundData, Isa, RunOptions, RunProgress, RunResult, Session, StepPlan } from '../backend.js';
import { checkInference, checkOutputs, checkParameter, checkRunArguments } from '../checks.js';
import type { NativeAddon, NativeSession } from './addon.js';
import { NativeBoundData } from './bound-data.js';
import { encodeProgram, SECTION_NAMES } from './encode.js';
import { usefulThreads } from './threads.js';

/** Work per crossing into native code: a crossing costs nothing then, and progress and cancellation stay prompt. */
const CHUNK_MILLISECONDS = 50;

/** Plans and encodes a program and opens it in the addon. */
export function createNativeSession(
  addon: NativeAddon,
  program: Program,
  isa: Isa,
  { threads, available }: { threads?: number; available: number },
): Session {
  const layout = planMemory(program);
  const words = encodeProgram(program, layout, addon.operations);
  const members = threads ?? usefulThreads(program, layout, available);
  return new OpenNativeSession(new addon.Session(words, isa, members), program, layout, members);
}

const rowsPerPiece = (columns: number): number => Math.max(1, Math.floor(PIECE_BYTES / 4 / columns));

/** A run that was begun. */
interface Work {
  steps: number;
  samples: number;
  batchSize: number;
  /** Whether a loss that is not finite ends it: the addon then does no further step. */
  endsWhenDiverged: boolean;
}

class OpenNativeSession implements Session {
  readonly threads: number;
  #native: NativeSession | null;
  readonly #program: Program;
  readonly #layout: MemoryPlan;
  #running = false;

  constructor(native: NativeSession, program: Program, layout: MemoryPlan, threads: number) {
    this.threads = threads;
    this.#native = native;
    this.#program = program;
    this.#layout = layout;
  }

  *read(buffer: BufferName): Pieces<Float32Array> {
    const { index, rows, columns } = this.#persistent(buffer);
    const values = new Float32Array(rows * columns);
    for (const [begin, end] of spans(rows, rowsPerPiece(columns))) {
      this.#refuseWhileRunning('read a buffer');
      this.#open().read(index, begin, values.subarray(begin * columns, end * columns));
      yield;
    }
    return values;
  }

  readPublished(parameters: readonly BufferName[], values: Float32Array): void {
    const native = this.#open();
    const buffers = parameters.map((name) => checkParameter(this.#layout, name));
    // One crossing, so that all are of the same moment.
    native.readPublished(
      Uint32Array.from(buffers, ({ index }) => index),
      values,
    );
  }

  parametersAreFinite(): boolean {
    this.#refuseWhileRunning('read the parameters');
    return this.#open().parametersAreFinite();
  }

  *write(buffer: BufferName, values: Float32Array): Pieces<void> {
    const { index, rows, columns } = this.#persistent(buffer);
    if (!(values instanceof Float32Array)) throw expected('a Float32Array', `buffer ${buffer}`, values);
    if (values.length !== rows * columns) {
      throw expected(`${rows * columns} values`, `buffer ${buffer}`, values.length, '', 'ERR_SHAPE');
    }
    for (const [begin, end] of spans(rows, rowsPerPiece(columns))) {
      this.#refuseWhileRunning('write a buffer');
      this.#open().write(index, begin, values.subarray(begin * columns, end * columns));
      yield;
    }
  }

  *publish(): Pieces<void> {
    do {
      this.#refuseWhileRunning('publish the parameters');
      yield;
    } while (!this.#open().publish(PIECE_BYTES));
  }

  async run(
    section: SectionName & ('train' | 'evaluate'),
    data: BoundData | null,
    order: Uint32Array,
    plan: StepPlan,
    options: RunOptions = {},
  ): Promise<RunResult> {
    const native = this.#open();
    this.#refuseWhileRunning('start a run');
    if (data !== null && !(data instanceof NativeBoundData)) {
      throw expected('data bound by the same backend', 'data', data);
    }
    const steps = checkRunArguments(this.#program, this.#layout, section, data, order, plan);
    this.#running = true;
    try {
      const nothing = { steps: 0, samples: 0, lossSum: 0, correct: 0 };
      if (steps === 0) return { ...nothing, metrics: new Float64Array(0), aborted: false, diverged: false };
      const code = SECTION_NAMES.indexOf(section);
      native.begin(
        code,
        data?.native ?? null,
        order,
        plan.batchSize,
        plan.scalars,
        plan.firstIndex ?? 0,
        options.undo ?? true,
      );
      const work = { steps, samples: order.length, batchSize: plan.batchSize, endsWhenDiverged: section === 'train' };
      return await this.#advance(native, work, options);
    } finally {
      this.#running = false;
    }
  }

  async #advance(
    native: NativeSession,
    { steps, samples, batchSize, endsWhenDiverged }: Work,
    { signal, onProgress }: RunOptions,
  ): Promise<RunResult> {
    const cancel = () => this.#native?.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    let metrics: Float64Array = new Float64Array(0);
    let diverged = false;
    let ended = false;
    try {
      while (!ended && !signal?.aborted && this.#native) {
        await native.advance(CHUNK_MILLISECONDS);
        const before = metrics.length;
        metrics = native.metrics();
        diverged = endsWhenDiverged && !Number.isFinite(metrics.at(-METRICS_PER_STEP) ?? 0);
        ended = diverged || metrics.length === steps * METRICS_PER_STEP;
        // None was done where a prediction came while it waited for threads.
        if (!ended && metrics.length > before) onProgress?.(progressOf(metrics, samples, batchSize));
      }
    } catch (error) {
      // Disposing of the session rejects what is in flight; the run then ends as if it had been aborted.
      if (this.#native) throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.#native?.finish();
    }
    const progress = progressOf(metrics, samples, batchSize);
    onProgress?.(progress);
    return { ...progress, metrics, aborted: diverged || progress.steps < steps, diverged };
  }

  async infer(inputs: Uint8Array | Float32Array): Promise<Float32Array> {
    const native = this.#open();
    const samples = checkInference(this.#program, this.#layout, inputs);
    if (samples === 0) return new Float32Array(0);
    try {
      return await native.infer(inputs);
    } catch (error) {
      this.#open(); // disposed of in the meantime: that is what to say
      throw error;
    }
  }

  inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void {
    const native = this.#open();
    const samples = checkInference(this.#program, this.#layout, inputs);
    checkOutputs(this.#program, this.#layout, outputs, samples);
    if (samples > 0) native.inferSync(inputs, outputs);
  }

  dispose(): void {
    this.#native?.dispose();
    this.#native = null;
  }

  #open(): NativeSession {
    if (!this.#native) throw new MnistTrainError('ERR_STATE', 'The session was disposed of. Open the program again.');
    return this.#native;
  }

  #persistent(buffer: BufferName): PlannedBuffer {
    const planned = this.#layout.buffers.get(buffer);
    if (!planned || planned.region === 'evaluate' || planned.region === 'infer' || planned.spec.sparse) {
      throw expected('a parameter, a slot or a buffer of the train section', 'buffer', buffer);
    }
    return planned;
  }

  #refuseWhileRunning(action: string): void {
    if (this.#running) {
      throw new MnistTrainError('ERR_STATE', `Cannot ${action} while a run is in flight. Await it, or abort it first.`);
    }
  }
}

/** Sums the steps' metrics in order, so that the totals do not depend on how a run was cut into chunks. */
function progressOf(metrics: Float64Array, samples: number, batchSize: number): RunProgress {
  const steps = metrics.length / METRICS_PER_STEP;
  const progress = { steps, samples: Math.min(steps * batchSize, samples), lossSum: 0, correct: 0 };
  for (let i = 0; i < metrics.length; i += METRICS_PER_STEP) {
    progress.lossSum += metrics[i];
    progress.correct += metrics[i + 1];
  }
  return progress;
}
