import type { BoundData, RunProgress, RunResult } from '../../backends/backend.js';
import type { CallbackContext, CallbackModel } from '../../callbacks/callback.js';
import type { EpochResult } from '../../epoch-result.js';
import { expected, MnistTrainError } from '../../errors.js';
import { METRICS_PER_STEP } from '../../program/program.js';
import { isMetricSchedule } from '../../schedules/schedule.js';
import type { Engine } from '../engine.js';
import { evaluate, indices, meansOf } from '../evaluate.js';
import type { LabelledSamples } from '../samples.js';
import type { Stack } from '../stack.js';
import { CallbackList } from './callbacks.js';
import { firstNonFinite, placeOf } from './diagnosis.js';
import { notLearningHint } from './hint.js';
import { type History, makeHistory } from './history.js';
import { type FitOptions, type FitPlan, planFit } from './plan.js';
import { Recovery, weightsAreFinite } from './recovery.js';
import { type StepPlace, stepScalars } from './scalars.js';
import { MemorySource, type Portion, part, stepsOf, type TrainingSource } from './source.js';
import { epochNumber, type FitState, newFitState, noSteps, type Training } from './state.js';
import { type BatchStream, StreamSource } from './stream.js';
import { watch } from './watch.js';

export interface FitContext {
  engine: Engine;
  stack: Stack;
  training: Training;
  seed: number;
  /** Epochs begun since the model was made; the fit counts on. */
  epochs: { done: number };
  /** What callbacks may use, and whether one of them is being called. */
  model: CallbackModel;
  moments: { open: boolean };
}

/** Trains; see `Sequential.fit`. */
export async function trainModel(
  context: FitContext,
  data: LabelledSamples | BatchStream,
  options: FitOptions | undefined,
): Promise<History> {
  const { engine, training, stack, seed } = context;
  const plan = planFit(stack, training.loss, data, options);
  const { validation, memory } = plan;
  const source = memory ? new MemorySource(engine, { ...memory, seed }) : streamSource(context, plan);
  let bound: BoundData | null = null;
  try {
    const shared = source instanceof MemorySource && validation === memory?.samples ? source.data : null;
    if (validation && !shared) bound = engine.bind(validation);
    return await new Fit(context, plan, source, shared ?? bound).run();
  } finally {
    bound?.dispose();
    await source.dispose();
  }
}

function streamSource({ engine, stack, training, epochs }: FitContext, plan: FitPlan): StreamSource {
  const { signal, stepsPerEpoch } = plan;
  const { loss } = training;
  return new StreamSource(engine, { ...plan.stream!, stack, loss, signal, stepsPerEpoch, firstEpoch: epochs.done + 1 });
}

/** One call of `fit` on its way through epochs and steps. */
class Fit {
  readonly #context: FitContext;
  readonly #plan: FitPlan;
  readonly #source: TrainingSource;
  readonly #validation: BoundData | null;
  readonly #state: FitState;
  readonly #callbacks: CallbackList;
  readonly #recovery: Recovery;
  #hinted = false;
  /** The learning rate of the last step. */
  #rate = 0;

  constructor(context: FitContext, plan: FitPlan, source: TrainingSource, validation: BoundData | null) {
    this.#context = context;
    this.#plan = plan;
    this.#source = source;
    this.#validation = validation;
    this.#state = newFitState(context.epochs.done);
    this.#callbacks = new CallbackList(plan.callbacks, this.#callbackContext(), context.moments);
    this.#recovery = new Recovery(context.engine, context.training);
  }

  async run(): Promise<History> {
    this.#checkMonitor();
    let stopped: History['stopped'];
    try {
      await this.#callbacks.begin();
      stopped = await this.#epochs();
      await this.#checkWeights();
    } catch (error) {
      // What went wrong first is what the caller has to know.
      await this.#callbacks.end().catch(() => {});
      throw error;
    }
    await this.#callbacks.end();
    const { results, trainSeconds, stopReason } = this.#state;
    return makeHistory(results, trainSeconds, stopped, stopReason ?? undefined);
  }

  async #epochs(): Promise<History['stopped']> {
    const state = this.#state;
    while (state.results.length < this.#plan.epochs && state.stopReason === null) {
      if (this.#aborted) return 'aborted';
      await this.#callbacks.call('onEpochBegin', epochNumber(state));
      if (!(await this.#steps())) return state.stopReason === null ? 'aborted' : 'callback';
      if (!(await this.#endEpoch())) return 'aborted';
    }
    return state.stopReason === null ? 'completed' : 'callback';
  }

  get #aborted(): boolean {
    return this.#plan.signal?.aborted === true || this.#context.engine.disposed;
  }

  /** The steps of the running epoch; false when it was not brought to its end. */
  async #steps(): Promise<boolean> {
    const state = this.#state;
    const portions = this.#source.portions(epochNumber(state), state.epoch.steps);
    try {
      for (;;) {
        const { value, done } = await portions.next();
        if (done) return value;
        state.epoch.seconds += value.preparationSeconds;
        state.trainSeconds += value.preparationSeconds;
        if (!(await this.#runPortion(value))) return false;
      }
    } finally {
      await portions.return(false);
    }
  }

  async #runPortion(portion: Portion): Promise<boolean> {
    const total = stepsOf(portion);
    const { watchesBatches } = this.#callbacks;
    for (let done = 0; done < total; ) {
      if (this.#state.stopReason !== null) return false;
      const piece = part(portion, done, watchesBatches ? 1 : undefined);
      if (watchesBatches) await this.#callbacks.call('onTrainBatchBegin', this.#state.epoch.steps + 1);
      const run = await this.#runSteps(piece, done === 0 || watchesBatches);
      done += run.steps;
      if (watchesBatches && run.steps > 0) await this.#endBatch(run);
      if (run.aborted) return false;
    }
    return true;
  }

  /** Runs steps and keeps the books. Only steps that were done count for the optimizer. */
  async #runSteps(piece: Portion, mark: boolean): Promise<RunResult> {
    const { engine, training, epochs } = this.#context;
    const state = this.#state;
    const place = this.#place();
    const steps = stepsOf(piece);
    const scalars = stepScalars(training, place, steps);
    const watched = watch({
      signal: this.#plan.signal,
      report: this.#plan.onProgress && ((progress) => this.#report(progress)),
    });
    // The clock starts with the turn: waiting for somebody's evaluation is not training time.
    const { run, seconds } = await engine.inTurn(async () => {
      const start = performance.now();
      try {
        if (mark && !engine.disposed) this.#recovery.mark(piece, place);
        const running = engine.run('train', { ...piece, scalars: scalars.rows, options: watched });
        if (state.results.length + 1 < this.#plan.epochs) this.#source.prepare(place.epoch + 1);
        const run = await running;
        return { run, seconds: (performance.now() - start) / 1000 };
      } finally {
        watched.end();
      }
    });
    training.state = scalars.stateAfter(run.steps);
    if (run.steps > 0) epochs.done = place.epoch;
    this.#count(run, seconds, scalars.rates);
    watched.rethrow();
    await this.#checkLosses(run, place);
    return run;
  }

  #place(): StepPlace {
    const { stepsPerEpoch } = this.#source;
    const fitSteps = stepsPerEpoch && stepsPerEpoch * this.#plan.epochs;
    return { epoch: epochNumber(this.#state), fitStep: this.#state.steps, fitSteps, stepsPerEpoch };
  }

  /** Adds up step by step, so that an epoch in pieces gives the sums of one in a single run. */
  #count({ metrics, steps, samples }: RunResult, seconds: number, rates: Float64Array): void {
    const { epoch } = this.#state;
    for (let step = 0; step < steps; step++) {
      epoch.lossSum += metrics[step * METRICS_PER_STEP];
      epoch.correct += metrics[step * METRICS_PER_STEP + 1];
    }
    if (steps > 0) epoch.learningRate = this.#rate = rates[steps - 1];
    epoch.steps += steps;
    epoch.samples += samples;
    epoch.seconds += seconds;
    this.#state.steps += steps;
    this.#state.trainSeconds += seconds;
  }

  #report(progress: RunProgress): void {
    const { epoch, before, ...state } = this.#state;
    const sums = {
      steps: epoch.steps + progress.steps,
      samples: epoch.samples + progress.samples,
      lossSum: epoch.lossSum + progress.lossSum,
      correct: epoch.correct + progress.correct,
    };
    this.#plan.onProgress?.({
      epoch: before + state.results.length + 1,
      epochs: before + this.#plan.epochs,
      step: sums.steps,
      steps: this.#source.stepsPerEpoch,
      samples: sums.samples,
      count: this.#source.count,
      ...meansOf(sums, this.#context.training.loss),
    });
  }

  async #endBatch(run: RunResult): Promise<void> {
    const { epoch } = this.#state;
    await this.#callbacks.call('onTrainBatchEnd', epoch.steps, {
      epoch: epochNumber(this.#state),
      batch: epoch.steps,
      size: run.samples,
      ...meansOf(run, this.#context.training.loss),
      learningRate: epoch.learningRate,
    });
  }

  /** Validates, and makes the epoch one of the whole ones; false when the signal came before validation ended. */
  async #endEpoch(): Promise<boolean> {
    const { training, engine, stack } = this.#context;
    const state = this.#state;
    const { epoch } = state;
    const { learningRate, seconds } = epoch;
    const result: EpochResult = {
      epoch: epochNumber(state),
      ...meansOf(epoch, training.loss),
      learningRate,
      seconds,
    };
    const validated = await this.#validate(result);
    if (validated && isMetricSchedule(training.optimizer.learningRate)) {
      training.scheduleState = training.optimizer.learningRate.afterEpoch(training.scheduleState, result);
    }
    state.results.push(result);
    state.epoch = noSteps();
    await this.#callbacks.during(() => this.#plan.onEpochEnd?.(result));
    await this.#callbacks.call('onEpochEnd', result.epoch, result);
    if (!this.#hinted && !engine.disposed) {
      const hint = notLearningHint(result, state.steps, training, stack, engine);
      if (hint !== null) this.#plan.onHint(hint);
      this.#hinted = hint !== null;
    }
    return validated;
  }

  async #validate(result: EpochResult): Promise<boolean> {
    if (!this.#validation) return true;
    const { engine, training } = this.#context;
    const { validation, validationStart, signal } = this.#plan;
    await this.#callbacks.call('onTestBegin');
    const order = indices(validationStart, validation!.count);
    const means = await evaluate(engine, training.loss, { data: this.#validation, order, signal });
    if (!means) return false;
    const named: Partial<EpochResult> = { validationLoss: means.loss };
    if (means.accuracy !== undefined) named.validationAccuracy = means.accuracy;
    Object.assign(result, named);
    await this.#callbacks.call('onTestEnd', named);
    return true;
  }

  /** Throws when a step's loss was not finite, after going back to the weights with which it was. */
  async #checkLosses({ metrics, steps }: RunResult, place: StepPlace): Promise<void> {
    const { engine, stack } = this.#context;
    let good = 0;
    while (good < steps && Number.isFinite(metrics[good * METRICS_PER_STEP])) good++;
    if (good === steps || engine.disposed) return;
    const where = firstNonFinite(engine, stack);
    const step = this.#state.epoch.steps - steps + good + 1;
    await this.#diverged(place, step, place.fitStep + good, `${metrics[good * METRICS_PER_STEP]}`, where);
  }

  /** Throws when the very last step left weights that are not finite: no later step would show it. */
  async #checkWeights(): Promise<void> {
    const { engine, stack } = this.#context;
    const { steps, epoch, results } = this.#state;
    if (steps === 0 || engine.disposed || weightsAreFinite(engine, stack)) return;
    const place = this.#place();
    const last = epoch.steps > 0 ? epoch.steps : (place.stepsPerEpoch ?? steps);
    const lastEpoch = epoch.steps > 0 ? place.epoch : (results.at(-1)?.epoch ?? place.epoch);
    await this.#diverged({ ...place, epoch: lastEpoch }, last, steps, 'weights that are not finite after it', null);
  }

  /** Goes back to the weights before the step before `fitStep`, counted from 0, and says what happened at `step`. */
  async #diverged(
    place: StepPlace,
    step: number,
    fitStep: number,
    found: string,
    where: string | null,
  ): Promise<never> {
    const { engine, stack } = this.#context;
    const { steps: kept, ruined } = await engine.inTurn(() => this.#recovery.recover(fitStep));
    throw nonFiniteError({
      step: `epoch ${place.epoch}, step ${step}${place.stepsPerEpoch ? ` of ${place.stepsPerEpoch}` : ''}`,
      found,
      layer: ruined.length > 0 ? placeOf(ruined[0], stack) : where,
      byUpdate: ruined.length > 0,
      rate: this.#rate,
      kept,
    });
  }

  #checkMonitor(): void {
    const { learningRate } = this.#context.training.optimizer;
    if (!isMetricSchedule(learningRate) || this.#monitors.includes(learningRate.monitor)) return;
    throw expected(
      `one of ${this.#monitors.join(', ')}`,
      'the monitor of the learning rate schedule',
      learningRate.monitor,
      learningRate.monitor.startsWith('validation') ? 'Give fit a validationSplit or validationData.' : '',
    );
  }

  get #monitors(): string[] {
    const { loss } = this.#context.training;
    const names = loss.targets === 'classes' ? ['loss', 'accuracy'] : ['loss'];
    const validation = names.map((name) => `validation${name[0].toUpperCase()}${name.slice(1)}`);
    return [...names, 'learningRate', ...(this.#validation ? validation : [])];
  }

  #callbackContext(): CallbackContext {
    const state = this.#state;
    const { model, training } = this.#context;
    return {
      model,
      firstEpoch: state.before + 1,
      lastEpoch: state.before + this.#plan.epochs,
      stepsPerEpoch: this.#source.stepsPerEpoch,
      monitors: this.#monitors,
      results: state.results,
      get step() {
        return training.state.step;
      },
      stopTraining: (reason) => {
        state.stopReason ??= reason;
      },
    };
  }
}

interface NonFinite {
  step: string;
  found: string;
  layer: string | null;
  byUpdate: boolean;
  rate: number;
  /** Steps of the fit. */
  kept: number;
}

function nonFiniteError({ step, found, layer, byUpdate, rate, kept }: NonFinite): MnistTrainError {
  const began =
    layer === null
      ? ''
      : byUpdate
        ? ` It began in ${layer}: the update of the step before made its weights infinite or NaN.`
        : ` It began in ${layer}: its outputs are the first that are not finite.`;
  return new MnistTrainError(
    'ERR_NON_FINITE',
    `Expected a finite loss in ${step}, received ${found}.${began} ` +
      `Lower the learning rate (it was ${Number(rate.toPrecision(4))}), clip gradients with globalClipNorm, or scale the inputs. ` +
      (kept === 0
        ? 'The model keeps the weights that it had before this fit.'
        : `The model keeps the weights that it had after ${kept} steps of this fit, with which the loss was finite.`),
  );
}
