import type { Callback, CallbackState } from '../../callbacks/callback.js';
import { MnistTrainError } from '../../errors.js';
import type { JsonValue } from '../../json.js';
import { inTurns } from '../../pieces.js';
import type { Engine, TrainingSteps } from '../engine.js';
import { findNonFinite } from '../numbers.js';
import type { Snapshot } from '../open-session.js';
import {
  type FoundCheckpoint,
  holdsProgress,
  newestCheckpoint,
  openFolder,
  setAsideNewer,
  writeCheckpoint,
} from './checkpoint-folder.js';
import type { CheckpointPlan } from './checkpoint-options.js';
import { checkSavedState, FORMAT_VERSION, type SavedState } from './saved-state.js';
import { checkSameSetup } from './setup.js';
import type { FitState, Training } from './state.js';

/** All that goes into a checkpoint and comes out of it. */
export interface Resumable {
  engine: Engine;
  training: Training;
  state: FitState;
  callbacks: readonly Callback[];
  /** What the session must have room for, as far as that is known. */
  steps: TrainingSteps;
  setup: JsonValue;
}

/** Writes checkpoints while training goes on; reads the newest when it begins. */
export class Checkpointer {
  readonly #plan: CheckpointPlan;
  readonly #run: Resumable;
  #last = performance.now();
  #lastStep: number;
  #writing: Promise<void> = Promise.resolve();
  #failure: { error: unknown } | null = null;

  constructor(plan: CheckpointPlan, run: Resumable) {
    this.#plan = plan;
    this.#run = run;
    this.#lastStep = run.state.steps;
  }

  /**
   * Makes the folder ready and, when asked to resume, brings back where the newest checkpoint stands. Rejects with
   * ERR_STATE for a folder with checkpoints that nobody asked to resume, and for those of another run; with ERR_CHECKSUM
   * and ERR_FILE. Resolves with whether there was one.
   */
  async begin(onDamaged: (text: string) => void): Promise<boolean> {
    const { directory, resume } = this.#plan;
    await openFolder(directory);
    const found = resume ? await newestCheckpoint(directory, onDamaged) : null;
    if (found) {
      await this.#run.engine.inTurn(() => this.#restore(found));
      await setAsideNewer(directory, found.path);
    }
    if (!resume && (await holdsProgress(directory))) {
      throw new MnistTrainError(
        'ERR_STATE',
        `Expected a folder without checkpoints, but ${directory} has some. Resume that training (resume: true), or choose another folder.`,
      );
    }
    this.#lastStep = this.#run.state.steps;
    return found !== null;
  }

  /** Whether the time for one has come. */
  get due(): boolean {
    const { everySeconds, everySteps } = this.#plan;
    const steps = this.#run.state.steps - this.#lastStep;
    return performance.now() - this.#last >= everySeconds * 1000 || (everySteps !== null && steps >= everySteps);
  }

  /** Whether time alone says so: what a run in flight can be asked. */
  get overdue(): boolean {
    return performance.now() - this.#last >= this.#plan.everySeconds * 1000;
  }

  /** Steps that may run before one is due. */
  get stepsLeft(): number {
    const { everySteps } = this.#plan;
    if (everySteps === null) return Number.POSITIVE_INFINITY;
    return Math.max(1, everySteps - (this.#run.state.steps - this.#lastStep));
  }

  /**
   * Takes down where training stands, and writes it while training goes on. Not while steps run. Rejects with the error of
   * the one before: training that nobody could resume shall not look as if it were saved.
   */
  async write(): Promise<void> {
    await this.settle();
    const { engine, training, state, steps, setup } = this.#run;
    const values = await engine.inTurn(() => engine.snapshot(steps));
    this.#last = performance.now();
    this.#lastStep = state.steps;
    // Diverged: the next step will show it, and the checkpoint before is of more use.
    for (const weights of engine.parametersOf(values)) {
      if ((await inTurns(findNonFinite(weights))) >= 0) return;
    }
    const states = this.#run.callbacks.map((callback) => callback.getState?.() ?? { values: null });
    const saved: SavedState = {
      formatVersion: FORMAT_VERSION,
      setup,
      fit: state,
      optimizer: training.state,
      schedule: training.scheduleState,
      callbacks: states.map((each) => ({ values: each.values, weights: each.weights?.length ?? 0 })),
    };
    const { directory, keep, metadata } = this.#plan;
    // A copy: training changes its state while the file is written.
    const file = {
      tensors: tensorsOf(values, states),
      state: structuredClone(saved) as unknown as JsonValue,
      metadata,
    };
    this.#writing = writeCheckpoint(directory, training.state.step, file, keep).catch((error) => {
      this.#failure = { error };
    });
  }

  /** Waits for the file in the making. */
  async settle(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
  }

  async #restore(found: FoundCheckpoint): Promise<void> {
    const { path, state } = found;
    const { engine, training, callbacks, steps, setup, state: fit } = this.#run;
    const saved = checkSavedState(state, path);
    checkSameSetup(setup, saved.setup, path);
    if (saved.callbacks.length !== callbacks.length) {
      throw new MnistTrainError(
        'ERR_STATE',
        `Expected ${saved.callbacks.length} callbacks, as in the checkpoint ${path}, received ${callbacks.length}.`,
      );
    }
    const values = new Map<string, Float32Array>();
    for (const [name, { length }] of await engine.snapshot(steps)) {
      values.set(name, tensorOf(found, name, length));
    }
    if (saved.optimizer.powers.length !== training.state.powers.length) {
      throw new MnistTrainError(
        'ERR_FORMAT',
        `Expected ${training.state.powers.length} powers of the optimizer in ${path}, received ${saved.optimizer.powers.length}: it was written by another version of mnist-train.`,
      );
    }
    const theirs = saved.callbacks.map(({ weights }, index) => weightsOf(found, index, weights));
    // What may be refused comes first: a resume that fails leaves the model as it was.
    callbacks.forEach((callback, index) => {
      const { values: own } = saved.callbacks[index];
      const weights = theirs[index];
      callback.setState?.({ values: own, ...(weights.length > 0 && { weights }) });
    });
    await engine.restore(values);
    training.state = saved.optimizer;
    training.scheduleState = saved.schedule;
    Object.assign(fit, saved.fit);
  }
}

const weightName = (callback: number, place: number): string => `callback.${callback}.weights.${place}`;

/** The values of a tensor; of so many, where that is known. Throws ERR_FORMAT. */
function tensorOf({ tensors, path }: FoundCheckpoint, name: string, length?: number): Float32Array {
  const data = tensors.get(name)?.data;
  if (data && data.length === (length ?? data.length)) return data;
  const what = length === undefined ? `tensor ${name}` : `tensor ${name} of ${length} values`;
  throw new MnistTrainError(
    'ERR_FORMAT',
    `Expected ${what} in ${path}, found ${data?.length ?? 'none'}: it was written by another version of mnist-train.`,
  );
}

/** The weights that a callback keeps. Not by their number alone, which a file may claim as it likes. */
function weightsOf(found: FoundCheckpoint, callback: number, count: number): Float32Array[] {
  const weights: Float32Array[] = [];
  while (weights.length < count) weights.push(tensorOf(found, weightName(callback, weights.length)));
  return weights;
}

function tensorsOf(values: Snapshot, states: readonly CallbackState[]) {
  const own = [...values].map(([name, data]) => ({ name, shape: [data.length], data }));
  const theirs = states.flatMap(({ weights = [] }, index) =>
    weights.map((data, place) => ({ name: weightName(index, place), shape: [data.length], data })),
  );
  return [...own, ...theirs];
}
