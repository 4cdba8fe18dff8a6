import { writeFileAtomic } from '../files.js';
import type { EpochResult, History, LayerConfig, Schedule, Sequential } from '../index.js';
import { namedWeights } from '../model/activations.js';
import { stackOf } from '../model/stack-of.js';
import { weightPictures } from '../model/inspect/weight-pictures.js';
import type { RatePoint } from '../report/curves.js';
import { evaluationPage } from '../report/evaluation-report.js';
import type { FirstWeights } from '../report/first-weights.js';
import type { Measures } from '../report/measures.js';
import { trainingPage } from '../report/training-report.js';
import { isMetricSchedule, scheduleAt } from '../schedules/schedule.js';
import { commandToRepeat } from './command-words.js';
import { engineText } from './engine.js';
import type { TrainingRecorder } from './report.js';
import type { ResumedFrom } from './resume.js';
import { scheduleText } from './schedules.js';
import type { TrainOptions } from './train-options.js';
import { type TrainingPlan, validates } from './training-plan.js';
import { count, duration, plural } from './ui/format.js';
import { networkText } from './ui/network.js';

interface Reported {
  model: Sequential;
  given: ReadonlySet<string>;
  version: string;
}

interface ReportedEvaluation extends Reported {
  path: string;
  dataset: string;
  options: object;
  measures: Measures;
}

/** Writes the page of `evaluate`, whole or not at all. Throws ERR_FILE. */
export async function writeEvaluationReport(file: string, parts: ReportedEvaluation): Promise<void> {
  const { model, given, version, path, dataset, options, measures } = parts;
  const page = evaluationPage({
    network: networkText(model.inputShape, model.layers),
    dataset,
    classNames: model.classNames,
    measures,
    weights: firstWeightsOf(model),
    origin: {
      settings: [['Data set', dataset], ...settingsOf(model)],
      model: path,
      weightsSha256: model.weightsSha256(),
      command: commandToRepeat(['evaluate', path], options, given),
      version,
    },
  });
  await writeFileAtomic(file, Buffer.from(page));
}

interface ReportedTraining extends Reported {
  options: TrainOptions;
  plan: TrainingPlan;
  /** That the training was compiled with. */
  schedule: Schedule;
  history: History;
  recorder: TrainingRecorder;
  resumed: ResumedFrom | null;
  /** Images, those kept for validation among them. */
  trainCount: number;
  /** On the test set; null where a signal came first. */
  measures: Measures | null;
}

/** Writes the page of `train`, whole or not at all. Throws ERR_FILE. */
export async function writeTrainingReport(file: string, parts: ReportedTraining): Promise<void> {
  const { model, given, version, options, plan, history, recorder, resumed, measures } = parts;
  const { epochs } = plan;
  const page = trainingPage({
    network: networkText(model.inputShape, model.layers),
    dataset: plan.dataset,
    classNames: model.classNames,
    lead: `${plan.optimizer}, ${scheduleText(plan.schedule, plan.learningRate)}, batch ${plan.batchSize}, seed ${options.seed}; ${count(model.countParameters())} parameters.`,
    epochs: history.epochs,
    epochsPlanned: epochs,
    learningRates: learningRatesOf(parts.schedule, history.epochs, { ...recorder, epochs }),
    trainedIn: duration(history.trainSeconds),
    interrupted: measures === null,
    stopReason: history.stopReason,
    resumedAfter: resumed?.epochs,
    measures,
    weights: firstWeightsOf(model),
    origin: {
      settings: [...settingsOfTraining(parts), ...settingsOf(model)],
      model: options.out,
      weightsSha256: model.weightsSha256(),
      command: commandToRepeat(['train'], options, given),
      version,
    },
  });
  await writeFileAtomic(file, Buffer.from(page));
}

type Settings = [term: string, value: string][];

function settingsOfTraining({ options, plan, history, recorder, trainCount }: ReportedTraining): Settings {
  const { fold, validationSplit } = options;
  const kept = fold ? `part ${fold.fold} of ${fold.folds}` : `the last ${Number(validationSplit) * 100} %`;
  return [
    ['Data set', `${plan.dataset}, ${plural(trainCount, 'training image')}`],
    ...(validates(options) ? [['Validation', `${kept} of the training set`] as [string, string]] : []),
    ...(plan.recipe ? [['Recipe', plan.recipe] as [string, string]] : []),
    ['Epochs', `${history.epochs.length} of ${plan.epochs}`],
    ['Batch size', count(plan.batchSize)],
    ['Optimizer', plan.optimizer],
    ['Learning rate', scheduleText(plan.schedule, plan.learningRate)],
    ['Seed', String(options.seed)],
    ['Started', `${recorder.startedAt.toISOString().slice(0, 19).replace('T', ' ')} UTC`],
    ['Time in steps', duration(history.trainSeconds)],
  ];
}

function settingsOf(model: Sequential): Settings {
  const { name: backend, isa, threads } = model.backend;
  return [
    ['Layers', model.layers.map(layerText).join(', ')],
    ['Parameters', count(model.countParameters())],
    ['Backend', engineText({ backend, isa, threads })],
    ['Node.js', `${process.version}, ${process.platform} ${process.arch}`],
  ];
}

/** "dense 128 (relu)". */
function layerText({ type, units, filters, activation }: LayerConfig): string {
  const size = units ?? filters;
  const shown = activation !== undefined && activation !== 'linear' ? ` (${activation})` : '';
  return `${type}${size === undefined ? '' : ` ${size}`}${shown}`;
}

/** Points on the course of the learning rate. */
const MOST_RATES = 200;

/**
 * The learning rate by step, evenly over the whole epochs done; of a schedule that follows a metric, which changes after
 * epochs alone, by epoch.
 */
function learningRatesOf(
  schedule: Schedule,
  results: readonly EpochResult[],
  { stepsPerEpoch, epochs }: { stepsPerEpoch: number | null; epochs: number },
): RatePoint[] {
  if (stepsPerEpoch === null || isMetricSchedule(schedule)) {
    return results.map(({ epoch, learningRate }) => ({ epoch, learningRate }));
  }
  const done = results.length * stepsPerEpoch;
  const steps = Array.from({ length: Math.min(done, MOST_RATES) }, (_, index) =>
    done <= MOST_RATES ? index : Math.round((index * (done - 1)) / (MOST_RATES - 1)),
  );
  return steps.map((step) => ({
    epoch: (step + 1) / stepsPerEpoch,
    learningRate: scheduleAt(schedule, step, { step, steps: epochs * stepsPerEpoch, stepsPerEpoch }, null),
  }));
}

/** So many neurons or filters are pictures in a report. */
const MOST_PICTURES = 64;

/** The weights of the first layer that has some, where they are of grey images; else null. */
function firstWeightsOf(model: Sequential): FirstWeights | null {
  const stack = stackOf(model);
  const found = weightPictures(stack, namedWeights(stack, model.getWeights()));
  if (found?.channels !== 1) return null;
  const { type, images, height, width } = found;
  const kind = type === 'dense' ? 'neuron' : 'filter';
  return { kind, count: images.length, height, width, pictures: images.slice(0, MOST_PICTURES) };
}
