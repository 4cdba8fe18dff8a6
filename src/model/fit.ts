import type { BoundData, RunProgress, RunResult } from '../backends/backend.js';
import type { EpochResult } from '../epoch-result.js';
import { MnistTrainError } from '../errors.js';
import type { JsonValue } from '../json.js';
import type { Loss } from '../losses/loss.js';
import type { Optimizer, OptimizerState } from '../optimizers/optimizer.js';
import { METRICS_PER_STEP } from '../program/program.js';
import { RandomPurpose, shuffle } from '../random.js';
import { scheduleAt } from '../schedules/schedule.js';
import { linkedController } from './abort.js';
import type { Augmentation } from './augmentation.js';
import type { Engine } from './engine.js';
import { indices, meansOf } from './evaluate.js';
import { type CompiledMetrics, evaluateWithMetrics, validationResults } from './evaluate-metrics.js';
import { type FitOptions, type FitPlan, planFit } from './fit-plan.js';
import { type History, makeHistory } from './history.js';
import { EPOCH } from './lower.js';
import type { LabelledSamples } from './samples.js';
import type { Stack } from './stack.js';

/** What a compiled model carries from one fit to the next. */
export interface Training {
  loss: Loss;
  metrics: CompiledMetrics;
  optimizer: Optimizer;
  augmentation: Augmentation | null;
  state: OptimizerState;
  /** Of a schedule that follows a metric; null otherwise. */
  scheduleState: JsonValue;
}

export interface FitContext {
  engine: Engine;
  stack: Stack;
  training: Training;
  seed: number;
  /** Epochs begun since the model was made; the fit counts on. */
  epochs: { done: number };
}

/** Trains; see `Sequential.fit`. */
export async function trainModel(
  context: FitContext,
  data: LabelledSamples,
  options: FitOptions | undefined,
): Promise<History> {
  const { engine, training, stack } = context;
  const plan = planFit(stack, training.loss, data, options);
  const { samples, validation } = plan;
  const bound = engine.bind(samples);
  try {
    if (!validation || validation === samples) return await runEpochs(context, plan, bound, bound);
    const boundValidation = engine.bind(validation);
    try {
      return await runEpochs(context, plan, bound, boundValidation);
    } finally {
      boundValidation.dispose();
    }
  } finally {
    bound.dispose();
  }
}

async function runEpochs(
  context: FitContext,
  plan: FitPlan,
  bound: BoundData,
  boundValidation: BoundData,
): Promise<History> {
  const { engine, training, epochs } = context;
  const { validation, signal } = plan;
  const validationOrder = validation && indices(plan.validationStart, validation.count);
  const results: EpochResult[] = [];
  const orders = new Orders(plan, context.seed);
  const last = epochs.done + plan.epochs;
  let trainSeconds = 0;
  for (let place = 0; place < plan.epochs; place++) {
    if (signal?.aborted || engine.disposed) return makeHistory(results, trainSeconds, 'aborted');
    const { result, interrupted } = await trainEpoch(context, plan, bound, orders, place, last);
    trainSeconds += result.seconds;
    if (interrupted) return makeHistory(results, trainSeconds, 'aborted');
    let validated = true;
    if (validation && validationOrder) {
      const request = { data: boundValidation, samples: validation, order: validationOrder, signal };
      const means = await evaluateWithMetrics(engine, training.loss, training.metrics, request);
      if (means) Object.assign(result, validationResults(means));
      else validated = false;
    }
    results.push(result);
    await plan.onEpochEnd?.(result);
    if (!validated) return makeHistory(results, trainSeconds, 'aborted');
  }
  return makeHistory(results, trainSeconds, 'completed');
}

/** The order of the samples in each epoch. */
class Orders {
  readonly #plan: FitPlan;
  readonly #seed: number;
  #prepared: { epoch: number; order: Uint32Array } | null = null;

  constructor(plan: FitPlan, seed: number) {
    this.#plan = plan;
    this.#seed = seed;
  }

  /** The order of an epoch, counted from 0 since the model was made. */
  of(epoch: number): Uint32Array {
    if (this.#prepared?.epoch === epoch) return this.#prepared.order;
    const order = indices(0, this.#plan.trainCount);
    return this.#plan.shuffle ? shuffle(order, this.#seed, RandomPurpose.shuffle, epoch) : order;
  }

  /** Makes the order of an epoch that is to come, in time that the native backend leaves to this thread. */
  prepare(epoch: number): void {
    this.#prepared = { epoch, order: this.of(epoch) };
  }
}

/** One pass over the data, `place` in this fit. Only steps that were done count for the optimizer. */
async function trainEpoch(
  { engine, training, epochs }: FitContext,
  plan: FitPlan,
  data: BoundData,
  orders: Orders,
  place: number,
  last: number,
): Promise<{ result: EpochResult; interrupted: boolean }> {
  const { batchSize } = plan;
  const epoch = epochs.done + 1;
  const scalars = (names: readonly string[]) => scalarRows(names, training, plan, place * plan.steps, epoch);
  const watched = watch(plan.signal, plan.onProgress && reporter(plan, training.loss, epoch, last));
  // The clock starts with the turn: waiting for somebody's evaluation is not training time.
  const { run, seconds } = await engine.inTurn(async () => {
    const start = performance.now();
    try {
      const order = orders.of(epochs.done);
      const running = engine.run('train', { data, order, batchSize, scalars, options: watched });
      if (place + 1 < plan.epochs) orders.prepare(epochs.done + 1);
      const run = await running;
      return { run, seconds: (performance.now() - start) / 1000 };
    } finally {
      watched.end();
    }
  });
  for (let step = 0; step < run.steps; step++) training.state = training.optimizer.advance(training.state);
  if (run.steps > 0) epochs.done = epoch;
  watched.rethrow();
  checkLosses(run, epoch, plan.steps);
  return {
    result: { epoch, ...meansOf(run, training.loss), learningRate: Number.NaN, seconds },
    interrupted: run.aborted,
  };
}

/** What the host supplies to every step of an epoch, a row each, in the order of the program's `names`. */
function scalarRows(
  names: readonly string[],
  { optimizer, state, scheduleState }: Training,
  plan: FitPlan,
  firstStep: number,
  epoch: number,
): Float32Array {
  const columns = names.length;
  const rows = new Float32Array(plan.steps * columns);
  const steps = plan.epochs * plan.steps;
  const places = optimizer.scalarNames.map((name) => names.lastIndexOf(name));
  const epochPlace = names.indexOf(EPOCH);
  for (let step = 0, current = state; step < plan.steps; step++) {
    const position = { step: firstStep + step, steps, stepsPerEpoch: plan.steps };
    const rate = scheduleAt(optimizer.learningRate, current.step, position, scheduleState);
    current = optimizer.advance(current);
    if (epochPlace >= 0) rows[step * columns + epochPlace] = epoch;
    optimizer.scalarsAt(current, rate).forEach((value, index) => {
      rows[step * columns + places[index]] = value;
    });
  }
  return rows;
}

function reporter(plan: FitPlan, loss: Loss, epoch: number, epochs: number): (progress: RunProgress) => void {
  return (progress) =>
    plan.onProgress?.({
      epoch,
      epochs,
      step: progress.steps,
      steps: plan.steps,
      samples: progress.samples,
      count: plan.trainCount,
      ...meansOf(progress, loss),
    });
}

/**
 * Run options that end the run early when the caller's signal does, when a loss is not finite any more (the rest of the
 * epoch would be wasted), or when the caller's callback throws; `rethrow` brings that error out after the run.
 */
function watch(signal: AbortSignal | undefined, report: ((progress: RunProgress) => void) | undefined) {
  const { controller, unlink } = linkedController(signal);
  let failure: { error: unknown } | null = null;
  return {
    signal: controller.signal,
    onProgress: (progress: RunProgress) => {
      if (failure) return;
      if (!Number.isFinite(progress.lossSum)) controller.abort();
      else if (progress.samples > 0) {
        try {
          report?.(progress);
        } catch (error) {
          failure = { error };
          controller.abort();
        }
      }
    },
    end: unlink,
    rethrow: () => {
      if (failure) throw failure.error;
    },
  };
}

function checkLosses({ metrics, steps }: RunResult, epoch: number, planned: number): void {
  for (let step = 0; step < steps; step++) {
    const loss = metrics[step * METRICS_PER_STEP];
    if (Number.isFinite(loss)) continue;
    throw new MnistTrainError(
      'ERR_NON_FINITE',
      `Expected a finite loss in epoch ${epoch}, step ${step + 1} of ${planned}, received ${loss}. ` +
        'Lower the learning rate or scale the inputs; the weights are those of that moment.',
    );
  }
}
