import type { RunResult } from '../../backends/backend.js';
import { MnistTrainError } from '../../errors.js';
import { METRICS_PER_STEP } from '../../program/program.js';
import type { Engine } from '../engine.js';
import type { Stack } from '../stack.js';
import { firstNonFinite, placeOf } from './diagnosis.js';
import { Recovery } from './recovery.js';
import type { StepPlace } from './scalars.js';
import type { Portion } from './source.js';
import type { FitState, Training } from './state.js';

/** Sees that losses and weights stay finite; when they do not, saves what is good and says what happened. */
export class Divergence {
  readonly #engine: Engine;
  readonly #stack: Stack;
  readonly #state: FitState;
  readonly #recovery: Recovery;

  constructor(engine: Engine, stack: Stack, training: Training, state: FitState) {
    this.#engine = engine;
    this.#stack = stack;
    this.#state = state;
    this.#recovery = new Recovery(engine, training);
  }

  /** Whether it is time for a mark, though no portion begins. */
  get outdated(): boolean {
    return this.#recovery.outdated;
  }

  /**
   * To be called before the first of the steps that come: those are what it can go back over. `goOn` is called now and then;
   * what it throws ends it.
   */
  async mark(portion: Portion, place: StepPlace, goOn: () => void): Promise<void> {
    if (!this.#engine.disposed) await this.#recovery.mark(portion, place, goOn);
  }

  /**
   * Looks at a run whose steps have been counted, in the turn in which it ran. Rejects with ERR_NON_FINITE when the loss of one of them was not finite,
   * after going back to the weights with which it was.
   */
  async checkLosses({ metrics, steps }: RunResult, place: StepPlace, rates: Float64Array): Promise<void> {
    let good = 0;
    while (good < steps && Number.isFinite(metrics[good * METRICS_PER_STEP])) good++;
    if (good === steps || this.#engine.disposed) return;
    const step = this.#state.epoch.steps - steps + good + 1;
    const layer = firstNonFinite(this.#engine, this.#stack);
    const received = `${metrics[good * METRICS_PER_STEP]}`;
    return this.#fail({ place, step, fitStep: place.fitStep + good, received, layer, rate: rates[good] });
  }

  /** The same for weights, where somebody is to see them: what the last step did to them only the next one would show. */
  async checkWeights(place: StepPlace): Promise<void> {
    await this.#engine.inTurn(() => this.#checkWeights(place));
  }

  async #checkWeights(place: StepPlace): Promise<void> {
    const { steps, epoch, results } = this.#state;
    if (steps === 0 || this.#engine.disposed || this.#weightsAreFinite()) return;
    const ended = epoch.steps === 0 ? results.at(-1) : undefined;
    await this.#fail({
      place: { ...place, epoch: ended?.epoch ?? place.epoch },
      step: ended ? (place.stepsPerEpoch ?? steps) : epoch.steps,
      fitStep: steps,
      received: 'weights that are not finite after it',
      layer: null,
      rate: ended?.learningRate ?? epoch.learningRate,
    });
  }

  #weightsAreFinite(): boolean {
    return this.#engine.parametersAreFinite();
  }

  async #fail({ place, step, fitStep, received, layer, rate }: Failure): Promise<never> {
    const { steps: kept, ruined } = await this.#recovery.recover(fitStep);
    const where = `epoch ${place.epoch}, step ${step}${place.stepsPerEpoch ? ` of ${place.stepsPerEpoch}` : ''}`;
    const began =
      ruined.length > 0
        ? ` It began in ${placeOf(ruined[0], this.#stack)}: the update of the step before made its weights infinite or NaN.`
        : layer === null
          ? ''
          : ` It began in ${layer}: its outputs are the first that are not finite.`;
    const keeps =
      kept === 0
        ? 'The model keeps the weights that it had before this fit.'
        : `The model keeps the weights that it had after ${kept} ${kept === 1 ? 'step' : 'steps'} of this fit, with which the loss was finite.`;
    throw new MnistTrainError(
      'ERR_NON_FINITE',
      `Expected a finite loss in ${where}, received ${received}.${began} ` +
        `Lower the learning rate (it was ${Number(rate.toPrecision(4))}), clip gradients (globalClipNorm, --clip-norm), or scale the inputs. ${keeps}`,
    );
  }
}

interface Failure {
  place: StepPlace;
  /** The place in the epoch, from 1, and in the fit, from 0: the step that showed it. */
  step: number;
  fitStep: number;
  received: string;
  layer: string | null;
  rate: number;
}
