import type { Backend, BoundData, RunOptions, RunResult, Samples } from '../backends/backend.js';
import { selectBackend } from '../backends/select.js';
import { MnistTrainError } from '../errors.js';
import { atOnce, inTurns, type Pieces } from '../pieces.js';
import type { BufferName } from '../program/ops.js';
import { type BufferSpec, type ElementType, type Program, sizeOf } from '../program/program.js';
import { linkedController, throwIfAborted } from './abort.js';
import type { EngineOptions } from './engine-options.js';
import type { Capacities } from './lower.js';
import {
  copyAll,
  namesOf,
  type OpenSession,
  offers,
  persists,
  readAll,
  type Snapshot,
  writeAll,
} from './open-session.js';

export interface Run {
  data: BoundData;
  order: Uint32Array;
  batchSize: number;
  /** Makes a row per step of what the program's scalars are; null for zeros (evaluation uses none). */
  scalars: ((names: readonly string[]) => Float32Array) | null;
  options: RunOptions;
  /** The first sample's place in its epoch, where it is not 0; see `StepPlan`. */
  firstIndex?: number;
}

/** Steps to come: what the session has to have room for. */
export interface TrainingSteps {
  /** The most samples in one of them. */
  batchSize: number;
  /** Where it is known already. */
  data?: BoundData;
}

const targetsOf = ({ hasClasses }: BoundData): ElementType => (hasClasses ? 'int32' : 'float32');

/** What a run gives that ended before its first step. */
export const nothingDone = (): RunResult => ({
  steps: 0,
  samples: 0,
  lossSum: 0,
  correct: 0,
  metrics: new Float64Array(0),
  aborted: true,
  diverged: false,
});

/**
 * Enough for one call to be cut into few steps, and few enough samples for their activations to stay in the cache.
 * Results do not depend on it.
 */
export const INFER_CAPACITY = 256;
const INFERENCE: Capacities = { train: 0, evaluate: 0, infer: INFER_CAPACITY };

/**
 * Owns a model's weights, their averages where an optimizer keeps some, and its slots. They live here until the first call
 * that computes opens a session; from then on the session's are the ones that count. When a call needs a section or a batch
 * size that the open session lacks, a new one takes over parameters and slots. Runs take turns; inference may go on beside
 * a run.
 */
export class Engine {
  readonly #lower: (capacities: Capacities) => Program;
  /** Parameters and slots while no session is open. */
  readonly #values: Map<BufferName, Float32Array>;
  readonly #parameters: ReadonlySet<BufferName>;
  /** Averages by their parameter: what counts as the parameter for everybody but training. */
  #averages: ReadonlyMap<BufferName, BufferName> = new Map();
  #choice: EngineOptions;
  #backend: Backend | null = null;
  #open: OpenSession | null = null;
  #lastTurn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #running = false;
  #writes = 0;
  /** Counts what makes a copy of weights that is still being made an old one. */
  #changes = 0;
  #opening: Promise<unknown> = Promise.resolve();
  #undisturbed = false;
  readonly #disposal = new AbortController();

  constructor(
    parameters: ReadonlyMap<BufferName, Float32Array>,
    choice: EngineOptions,
    lower: (capacities: Capacities) => Program,
  ) {
    this.#values = new Map(parameters);
    this.#parameters = new Set(parameters.keys());
    this.#choice = choice;
    this.#lower = lower;
  }

  /** True while somebody has the turn or waits for it. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  get disposed(): boolean {
    return this.#disposal.signal.aborted;
  }

  /** Aborts when the model is disposed of. */
  get disposal(): AbortSignal {
    return this.#disposal.signal;
  }

  /** Where it runs, as far as somebody has said so. */
  get choice(): EngineOptions {
    return this.#choice;
  }

  get backend(): Backend {
    const { backend = 'auto' } = this.#choice;
    const chosen = this.#backend ?? (typeof backend === 'object' ? backend : selectBackend(backend));
    this.#backend = chosen;
    return chosen;
  }

  get threads(): number {
    if (this.#open) return this.#open.session.threads;
    return this.backend.name === 'js' ? 1 : (this.#choice.threads ?? this.backend.defaultThreads);
  }

  /**
   * Starts anew with what the lowering gives now: slots are forgotten, parameters stay, averages become the parameters.
   * `averages` are the ones that the lowering has now, by their parameter. Not while busy.
   */
  reconfigure(choice: EngineOptions, averages: ReadonlyMap<BufferName, BufferName>): void {
    this.#changes++;
    this.#close();
    for (const [parameter, average] of this.#averages) {
      const values = this.#values.get(average);
      if (values) this.#values.set(parameter, values);
    }
    this.#averages = averages;
    for (const name of this.#values.keys()) if (!this.#parameters.has(name)) this.#values.delete(name);
    if (choice.backend !== undefined) this.#backend = null;
    this.#choice = {
      backend: choice.backend ?? this.#choice.backend,
      threads: choice.threads ?? this.#choice.threads,
    };
  }

  /** A copy of a parameter, or of its average. Throws ERR_STATE while a run is in flight. */
  read(parameter: BufferName): Float32Array {
    this.#checkIdle('read');
    const shown = this.#averages.get(parameter) ?? parameter;
    if (this.#open) return atOnce(this.#open.session.read(shown));
    return this.#shown(parameter).slice();
  }

  /** A parameter or its average while no session is open. An average that none has made yet is what its parameter is. */
  #shown(parameter: BufferName): Float32Array {
    return this.#values.get(this.#averages.get(parameter) ?? parameter) ?? this.#values.get(parameter)!;
  }

  /**
   * Copies parameters, or their averages, as predictions read them, into `values`, one behind the other: published last, also
   * during a run.
   */
  readPublished(parameters: readonly BufferName[], values: Float32Array): void {
    this.checkAlive();
    const shown = parameters.map((name) => this.#averages.get(name) ?? name);
    if (this.#open) {
      this.#open.session.readPublished(shown, values);
      return;
    }
    let end = 0;
    for (const name of parameters) {
      const parameter = this.#shown(name);
      values.set(parameter, end);
      end += parameter.length;
    }
  }

  /** Whether all weights and their averages are finite numbers. Throws ERR_STATE while a run is in flight. */
  parametersAreFinite(): boolean {
    this.#checkIdle('read');
    if (this.#open) return this.#open.session.parametersAreFinite();
    return [...this.#values].every(([, values]) => values.every(Number.isFinite));
  }

  /** Overwrites parameters, whole, and their averages. Throws ERR_STATE while a run is in flight. */
  write(parameters: ReadonlyMap<BufferName, Float32Array>): void {
    this.#checkIdle('written');
    this.#writes++;
    this.#changes++;
    const session = this.#open?.session;
    for (const [parameter, values] of parameters) {
      for (const name of [parameter, this.#averages.get(parameter)]) {
        if (name === undefined) continue;
        if (session) atOnce(session.write(name, values));
        else this.#values.set(name, values.slice());
      }
    }
    if (session) atOnce(session.publish());
  }

  /** How often a parameter was overwritten. */
  get writes(): number {
    return this.#writes;
  }

  /**
   * Copies of all that such steps change: parameters and slots. Call it in a turn. As everywhere here, `goOn` is called now
   * and then, and what it throws ends the work.
   */
  async snapshot({ batchSize, data }: TrainingSteps, goOn?: () => void): Promise<Snapshot> {
    const targets = data && { train: targetsOf(data) };
    const open = await this.#ensured({ ...INFERENCE, train: batchSize, targets }, goOn);
    return this.#copied(() => readAll(open.session, namesOf(open)), open, goOn);
  }

  /** Copies of the parameters, or of their averages, in their order. Call it in a turn. */
  async parameters(goOn?: () => void): Promise<Float32Array[]> {
    this.#checkIdle('read');
    const names = [...this.#parameters];
    const open = this.#open;
    const read = open
      ? () =>
          readAll(
            open.session,
            names.map((name) => this.#averages.get(name) ?? name),
          )
      : () => copyAll(new Map(names.map((name) => [name, this.#shown(name)])));
    return [...(await this.#copied(read, open, goOn)).values()];
  }

  /** What `read` copies of the weights in turns with the rest of the thread, all of it of one moment. */
  async #copied(read: () => Pieces<Snapshot>, open: OpenSession | null, goOn?: () => void): Promise<Snapshot> {
    for (;;) {
      const changes = this.#changes;
      const copying = () => inTurns(read(), this.#aliveAnd(goOn));
      const copy = await (open ? this.#using(open, copying) : copying());
      if (changes === this.#changes) return copy;
    }
  }

  /** The weights in a snapshot, and their averages, without slots. */
  parametersOf(snapshot: Snapshot): Float32Array[] {
    const shown = new Set([...this.#parameters, ...this.#averages.values()]);
    return [...snapshot].filter(([name]) => shown.has(name)).map(([, values]) => values);
  }

  /** Brings a snapshot of the same program back. Call it in a turn. */
  async restore(snapshot: Snapshot): Promise<void> {
    this.#checkIdle('written');
    this.#changes++;
    const open = this.#open;
    if (!open) {
      for (const [name, values] of snapshot) this.#values.set(name, values);
      return;
    }
    await this.undisturbed(() => this.#using(open, () => inTurns(writeAll(open.session, snapshot))));
  }

  /** The program that trains, for looking at what its last step left; null when none is open. */
  get trained(): { program: Program; read: (buffer: BufferName) => Float32Array } | null {
    const open = this.#open;
    if (!open?.program.sections.train) return null;
    return { program: open.program, read: (name) => atOnce(open.session.read(name)) };
  }

  /** Copies samples into the backend's memory. */
  *bind(samples: Samples): Pieces<BoundData> {
    this.checkAlive();
    return yield* this.backend.bind(samples);
  }

  /**
   * Runs a section, lowered for the kind of targets that the data has. Call it in a turn: a session takes one run at a time. `dispose` aborts it, also when it came while the
   * run waited for its turn.
   */
  async run(
    section: 'train' | 'evaluate',
    { data, order, batchSize, scalars, options, firstIndex }: Run,
  ): Promise<RunResult> {
    const targets = { [section]: targetsOf(data) };
    const open = await this.#ensuredUnless(options.signal, { ...INFERENCE, [section]: batchSize, targets });
    if (!open) return nothingDone();
    const names = open.program.scalars;
    const steps = Math.ceil(order.length / batchSize);
    const plan = { batchSize, scalars: scalars?.(names) ?? new Float32Array(steps * names.length), firstIndex };
    const { controller, unlink } = linkedController(options.signal, this.#disposal.signal);
    const runOptions = { ...options, signal: controller.signal };
    this.#running = true;
    try {
      return await this.#using(open, () => open.session.run(section, data, order, plan, runOptions));
    } finally {
      this.#running = false;
      unlink();
    }
  }

  async infer(inputs: Uint8Array | Float32Array): Promise<Float32Array> {
    if (this.#open) return this.#inferOn(this.#open, inputs);
    // The caller may change its memory while a session is opened.
    const own = inputs.slice();
    return this.#inferOn(await this.#ensured(INFERENCE), own);
  }

  #inferOn(open: OpenSession, inputs: Uint8Array | Float32Array): Promise<Float32Array> {
    return this.#using(open, () => open.session.infer(inputs));
  }

  inferSync(inputs: Uint8Array | Float32Array, outputs: Float32Array): void {
    // Every open session can infer; a disposed engine has none.
    const { session } = this.#open ?? this.#ensure(INFERENCE);
    session.inferSync(inputs, outputs);
  }

  /** Calls `work` when every run before it has ended; those after it wait. */
  async inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const before = this.#lastTurn;
    let endTurn = () => {};
    this.#lastTurn = new Promise((resolve) => {
      endTurn = resolve;
    });
    this.#waiting++;
    await before;
    try {
      return await work();
    } finally {
      this.#waiting--;
      endTurn();
    }
  }

  /** Calls `work` while nobody may write weights. Belongs in a turn, so that no training does. */
  async undisturbed<T>(work: () => Promise<T>): Promise<T> {
    this.#undisturbed = true;
    try {
      return await work();
    } finally {
      this.#undisturbed = false;
    }
  }

  /** Ends a run in flight after its step, and frees the session as soon as nothing runs in it. Idempotent. */
  dispose(): void {
    if (this.disposed) return;
    this.#disposal.abort();
    if (this.#open) this.#retire(this.#open);
    this.#open = null;
  }

  /** Throws ERR_STATE once disposed of. */
  checkAlive(): void {
    if (this.disposed) throw new MnistTrainError('ERR_STATE', 'The model was disposed of. Make or load a new one.');
  }

  #aliveAnd(goOn: (() => void) | undefined): () => void {
    return () => {
      this.checkAlive();
      goOn?.();
    };
  }

  #checkIdle(verb: 'read' | 'written'): void {
    this.checkAlive();
    if (this.#running || (this.#undisturbed && verb === 'written')) {
      throw new MnistTrainError(
        'ERR_STATE',
        `Weights cannot be ${verb} in the middle of a run. Use onEpochEnd, or wait for fit or evaluate to end.`,
      );
    }
  }

  /**
   * The open session, or a new one where it does not offer what is needed, at once. Only predictions do that, which find a
   * session that can infer in any that is open.
   */
  #ensure(needed: Capacities): OpenSession {
    this.checkAlive();
    if (this.#open && offers(this.#open.capacities, needed)) return this.#open;
    const { open, fill } = this.#prepare(needed);
    atOnce(fill);
    this.#swap(open);
    return open;
  }

  /**
   * The same in turns with everything else on this thread, since there may be much to copy. Use the session in the turn of
   * the event loop in which the promise resolves: another may take its place in the next.
   */
  async #ensured(needed: Capacities, goOn?: () => void): Promise<OpenSession> {
    for (;;) {
      this.checkAlive();
      if (this.#open && offers(this.#open.capacities, needed)) return this.#open;
      // One at a time: each takes over what the one before it offers.
      const opening = this.#opening.then(() => this.#openInTurns(needed, goOn));
      this.#opening = opening.catch(() => {});
      await opening;
    }
  }

  /** The same, or null when the signal or a disposal comes first. */
  async #ensuredUnless(signal: AbortSignal | undefined, needed: Capacities): Promise<OpenSession | null> {
    try {
      return this.disposed ? null : await this.#ensured(needed, () => throwIfAborted('The run', signal));
    } catch (error) {
      if (signal?.aborted || this.disposed) return null;
      throw error;
    }
  }

  async #openInTurns(needed: Capacities, goOn: (() => void) | undefined): Promise<void> {
    while (!this.disposed && !(this.#open && offers(this.#open.capacities, needed))) {
      const changes = this.#changes;
      const before = this.#open;
      const { open, fill } = this.#prepare(needed);
      try {
        const filling = () => inTurns(fill, this.#aliveAnd(goOn));
        await (before ? this.#using(before, filling) : filling());
      } catch (error) {
        open.session.dispose();
        throw error;
      }
      // Somebody opened one meanwhile to predict at once, or replaced weights: then what was copied is not what counts.
      if (changes === this.#changes && before === this.#open) this.#swap(open);
      else open.session.dispose();
    }
  }

  /** A session that offers what is needed and what the open one does, and the work of taking over what that one holds. */
  #prepare(needed: Capacities): { open: OpenSession; fill: Pieces<void> } {
    const had: Capacities = this.#open?.capacities ?? { train: 0, evaluate: 0, infer: 0 };
    const capacities = {
      train: Math.max(needed.train, had.train),
      evaluate: Math.max(needed.evaluate, had.evaluate),
      infer: needed.infer,
      targets: { ...had.targets, ...needed.targets },
    };
    const program = this.#lower(capacities);
    const session = this.backend.open(program, { threads: this.#choice.threads });
    const open = { session, program, capacities, users: 0, retired: false };
    return { open, fill: this.#fill(open, this.#open) };
  }

  *#fill({ session, program }: OpenSession, before: OpenSession | null): Pieces<void> {
    const held = new Set(before?.program.buffers.filter(persists).map(({ name }) => name));
    for (const spec of program.buffers.filter(persists)) {
      const values = held.has(spec.name)
        ? yield* before!.session.read(spec.name)
        : (this.#values.get(spec.name) ?? this.#initialValues(spec, before));
      if (values) yield* session.write(spec.name, values);
    }
    yield* session.publish();
  }

  #swap(open: OpenSession): void {
    const before = this.#open;
    this.#open = open;
    if (before) this.#retire(before);
  }

  /** What a buffer starts from that has not been written yet; undefined for zeros. */
  #initialValues({ initial, shape }: BufferSpec, before: OpenSession | null): Float32Array | undefined {
    if (initial === undefined) return undefined;
    if (typeof initial === 'string') return before ? atOnce(before.session.read(initial)) : this.#values.get(initial);
    return typeof initial === 'number' ? new Float32Array(sizeOf(shape)).fill(initial) : Float32Array.from(initial);
  }

  /** Takes parameters and slots back from the open session. */
  #close(): void {
    const open = this.#open;
    if (!open) return;
    for (const [name, values] of atOnce(readAll(open.session, namesOf(open)))) this.#values.set(name, values);
    this.#open = null;
    this.#retire(open);
  }

  #retire(open: OpenSession): void {
    open.retired = true;
    if (open.users === 0) open.session.dispose();
  }

  async #using<T>(open: OpenSession, work: () => Promise<T>): Promise<T> {
    open.users++;
    try {
      return await work();
    } finally {
      open.users--;
      if (open.retired && open.users === 0) open.session.dispose();
    }
  }
}
