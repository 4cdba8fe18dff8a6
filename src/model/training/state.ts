import type { RunResult } from '../../backends/backend.js';
import type { EpochResult } from '../../epoch-result.js';
import type { JsonValue } from '../../json.js';
import type { Loss } from '../../losses/loss.js';
import type { Optimizer, OptimizerState } from '../../optimizers/optimizer.js';
import { METRICS_PER_STEP } from '../../program/program.js';
import type { Augmentation } from '../augmentation.js';
import type { CompiledMetrics } from '../evaluate-metrics.js';

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

/** The steps of the running epoch, added up. */
export interface EpochSums {
  steps: number;
  samples: number;
  lossSum: number;
  correct: number;
  /** Of the last step. */
  learningRate: number;
  /** Inside training steps and shuffling. */
  seconds: number;
}

/** Where a fit stands. With the weights and `Training` it is all that going on from here needs: plain JSON. */
export interface FitState {
  /** Epochs that the model had begun before this fit. */
  before: number;
  /** The whole epochs of this fit. */
  results: EpochResult[];
  /** Steps done in this fit. */
  steps: number;
  /** Inside training steps and shuffling, interrupted epochs too. */
  trainSeconds: number;
  epoch: EpochSums;
  /** Why a callback stopped it. */
  stopReason: string | null;
}

export const noSteps = (): EpochSums => ({
  steps: 0,
  samples: 0,
  lossSum: 0,
  correct: 0,
  learningRate: 0,
  seconds: 0,
});

export const newFitState = (before: number): FitState => ({
  before,
  results: [],
  steps: 0,
  trainSeconds: 0,
  epoch: noSteps(),
  stopReason: null,
});

/** The running epoch, or the one that comes next, counted from 1 since the model was made. */
export const epochNumber = ({ before, results }: FitState): number => before + results.length + 1;

/** Adds a run's steps one by one, so that an epoch in pieces gives the sums of one in a single run. */
export function countSteps(
  state: FitState,
  { metrics, steps, samples }: RunResult,
  seconds: number,
  rates: Float64Array,
): void {
  const { epoch } = state;
  for (let step = 0; step < steps; step++) {
    epoch.lossSum += metrics[step * METRICS_PER_STEP];
    epoch.correct += metrics[step * METRICS_PER_STEP + 1];
  }
  if (steps > 0) epoch.learningRate = rates[steps - 1];
  epoch.steps += steps;
  epoch.samples += samples;
  epoch.seconds += seconds;
  state.steps += steps;
  state.trainSeconds += seconds;
}
