import type { JsonValue } from '../../json.js';
import type { OptimizerState } from '../../optimizers/optimizer.js';
import type { Engine } from '../engine.js';
import type { Snapshot } from '../open-session.js';
import { type StepPlace, stepScalars } from './scalars.js';
import { type Portion, part } from './source.js';
import type { Training } from './state.js';

/** Where training stood before some steps. */
interface Mark {
  values: Snapshot;
  state: OptimizerState;
  scheduleState: JsonValue;
  /** Writes from outside that the engine had seen. */
  writes: number;
  portion: Portion;
  place: StepPlace;
}

/**
 * Goes back to the weights with which the loss was finite last. It keeps a copy of weights and slots from the beginning of
 * the portion that runs, and of the one before; steps are deterministic, so the rest is done again.
 */
export class Recovery {
  readonly #engine: Engine;
  readonly #training: Training;
  #current: Mark | null = null;
  #before: Mark | null = null;

  constructor(engine: Engine, training: Training) {
    this.#engine = engine;
    this.#training = training;
  }

  /** Whether somebody replaced weights since the last mark: steps before that cannot be repeated. */
  get outdated(): boolean {
    return this.#current !== null && this.#current.writes !== this.#engine.writes;
  }

  /** To be called before the first step of a portion, and when the mark is outdated. */
  async mark(portion: Portion, place: StepPlace, goOn: () => void): Promise<void> {
    const values = await this.#engine.snapshot(portion, goOn);
    this.#before = this.#current;
    this.#current = {
      values,
      state: this.#training.state,
      scheduleState: this.#training.scheduleState,
      writes: this.#engine.writes,
      portion,
      place,
    };
  }

  /**
   * Brings back the weights, and the optimizer's state, that went into the step before `badStep` (counted from 0 in the
   * fit); where that one is out of reach, the nearest before it. Says after how many steps of the fit they are, and which
   * parameters that last good step made not finite. Call it in a turn.
   */
  async recover(badStep: number): Promise<{ steps: number; ruined: string[] }> {
    const engine = this.#engine;
    const base = badStep === this.#current?.place.fitStep ? (this.#before ?? this.#current) : this.#current;
    if (!base || engine.disposed) return { steps: badStep, ruined: [] };
    await engine.restore(base.values);
    this.#training.state = base.state;
    this.#training.scheduleState = base.scheduleState;
    const { portion, place, writes } = base;
    const steps = badStep - place.fitStep;
    if (steps === 0 || writes !== engine.writes || !portion.isThere()) return { steps: place.fitStep, ruined: [] };
    await this.#repeat(base, 0, steps - 1);
    const good = await engine.snapshot(portion);
    const { state } = this.#training;
    await this.#repeat(base, steps - 1, 1);
    const ruined = nonFiniteIn(await engine.snapshot(portion));
    await engine.restore(good);
    this.#training.state = state;
    return { steps: badStep - 1, ruined };
  }

  async #repeat({ portion, place }: Mark, first: number, count: number): Promise<void> {
    if (count === 0) return;
    const piece = part(portion, first, count);
    const scalars = stepScalars(this.#training, { ...place, fitStep: place.fitStep + first }, count);
    await this.#engine.run('train', { ...piece, scalars: scalars.rows, options: {} });
    this.#training.state = scalars.stateAfter(count);
  }
}

function nonFiniteIn(values: Snapshot): string[] {
  return [...values].filter(([, numbers]) => numbers.some((value) => !Number.isFinite(value))).map(([name]) => name);
}
