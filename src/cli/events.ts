import type { BackendName, Isa } from '../backends/backend.js';
import type { LoadAttempt } from '../backends/select.js';
import type { DownloadResult, FailedSource } from '../data/download.js';
import type { ClassScores, Explanation, GradientCheck, LayerConfig, ParameterStatistics } from '../index.js';
import type { RecipeMeasurement } from './bench/recipes.js';
import type { ResumedFrom } from './resume.js';

/** What does the arithmetic: `isa` is null in TypeScript. */
export interface Engine {
  backend: BackendName;
  isa: Isa | null;
  threads: number;
}

/** `train`, before the first step. */
interface StartEvent extends Engine {
  event: 'start';
  dataset: string;
  trainCount: number;
  testCount: number;
  /** In a word: 784-128-10. */
  network: string;
  /** The layers' options. */
  layers: readonly LayerConfig[];
  parameters: number;
  epochs: number;
  batchSize: number;
  optimizer: string;
  /** The greatest of the schedule. */
  learningRate: number;
  schedule: string;
  seed: number;
  /** With `--recipe`: its name. */
  recipe?: string;
  /** With `--resume`: where the training stood. */
  resumed?: ResumedFrom;
  /** With `--fold`: the part of the training set that is for validation, of how many. */
  fold?: number;
  folds?: number;
}

/** `train`, after every whole epoch. Loss and accuracy are those of the training steps, taken while the weights moved. */
interface EpochEvent {
  event: 'epoch';
  epoch: number;
  epochs: number;
  loss: number;
  accuracy?: number;
  validationLoss?: number;
  validationAccuracy?: number;
  /** Of the epoch's last step. */
  learningRate: number;
  seconds: number;
}

/** `train`, stopped by a signal: what was trained so far is in the model file. */
interface InterruptedEvent {
  event: 'interrupted';
  /** Whole epochs done. */
  epochs: number;
  trainSeconds: number;
  weightsSha256: string;
  model: string;
  /** With `--checkpoint` or `--resume`: the folder to resume from. */
  checkpoint?: string;
  /** With `--report`: the page. */
  report?: string;
}

/** `train`, at the end. */
interface DoneEvent extends Engine {
  event: 'done';
  testAccuracy: number;
  testLoss: number;
  /** Time inside training steps and shuffling, without loading, validation or evaluation. */
  trainSeconds: number;
  epochs: number;
  parameters: number;
  seed: number;
  /** Over the parameters' little-endian float32 bytes in layer order. */
  weightsSha256: string;
  /** The model file. */
  model: string;
  /** With `--early-stopping`: why training ended before its last epoch. */
  stopReason?: string;
  /** With `--report`: the page. */
  report?: string;
}

/** `find-lr`. A number each for every step. */
interface LearningRatesEvent extends Engine {
  event: 'learningRates';
  dataset: string;
  network: string;
  /** With `--recipe`: its name. */
  recipe?: string;
  optimizer: string;
  batchSize: number;
  seed: number;
  /** The learning rates, rising. */
  rates: number[];
  losses: number[];
  /** What the plot shows. */
  smoothedLosses: number[];
  /** The greatest rate for a schedule, to two digits; null where no rate made the loss fall. */
  suggestion: number | null;
  /** Where the smoothed loss falls most steeply, likewise. */
  steepest: number | null;
  /** Where it is least, to two digits; null where the first step diverged. */
  minimum: number | null;
  /** diverged: greater rates were not tried. */
  stopped: 'completed' | 'diverged';
}

/** `inspect`. Numbers that are not finite are null. */
export interface InspectionEvent extends Engine {
  event: 'inspection';
  model: string;
  network: string;
  inputShape: readonly number[];
  layers: { layer: number; type: string; outputShape: readonly number[]; parameters: number; multiplyAdds: number }[];
  parameters: ParameterStatistics[];
  /** The layer whose weights are shown as pictures, and the PNG file of `--png`; null where no layer has such. */
  pictures: { layer: number; count: number; shape: readonly number[]; greatest: number; png?: string } | null;
  /** With `--dead-neurons` or `--gradient-check`: the data set whose test images they looked at. */
  dataset?: string;
  /** With `--dead-neurons`. */
  activity?: {
    samples: number;
    layers: { layer: number; unit: 'neuron' | 'channel'; medianShare: number; shares: number[]; dead: number[] }[];
  };
  /** With `--gradient-check`. */
  gradientCheck?: GradientCheck & { seed: number };
}

/** `download`: a source that did not deliver, and why; the next one is tried. */
interface SourceFailedEvent extends FailedSource {
  event: 'sourceFailed';
}

/** `download`, at the end: every file is there and its digest is right. `source` is null for files that were there. */
interface DownloadedEvent extends DownloadResult {
  event: 'downloaded';
}

/** `evaluate`. */
export interface EvaluationEvent extends Engine {
  event: 'evaluation';
  model: string;
  dataset: string;
  accuracy: number;
  loss: number;
  count: number;
  /** The part of the images whose class is among the three most probable. */
  top3Accuracy: number;
  /** In 15 bins. */
  expectedCalibrationError: number;
  /** `accuracy` is `recall`, but null without samples. */
  perClass: (ClassScores & { label: number; count: number; correct: number; accuracy: number | null })[];
  averages: { macro: ClassScores; micro: ClassScores; weighted: ClassScores };
  /** confusion[label][answer]: how many samples of a class got which answer. */
  confusion: number[][];
  /** With `--report`: the page. */
  report?: string;
}

/** `predict`, an image each. */
interface PredictionEvent {
  event: 'prediction';
  image: string;
  /** The image's place in its file, from 0. */
  index: number;
  /** The most probable class. */
  label: number;
  /** What the image is labelled, where the file of labels lies beside it. */
  expected?: number;
  /** The probability of every class. */
  probabilities: number[];
  /** How the image was converted, in words. */
  notes: string[];
}

/** `explain`: what the library's `explain` gives, see `Explanation`, and which image that was. */
interface ExplanationEvent extends Engine {
  event: 'explanation';
  image: string;
  /** The image's place in its file, from 0. */
  index: number;
  /** What the image is labelled, where the file of labels lies beside it. */
  expected?: number;
  /** How the image was converted, in words. */
  notes: string[];
  input: Explanation['input'];
  classes: Explanation['classes'];
  answer: number;
  rival: number;
  label: number;
  layers: Explanation['layers'];
  contributions: Explanation['contributions'];
  step: Explanation['step'];
  /** With `--html`: the page. */
  html?: string;
}

/** `bench`, a measurement each. Times are per call, step or epoch, as the name says. */
interface BenchmarkEvent extends Engine {
  event: 'benchmark';
  name: string;
  medianSeconds: number;
  minSeconds: number;
  maxSeconds: number;
  rounds: number;
  /** By the median. Zeros count as work, so a kernel that skips them can pass the limit. */
  gflops?: number;
  /** Native: the multiply-add limit of this instruction set with these threads, measured in the same rounds. */
  limitGflops?: number;
  /** 100 · gflops / limitGflops. */
  percentOfLimit?: number;
  imagesPerSecond?: number;
  /** Times as fast as the first measurement of this name, from the same interleaved rounds; not on that one. */
  ratio?: number;
}

/** `bench --recipes`, a recipe each. */
interface RecipeEvent extends Engine, RecipeMeasurement {
  event: 'recipe';
}

/** `sweep`, after every trial of this run. Numbers are those after the last epoch, on validation images. */
export interface TrialEvent {
  event: 'trial';
  /** From 1, of how many. */
  trial: number;
  trials: number;
  /** What this trial tries: options of `train` by name. */
  options: Record<string, string>;
  /** With folds, the mean over them; null when the trial failed. */
  validationAccuracy: number | null;
  /** The sample standard deviation over folds; null without folds. */
  deviation: number | null;
  validationLoss: number | null;
  /** As in `done`, the sum over folds. */
  trainSeconds: number | null;
  /** One per training: with folds one per fold, `fold` null otherwise. */
  runs: TrainingRun[];
  /** Why the trial failed. */
  error?: string;
}

/** One training of a trial. */
export interface TrainingRun {
  fold: number | null;
  validationAccuracy: number;
  validationLoss: number;
  trainSeconds: number;
  weightsSha256: string;
}

/** `sweep`, at the end or when a signal came. */
interface SweepEvent {
  event: 'sweep';
  /** The folder. */
  out: string;
  trials: number;
  /** Trials with a result, those of earlier runs included, and how many of them failed. */
  finished: number;
  failed: number;
  /** The trial with the greatest validation accuracy. */
  best: number | null;
  /** The command line that trains it on the whole training set. */
  command: string | null;
  /** Best first, failed ones last, with the fields of `trial`. */
  results: Omit<TrialEvent, 'event' | 'trials'>[];
}

/** `build-native`. */
interface NativeBuiltEvent {
  event: 'nativeBuilt';
  /** The addon's file. */
  path: string;
  isa: string;
  seconds: number;
}

/** `info`. */
interface InfoEvent extends Engine {
  event: 'info';
  version: string;
  candidates: readonly LoadAttempt[];
  dataDirectory: string;
  node: string;
  platform: string;
  arch: string;
  cpu: string;
}

/** `info --program`: an op of the lowered default program each, in the order of execution. */
interface OperationEvent {
  event: 'operation';
  section: string;
  step: number;
  op: string;
  fields: Record<string, string | number | boolean | null>;
}

/** `info --program`: bytes of each region of the memory plan. */
interface MemoryEvent {
  event: 'memory';
  regions: Record<string, number>;
}

/** `serve`, when it answers requests. */
interface ListeningEvent extends Engine {
  event: 'listening';
  url: string;
  model: string;
  /** SHA-256 of the parameters. */
  weightsSha256: string;
}

/** `serve`, when the model file changed and the new model is in service. */
interface ReloadedEvent {
  event: 'reloaded';
  /** 1 for the first model, one more with every reload. */
  version: number;
  weightsSha256: string;
}

/** `serve`, when the model file changed and cannot be used: the model before stays in service. */
interface ReloadFailedEvent {
  event: 'reloadFailed';
  reason: string;
}

/** `serve`, when a signal asks it to end: requests in flight are answered, further ones are not. */
interface DrainingEvent {
  event: 'draining';
  /** How many requests those are. */
  inFlight: number;
}

/** `serve`, at its end after a signal. */
interface StoppedEvent {
  event: 'stopped';
  /** False when requests were still being answered at the end of `--drain-timeout`. */
  drained: boolean;
}

/**
 * The events that `--json` writes to stdout, one JSON object a line. Fields may be added; those here keep their name and
 * meaning. Accuracies are fractions, times are seconds, a number that is not finite is null.
 */
export type CliEvent =
  | StartEvent
  | EpochEvent
  | InterruptedEvent
  | DoneEvent
  | LearningRatesEvent
  | SourceFailedEvent
  | DownloadedEvent
  | EvaluationEvent
  | InspectionEvent
  | PredictionEvent
  | ExplanationEvent
  | BenchmarkEvent
  | RecipeEvent
  | TrialEvent
  | SweepEvent
  | ListeningEvent
  | ReloadedEvent
  | ReloadFailedEvent
  | DrainingEvent
  | StoppedEvent
  | NativeBuiltEvent
  | InfoEvent
  | OperationEvent
  | MemoryEvent;
