/** The public API of mnist-train. Low-level kernels are in `mnist-train/kernels`. */
export type { Backend, BackendName, Isa, Samples } from './backends/backend.js';
export { setThreadBudget, threadBudget } from './backends/native/budget.js';
export type { BatchResult, Callback, CallbackContext, CallbackModel, CallbackState } from './callbacks/callback.js';
export { type CsvLoggerOptions, csvLogger } from './callbacks/csv-logger.js';
export { type EarlyStoppingOptions, earlyStopping } from './callbacks/early-stopping.js';
export { type JsonLinesLoggerOptions, jsonLinesLogger } from './callbacks/json-lines-logger.js';
export { type ModelCheckpointOptions, modelCheckpoint } from './callbacks/model-checkpoint.js';
export type { MonitorMode, MonitorOptions } from './callbacks/monitor.js';
export { type TensorBoardOptions, tensorBoard } from './callbacks/tensor-board.js';
export type { Constraint } from './constraints.js';
export { type BatchesOptions, batches } from './data/batches.js';
export { DATASET_NAMES } from './data/catalogue.js';
export { type Dataset, oneHot } from './data/dataset.js';
export { type LoadedDataset, type LoadOptions, loadDataset } from './data/load.js';
export type { EpochResult } from './epoch-result.js';
export { type ErrorCode, MnistTrainError } from './errors.js';
export type { KernelInitializer } from './initializers.js';
export type { JsonValue } from './json.js';
export { type ActivationOptions, activation } from './layers/activation.js';
export { type AveragePooling2dOptions, averagePooling2d } from './layers/average-pooling-2d.js';
export { type BatchNormalizationOptions, batchNormalization } from './layers/batch-normalization.js';
export { type Conv2dOptions, conv2d } from './layers/conv2d.js';
export { type DenseOptions, dense } from './layers/dense.js';
export { type DropoutOptions, dropout } from './layers/dropout.js';
export { flatten } from './layers/flatten.js';
export { type GlobalAveragePooling2dOptions, globalAveragePooling2d } from './layers/global-average-pooling-2d.js';
export type { Layer, LayerConfig, OutputActivation } from './layers/layer.js';
export { type MaxPooling2dOptions, maxPooling2d } from './layers/max-pooling-2d.js';
export { type ResidualOptions, residual } from './layers/residual.js';
export { softmax } from './layers/softmax.js';
export type { Padding, PairOption } from './layers/windows.js';
export { type BinaryCrossentropyOptions, binaryCrossentropy } from './losses/binary-crossentropy.js';
export { type CategoricalCrossentropyOptions, categoricalCrossentropy } from './losses/categorical-crossentropy.js';
export { type HuberOptions, huber } from './losses/huber.js';
export type { Loss, LossActivation, TargetKind } from './losses/loss.js';
export { meanAbsoluteError } from './losses/mean-absolute-error.js';
export { meanSquaredError } from './losses/mean-squared-error.js';
export type { LossName } from './losses/resolve.js';
export type { Average, ClassScores } from './metrics/class-counts.js';
export type { ClassMetricOptions } from './metrics/class-metrics.js';
export {
  type ClassificationReport,
  type ClassificationReportOptions,
  classificationReport,
} from './metrics/classification-report.js';
export { type ConfusionMatrixOptions, confusionMatrix } from './metrics/confusion-matrix.js';
export {
  type CalibrationErrorOptions,
  expectedCalibrationError,
  type ReliabilityBin,
  reliabilityDiagram,
} from './metrics/expected-calibration-error.js';
export { fitTemperature } from './metrics/fit-temperature.js';
export type { Labels, ScoreOptions, Scores } from './metrics/inputs.js';
export type { Metric, MetricBatch, MetricOptions, MetricState, MetricTask } from './metrics/metric.js';
export { negativeLogLikelihood } from './metrics/negative-log-likelihood.js';
export { type MetricName, metrics } from './metrics/resolve.js';
export { type TopKAccuracyOptions, topKAccuracy } from './metrics/top-k-accuracy.js';
export type { LayerActivations, LayerOutput } from './model/activations.js';
export type { AugmentationOptions } from './model/augmentation.js';
export type { Calibration, CalibrationQuality } from './model/calibrate.js';
export {
  type CrossValidateOptions,
  type CrossValidation,
  crossValidate,
  type FoldResult,
} from './model/cross-validate.js';
export type { BackendChoice, EngineOptions } from './model/engine-options.js';
export { type ExplainOptions, explain } from './model/explain/explain.js';
export type {
  Contributions,
  ExplainedClass,
  ExplainedGradient,
  ExplainedGradients,
  ExplainedLayer,
  ExplainedNeuron,
  ExplainedStep,
  Explanation,
  LayerContribution,
} from './model/explain/explanation.js';
export {
  type FindLearningRateOptions,
  type FindLearningRateProgress,
  findLearningRate,
  type LearningRateSearch,
} from './model/find-learning-rate.js';
export type { PredictOptions } from './model/inference.js';
export {
  type CheckedWeight,
  type GradientCheck,
  type GradientCheckOptions,
  gradientCheck,
  type ParameterCheck,
} from './model/inspect/gradient-check.js';
export {
  type LayerActivity,
  type NeuronActivity,
  type NeuronActivityOptions,
  neuronActivity,
} from './model/inspect/neuron-activity.js';
export { type ParameterStatistics, parameterStatistics } from './model/inspect/parameter-statistics.js';
export { type Fold, type KFoldOptions, kFold } from './model/k-fold.js';
export type { NeuronWeights, WeightImage } from './model/neuron-weights.js';
export { openPredictor, type Predictor, type SharedModel } from './model/predictor.js';
export type { LabelledSamples, PredictInputs } from './model/samples.js';
export {
  type CompileOptions,
  type EvaluateOptions,
  type Evaluation,
  loadModel,
  type Sequential,
  type SequentialOptions,
  sequential,
} from './model/sequential.js';
export type { ModelConfig } from './model/serialization.js';
export type { CheckpointOptions } from './model/training/checkpoint-options.js';
export type { TrainingEvent } from './model/training/events.js';
export { type History, type HistoryColumns, TrainingAbortedError } from './model/training/history.js';
export type { FitOptions, FitProgress } from './model/training/plan.js';
export { type CheckpointInfo, readCheckpoint } from './model/training/read-checkpoint.js';
export type { BatchStream } from './model/training/stream.js';
export { type AdagradOptions, adagrad } from './optimizers/adagrad.js';
export { type AdamOptions, adam } from './optimizers/adam.js';
export { adamw } from './optimizers/adamw.js';
export type { CommonOptimizerOptions } from './optimizers/common.js';
export { type LionOptions, lion } from './optimizers/lion.js';
export type { Optimizer } from './optimizers/optimizer.js';
export type { OptimizerName } from './optimizers/resolve.js';
export { type RmspropOptions, rmsprop } from './optimizers/rmsprop.js';
export { type SgdOptions, sgd } from './optimizers/sgd.js';
export { ACTIVATIONS, type Activation } from './program/ops.js';
export type { Recipe, RecipeBuildOptions } from './recipes/recipe.js';
export { type RecipeName, recipes } from './recipes/recipes.js';
export { l1, l1l2, l2, type Regularizer } from './regularizers.js';
export { type CosineDecayOptions, type CosineRestarts, cosineDecay } from './schedules/cosine-decay.js';
export type { Duration } from './schedules/duration.js';
export { type ExponentialDecayOptions, exponentialDecay } from './schedules/exponential-decay.js';
export { type OneCycleOptions, oneCycle } from './schedules/one-cycle.js';
export { type ReduceOnPlateauOptions, reduceOnPlateau } from './schedules/reduce-on-plateau.js';
export type { FitPosition, MetricSchedule, Schedule, ScheduleFunction } from './schedules/schedule.js';
export { type StepDecayOptions, stepDecay } from './schedules/step-decay.js';
