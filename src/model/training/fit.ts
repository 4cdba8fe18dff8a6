import type { BoundData, RunProgress, RunResult } from '../../backends/backend.js';
import type { CallbackModel } from '../../callbacks/callback.js';
import { unknownMonitor } from '../../callbacks/monitor.js';
import type { EpochResult } from '../../epoch-result.js';
import { MnistTrainError } from '../../errors.js';
import type { JsonValue } from '../../json.js';
import { inTurns, type Pieces } from '../../pieces.js';
import { isMetricSchedule } from '../../schedules/schedule.js';
import { abortedError, throwIfAborted } from '../abort.js';
import { type Engine, nothingDone } from '../engine.js';
import { indices, meansOf } from '../evaluate.js';
import { evaluateWithMetrics, validationResults } from '../evaluate-metrics.js';
import type { LabelledSamples } from '../samples.js';
import type { ModelConfig } from '../serialization.js';
import type { Stack } from '../stack.js';
import { callbackContext, monitorsOf } from './callback-context.js';
import { CallbackList } from './callbacks.js';
import { Checkpointer, type Resumable } from './checkpointer.js';
import { Divergence } from './divergence.js';
import { notLearningHint } from './hint.js';
import { type History, makeHistory } from './history.js';
import { type FitOptions, type FitPlan, planFit } from './plan.js';
import { type StepPlace, stepScalars } from './scalars.js';
import { describeSetup } from './setup.js';
import { MemorySource, type Portion, part, stepsOf, type TrainingSource } from './source.js';
import { countSteps, epochNumber, type FitState, newFitState, noSteps, type Training } from './state.js';
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
  /** The architecture, to compare a checkpoint's with. */
  config: () => ModelConfig;
}

/** Trains; see `Sequential.fit`. */
export async function trainModel(
  context: FitContext,
  data: LabelledSamples | BatchStream,
  options: FitOptions | undefined,
): Promise<History> {
  const { engine } = context;
  const held: Held = { source: null, validation: null };
  const goOn = () => {
    throwIfAborted('Training', options?.signal);
    if (engine.disposed) throw abortedError('Training', undefined);
  };
  try {
    const fit = await inTurns(begin(context, data, options, held), goOn).catch((error) => {
      if (error instanceof MnistTrainError && error.code === 'ERR_ABORTED') return null;
      throw error;
    });
    return fit ? await fit.run() : makeHistory([], 0, 'aborted');
  } finally {
    held.validation?.dispose();
    await held.source?.dispose();
  }
}

/** What has to be freed when a fit has ended, however far it came. */
interface Held {
  source: TrainingSource | null;
  validation: BoundData | null;
}

/** What a fit trains on and validates with; what a checkpoint says of the run, where there are any. */
interface Begun {
  source: TrainingSource;
  validation: BoundData | null;
  setup: JsonValue;
}

/** Checks and copies what is trained on. */
function* begin(
  context: FitContext,
  data: LabelledSamples | BatchStream,
  options: FitOptions | undefined,
  held: Held,
): Pieces<Fit> {
  const { engine, training, stack, seed } = context;
  const plan = yield* planFit(stack, training.loss, data, options);
  const { validation, memory, checkpoint } = plan;
  const source = memory
    ? new MemorySource(yield* engine.bind(memory.samples), { ...memory, seed })
    : streamSource(context, plan);
  held.source = source;
  const shared = source instanceof MemorySource && validation === memory?.samples ? source.data : null;
  if (validation && !shared) held.validation = yield* engine.bind(validation);
  const setup = checkpoint && (yield* describeSetup(context.config(), training, plan));
  return new Fit(context, plan, { source, validation: shared ?? held.validation, setup });
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
  readonly #monitors: readonly string[];
  readonly #callbacks: CallbackList;
  readonly #divergence: Divergence;
  readonly #checkpointer: Checkpointer | null;
  #hinted = false;
  #leftInValidation = false;

  constructor(context: FitContext, plan: FitPlan, { source, validation, setup }: Begun) {
    this.#context = context;
    this.#plan = plan;
    this.#source = source;
    this.#validation = validation;
    this.#state = newFitState(context.epochs.done);
    this.#monitors = monitorsOf(context.training, validation !== null);
    const seen = callbackContext({
      ...context,
      state: this.#state,
      epochs: plan.epochs,
      stepsPerEpoch: source.stepsPerEpoch,
      monitors: this.#monitors,
    });
    this.#callbacks = new CallbackList(plan.callbacks, seen, context.moments);
    this.#divergence = new Divergence(context.engine, context.stack, context.training, this.#state);
    this.#checkpointer = plan.checkpoint && new Checkpointer(plan.checkpoint, this.#resumable(setup));
  }

  async run(): Promise<History> {
    this.#checkMonitor();
    let stopped: History['stopped'];
    const resumed = await this.#resume();
    try {
      await this.#callbacks.begin();
      if (!resumed) await this.#checkpoint();
      // A folder that cannot be written shows now, not after hours.
      await this.#checkpointer?.settle();
      stopped = await this.#epochs();
      await this.#divergence.checkWeights(this.#place());
      if (!this.#leftInValidation) await this.#checkpoint();
      await this.#checkpointer?.settle();
    } catch (error) {
      // What went wrong first is what the caller has to know.
      await this.#checkpointer?.settle().catch(() => {});
      if (this.#cameOfDisposal(error)) {
        stopped = 'aborted';
      } else {
        await this.#callbacks.end().catch(() => {});
        throw error;
      }
    }
    try {
      await this.#callbacks.end();
    } catch (error) {
      if (!this.#cameOfDisposal(error)) throw error;
    }
    const { results, trainSeconds, stopReason } = this.#state;
    return makeHistory(results, trainSeconds, stopped, stopReason ?? undefined);
  }

  /** A model that was disposed of refuses everything: a fit in flight then ends as if aborted. */
  #cameOfDisposal(error: unknown): boolean {
    return this.#context.engine.disposed && error instanceof MnistTrainError && error.code === 'ERR_STATE';
  }

  /** Goes on from a checkpoint where the caller wants that and there is one. */
  async #resume(): Promise<boolean> {
    const resumed = (await this.#checkpointer?.begin(this.#plan.onWarning)) ?? false;
    const { before, results, epoch } = this.#state;
    if (resumed) this.#context.epochs.done = before + results.length + (epoch.steps > 0 ? 1 : 0);
    return resumed;
  }

  async #checkpoint(): Promise<void> {
    if (!this.#context.engine.disposed) await this.#checkpointer?.write();
  }

  async #epochs(): Promise<History['stopped']> {
    const state = this.#state;
    while (state.results.length < this.#plan.epochs && state.stopReason === null) {
      if (this.#aborted) return 'aborted';
      await this.#callbacks.call('onEpochBegin', epochNumber(state));
      if (!(await this.#steps())) return state.stopReason === null ? 'aborted' : 'callback';
      await this.#divergence.checkWeights(this.#place());
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
        // A stream may be long in answering: who stops is not kept waiting for it.
        if (state.stopReason !== null && state.epoch.steps !== this.#source.stepsPerEpoch) return false;
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
      const rest = part(portion, done);
      if (watchesBatches) await this.#callbacks.call('onTrainBatchBegin', this.#state.epoch.steps + 1);
      const { run, interrupted } = await this.#runSteps(rest, done === 0 || this.#divergence.outdated);
      done += run.steps;
      if (watchesBatches && run.steps > 0) await this.#endBatch(run);
      if (run.aborted && !interrupted) return false;
      if (this.#checkpointer?.due) await this.#checkpoint();
    }
    return true;
  }

  /**
   * Runs as many steps as may run in one go, and keeps the books. Only steps that were done count for the optimizer. With
   * `mark` these are steps to come back to when one diverges.
   */
  async #runSteps(rest: Portion, mark: boolean): Promise<{ run: RunResult; interrupted: boolean }> {
    const atMost = this.#callbacks.watchesBatches ? 1 : (this.#checkpointer?.stepsLeft ?? Number.POSITIVE_INFINITY);
    const piece = part(rest, 0, atMost);
    const { engine, training, epochs } = this.#context;
    const state = this.#state;
    const place = this.#place();
    const steps = stepsOf(piece);
    const scalars = stepScalars(training, place, steps);
    const watched = watch({
      signal: this.#plan.signal,
      report: this.#plan.onProgress && ((progress) => this.#report(progress)),
      interrupt: () => this.#checkpointer?.overdue === true,
    });
    // The clock starts with the turn: waiting for somebody's evaluation is not training time.
    return engine.inTurn(async () => {
      const start = performance.now();
      try {
        if (mark && !(await this.#mark(rest, place))) return { run: nothingDone(), interrupted: false };
        const running = engine.run('train', { ...piece, scalars: scalars.rows, options: watched });
        if (state.results.length + 1 < this.#plan.epochs) this.#source.prepare(place.epoch + 1);
        const run = await running;
        training.state = scalars.stateAfter(run.steps);
        if (run.steps > 0) epochs.done = place.epoch;
        countSteps(state, run, (performance.now() - start) / 1000, scalars.rates);
        watched.rethrow();
        await this.#divergence.checkLosses(run, place, scalars.rates);
        return { run, interrupted: watched.interrupted };
      } finally {
        watched.end();
      }
    });
  }

  /** False when the signal came first. */
  async #mark(portion: Portion, place: StepPlace): Promise<boolean> {
    const { signal } = this.#plan;
    try {
      await this.#divergence.mark(portion, place, () => throwIfAborted('Training', signal));
      return true;
    } catch (error) {
      if (signal?.aborted) return false;
      throw error;
    }
  }

  #place(): StepPlace {
    const { stepsPerEpoch } = this.#source;
    const fitSteps = stepsPerEpoch && stepsPerEpoch * this.#plan.epochs;
    return { epoch: epochNumber(this.#state), fitStep: this.#state.steps, fitSteps, stepsPerEpoch };
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
    if (!validated) await this.#leaveInValidation();
    if (validated && isMetricSchedule(training.optimizer.learningRate)) {
      training.scheduleState = training.optimizer.learningRate.afterEpoch(training.scheduleState, result);
    }
    state.results.push(result);
    state.epoch = noSteps();
    if (engine.disposed) return false;
    await this.#callbacks.during(() => this.#plan.onEpochEnd?.(result));
    await this.#callbacks.call('onEpochEnd', result.epoch, result);
    if (!this.#hinted && !engine.disposed) {
      const hint = await engine.inTurn(() => notLearningHint(result, state.steps, training, stack, engine));
      if (hint !== null) this.#plan.onWarning(hint);
      this.#hinted = hint !== null;
    }
    if (validated && this.#checkpointer?.due) await this.#checkpoint();
    return validated;
  }

  /** The epoch counts as a whole one here, but who resumes has to validate it: that is what a checkpoint says. */
  async #leaveInValidation(): Promise<void> {
    await this.#checkpoint();
    this.#leftInValidation = true;
  }

  async #validate(result: EpochResult): Promise<boolean> {
    if (!this.#validation) return true;
    const { engine, training } = this.#context;
    const { validation, validationStart, signal } = this.#plan;
    await this.#callbacks.call('onTestBegin');
    const order = indices(validationStart, validation!.count);
    const request = { data: this.#validation, samples: validation!, order, signal };
    const means = await evaluateWithMetrics(engine, training.loss, training.metrics, request);
    if (!means) return false;
    const named = validationResults(means);
    Object.assign(result, named);
    await this.#callbacks.call('onTestEnd', named);
    return true;
  }

  #checkMonitor(): void {
    const { learningRate } = this.#context.training.optimizer;
    if (!isMetricSchedule(learningRate) || this.#monitors.includes(learningRate.monitor)) return;
    throw unknownMonitor(learningRate.monitor, 'the monitor of the learning rate schedule', this.#monitors);
  }

  #resumable(setup: JsonValue): Resumable {
    const { engine, training } = this.#context;
    const { callbacks, memory, stream } = this.#plan;
    const batchSize = memory?.batchSize ?? stream?.batchSize ?? 1;
    const data = this.#source instanceof MemorySource ? this.#source.data : undefined;
    return { engine, training, state: this.#state, callbacks, steps: { batchSize, data }, setup };
  }
}
