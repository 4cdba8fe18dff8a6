import { setImmediate as nextTurn } from 'node:timers/promises';
import { expected, MnistTrainError } from '../../errors.js';
import { PIECE_BYTES, type Pieces, spans } from '../../pieces.js';
import type { BufferName } from '../../program/ops.js';
import { METRICS_PER_STEP, type Program, type Section, type SectionName } from '../../program/program.js';
import type { BoundData, RunOptions, RunProgress, RunResult, Session, StepPlan } from '../backend.js';
import { checkInference, checkOutputs, checkParameter, checkRunArguments } from '../checks.js';
import { JsBoundData } from './bound-data.js';
import { copyFloats, readPixels } from './kernels/gather.js';
import type { FloatMatrix, Kernel, Step, StepData } from './kernels/kernel.js';
import { prepareKernel } from './kernels/table.js';
import { Memory } from './memory.js';

/** Work between two turns of the event loop, but for one op that takes longer. */
const CHUNK_MILLISECONDS = 4;
/** Between two reports of progress. */
const PROGRESS_MILLISECONDS = 50;

const NO_DATA: StepData = { pixels: null, floats: null, classes: null, values: null };

/** A section ready to run: its kernels bound to their memory, and the description of the step that they share. */
interface PreparedSection {
  kernels: readonly Kernel[];
  step: Step;
}

/** A run whose arguments have been checked and copied: nothing in it can fail, or change under way. */
interface CheckedRun {
  data: StepData;
  order: Uint32Array;
  scalars: Float32Array;
  firstIndex: number;
  batchSize: number;
  steps: number;
  /** Whether it is the train section, which changes weights and ends with a loss that is not finite. */
  trains: boolean;
  /** Whether a training step that the signal ends in the middle is undone. */
  undo: boolean;
}

interface PreparedInference {
  prepared: PreparedSection;
  input: FloatMatrix;
  output: FloatMatrix;
}

/**
 * A program on the calling thread. Turns of the event loop come between steps and, where a step is long, between its ops:
 * a signal then ends it, and what it changed is undone. Parameters are published whenever progress is reported, so that
 * inference beside a run answers with the weights of the last report.
 */
export class JsSession implements Session {
  readonly threads = 1;
  readonly #program: Program;
  #memory: Memory | null;
  #sections: Partial<Record<SectionName, PreparedSection>> = {};
  #inference: PreparedInference | null = null;
  #running = false;
  /** When inference gives way to the event loop next, over calls that follow one another. */
  #inferUntil = 0;
  /** How long the last step took: long ones are ready to be undone. */
  #stepMilliseconds = Number.POSITIVE_INFINITY;

  constructor(program: Program) {
    this.#program = program;
    this.#memory = new Memory(program);
    for (const name of ['train', 'evaluate', 'infer'] as const) {
      const section = program.sections[name];
      if (section) this.#sections[name] = prepareSection(name, section, this.#memory);
    }
    const { input, output } = program.sections.infer ?? {};
    if (input && output) {
      const { float } = this.#memory.context('infer');
      this.#inference = { prepared: this.#sections.infer!, input: float(input), output: float(output) };
    }
  }

  *read(buffer: BufferName): Pieces<Float32Array> {
    const { length } = this.#outside(buffer, 'read a buffer');
    const values = new Float32Array(length);
    for (const [begin, end] of spans(length, PIECE_BYTES / 4)) {
      values.set(this.#outside(buffer, 'read a buffer').subarray(begin, end), begin);
      yield;
    }
    return values;
  }

  readPublished(parameters: readonly BufferName[], values: Float32Array): void {
    const memory = this.#open();
    for (const name of parameters) checkParameter(memory.layout, name);
    let end = 0;
    for (const name of parameters) {
      const published = memory.published(name);
      values.set(published, end);
      end += published.length;
    }
  }

  parametersAreFinite(): boolean {
    this.#refuseWhileRunning('read the parameters');
    return this.#open().parametersAreFinite();
  }

  *write(buffer: BufferName, values: Float32Array): Pieces<void> {
    const view = this.#outside(buffer, 'write a buffer');
    if (!(values instanceof Float32Array)) throw expected('a Float32Array', `buffer ${buffer}`, values);
    if (values.length !== view.length) {
      throw expected(`${view.length} values`, `buffer ${buffer}`, values.length, '', 'ERR_SHAPE');
    }
    for (const [begin, end] of spans(values.length, PIECE_BYTES / 4)) {
      this.#outside(buffer, 'write a buffer').set(values.subarray(begin, end), begin);
      yield;
    }
  }

  *publish(): Pieces<void> {
    this.#refuseWhileRunning('publish the parameters');
    yield;
    this.#open().publish();
  }

  async run(
    section: SectionName & ('train' | 'evaluate'),
    data: BoundData | null,
    order: Uint32Array,
    plan: StepPlan,
    options: RunOptions = {},
  ): Promise<RunResult> {
    const { layout } = this.#open();
    this.#refuseWhileRunning('start a run');
    if (data !== null && !(data instanceof JsBoundData)) throw expected('data bound by the same backend', 'data', data);
    const copied = order instanceof Uint32Array ? order.slice() : order;
    const steps = checkRunArguments(this.#program, layout, section, data, copied, plan);
    this.#running = true;
    try {
      const { batchSize, firstIndex = 0 } = plan;
      const copies = { data: data?.data ?? NO_DATA, order: copied, scalars: plan.scalars.slice() };
      const run = { ...copies, firstIndex, batchSize, steps, trains: section === 'train', undo: options.undo ?? true };
      return await this.#runSteps(this.#sections[section]!, run, options);
    } finally {
      this.#running = false;
      // Whatever the caller disposes of next is garbage at once.
      if (this.#sections[section]) this.#sections[section].step.data = NO_DATA;
    }
  }

  async #runSteps(
    { kernels, step }: PreparedSection,
    { data, order, scalars, firstIndex, batchSize, steps, trains, undo }: CheckedRun,
    { signal, onProgress }: RunOptions,
  ): Promise<RunResult> {
    const scalarsPerStep = this.#program.scalars.length;
    const metrics = new Float64Array(steps * METRICS_PER_STEP);
    const progress: RunProgress = { steps: 0, samples: 0, lossSum: 0, correct: 0 };
    Object.assign(step, { data, order, scalars, firstIndex, metrics });
    let reported = performance.now();
    let diverged = false;
    let torn = false;
    // A run never starts in the caller's turn, so that "in flight" does not depend on how short it is.
    await nextTurn();
    const stopped = () => signal?.aborted === true || this.#memory === null;
    let deadline = performance.now() + CHUNK_MILLISECONDS;
    const turn = async () => {
      await nextTurn();
      deadline = performance.now() + CHUNK_MILLISECONDS;
      return !stopped();
    };
    while (progress.steps < steps && !diverged && !stopped()) {
      step.start = progress.samples;
      step.rows = Math.min(batchSize, order.length - progress.samples);
      step.scalarOffset = progress.steps * scalarsPerStep;
      step.metricOffset = progress.steps * METRICS_PER_STEP;
      torn = !(await this.#runStep(kernels, step, trains && undo, () =>
        performance.now() < deadline ? true : turn(),
      ));
      if (torn) break;
      progress.lossSum += metrics[step.metricOffset];
      progress.correct += metrics[step.metricOffset + 1];
      progress.samples += step.rows;
      progress.steps++;
      diverged = trains && !Number.isFinite(metrics[step.metricOffset]);
      if (diverged || progress.steps === steps || performance.now() < deadline) continue;
      if (performance.now() - reported >= PROGRESS_MILLISECONDS) {
        reported = performance.now();
        this.#memory?.publish();
        onProgress?.({ ...progress });
      }
      await turn();
    }
    if (!torn || undo) this.#memory?.publish();
    onProgress?.({ ...progress });
    return {
      ...progress,
      metrics: metrics.slice(0, progress.steps * METRICS_PER_STEP),
      aborted: diverged || progress.steps < steps,
      diverged,
    };
  }

  /**
   * One step; false when it was ended early, with parameters and slots as before it where `undo` says so. `goOn` is asked between its ops, and promises an answer when it takes a turn of the event loop.
   */
  async #runStep(
    kernels: readonly Kernel[],
    step: Step,
    undo: boolean,
    goOn: () => boolean | Promise<boolean>,
  ): Promise<boolean> {
    const memory = this.#open();
    const long = this.#stepMilliseconds > CHUNK_MILLISECONDS / 2;
    if (long && undo) memory.keep();
    let milliseconds = 0;
    for (let i = 0; i < kernels.length; i++) {
      const start = performance.now();
      kernels[i](step);
      milliseconds += performance.now() - start;
      if (!long || i + 1 === kernels.length) continue;
      const answer = goOn();
      if (answer === true || (await answer)) continue;
      if (undo) memory.restore();
      return false;
    }
    this.#stepMilliseconds = milliseconds;
    return true;
  }

  /** Samples of one call may see different weights when a run publishes between two chunks; a sample never does. */
  async infer(inputs: Uint8Array | Float32Array): Promise<Float32Array> {
    const samples = checkInference(this.#program, this.#open().layout, inputs);
    const { input, output } = this.#inference!;
    const copied = inputs.slice();
    const outputs = new Float32Array(samples * output.columns);
    for (let start = 0; start < samples; start += input.rows) {
      if (performance.now() >= this.#inferUntil) {
        await nextTurn();
        this.#inferUntil = performance.now() + CHUNK_MILLISECONDS;
      }
      this.#open();
      this.#inferChunk(copied, outputs, start, Math.min(input.rows, samples - start));
    }
    return outputs;
  }

  inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void {
    const { layout } = this.#open();
    const samples = checkInference(this.#program, layout, inputs);
    checkOutputs(this.#program, layout, outputs, samples);
    const { input } = this.#inference!;
    for (let start = 0; start < samples; start += input.rows) {
      this.#inferChunk(inputs, outputs, start, Math.min(input.rows, samples - start));
    }
  }

  /** Takes `rows` samples from sample `start` on through the infer section. Allocates nothing. */
  #inferChunk(inputs: Uint8Array | Float32Array, outputs: Float32Array, start: number, rows: number): void {
    const { prepared, input, output } = this.#inference!;
    const from = start * input.columns;
    const count = rows * input.columns;
    if (inputs instanceof Uint8Array) readPixels(inputs, from, count, input.values, 0);
    else copyFloats(inputs, from, count, input.values, 0);
    prepared.step.rows = rows;
    for (const kernel of prepared.kernels) kernel(prepared.step);
    copyFloats(output.values, 0, rows * output.columns, outputs, start * output.columns);
  }

  dispose(): void {
    this.#memory = null;
    this.#sections = {};
    this.#inference = null;
  }

  #outside(buffer: BufferName, action: string): Float32Array | Int32Array {
    this.#refuseWhileRunning(action);
    return this.#open().outside(buffer);
  }

  #open(): Memory {
    if (!this.#memory) throw new MnistTrainError('ERR_STATE', 'The session was disposed of. Open the program again.');
    return this.#memory;
  }

  #refuseWhileRunning(action: string): void {
    if (this.#running) {
      throw new MnistTrainError('ERR_STATE', `Cannot ${action} while a run is in flight. Await it, or abort it first.`);
    }
  }
}

function prepareSection(name: SectionName, section: Section, memory: Memory): PreparedSection {
  const context = memory.context(name);
  const step: Step = {
    rows: 0,
    start: 0,
    order: new Uint32Array(0),
    firstIndex: 0,
    data: NO_DATA,
    scalars: new Float32Array(0),
    scalarOffset: 0,
    metrics: new Float64Array(METRICS_PER_STEP),
    metricOffset: 0,
  };
  return { step, kernels: section.ops.map((op) => prepareKernel(op, context)) };
}
