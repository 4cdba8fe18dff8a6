import type { CallbackContext, CallbackModel } from '../../callbacks/callback.js';
import type { Engine } from '../engine.js';
import { validationName } from '../evaluate-metrics.js';
import type { FitState, Training } from './state.js';

/** The names of the numbers in an epoch's result that somebody may watch. */
export function monitorsOf({ loss, metrics }: Training, validated: boolean): string[] {
  const names = loss.hasAccuracy ? ['loss', 'accuracy'] : ['loss'];
  const measured = [...names, ...metrics.metrics.map(({ name }) => name)];
  return [...names, 'learningRate', ...(validated ? measured.map(validationName) : [])];
}

interface WatchedFit {
  model: CallbackModel;
  engine: Engine;
  training: Training;
  state: FitState;
  epochs: number;
  stepsPerEpoch: number | null;
  monitors: readonly string[];
}

/** What callbacks see of a fit, as it is at each moment. */
export function callbackContext(fit: WatchedFit): CallbackContext {
  const { model, engine, training, state, epochs, stepsPerEpoch, monitors } = fit;
  return {
    model,
    get firstEpoch() {
      return state.before + 1;
    },
    get lastEpoch() {
      return state.before + epochs;
    },
    stepsPerEpoch,
    monitors,
    get results() {
      return state.results;
    },
    get step() {
      return training.state.step;
    },
    whenIdle: (work) => engine.inTurn(work),
    stopTraining: (reason = 'A callback stopped it.') => {
      state.stopReason ??= reason;
    },
  };
}
