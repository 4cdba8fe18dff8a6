import { checkInteger } from '../../errors.js';
import type { LayerConfig } from '../../layers/layer.js';
import type { Loss } from '../../losses/loss.js';
import { type LossName, resolveLoss } from '../../losses/resolve.js';
import { checkCallback, checkOptions, checkSignal } from '../../options.js';
import { inTurns } from '../../pieces.js';
import { sizeOf } from '../../program/program.js';
import { throwIfAborted } from '../abort.js';
import { namedWeights } from '../activations.js';
import { type LabelledSamples, readSamples } from '../samples.js';
import type { Sequential } from '../sequential.js';
import { stackOf } from '../stack-of.js';
import { trainingGradients } from '../training-gradients.js';
import { type CheckedWeight, checkGradients, type ParameterCheck } from './check-gradients.js';

export type { CheckedWeight, ParameterCheck };

export interface GradientCheckOptions {
  /** Default categoricalCrossentropy. */
  loss?: LossName | Loss;
  /** Weights to check of each parameter, drawn at random; default 10. A parameter of fewer is checked whole. */
  weights?: number;
  /** Decides which; default 0. */
  seed?: number;
  /** Ends the check; the promise rejects with ERR_ABORTED. */
  signal?: AbortSignal;
  /** Called after every weight. What it throws ends the check. */
  onProgress?: (progress: { done: number; of: number }) => void;
}

export interface GradientCheck {
  /** Whether every gradient that was checked is within its bound. */
  ok: boolean;
  /** How many samples the loss is the mean of. */
  samples: number;
  /** One for each trainable parameter, in the order of `getWeights`. */
  parameters: ParameterCheck[];
}

/**
 * Checks the gradients that the engine computes: those of one training step over all of `data`, a few samples, against
 * difference quotients of the loss in double precision, which a second implementation computes. Layers and loss are as in
 * training: batch normalization uses the statistics of these samples. Dropout and augmentation are left out, penalties of
 * regularizers are in.
 *
 * Each weight has a bound of its own, which says how far float32 can be off there. Weights where rectifiers, pools or the
 * loss go over a kink however small the step is are left out and counted. Works on copies; the model stays as it is.
 *
 * Rejects with ERR_ARGUMENT for options out of range and losses of one's own, and as `fit` does for wrong data.
 */
export async function gradientCheck(
  model: Sequential,
  data: LabelledSamples,
  options?: GradientCheckOptions,
): Promise<GradientCheck> {
  const checked = checkOptions(options, 'gradientCheck', {
    loss: true,
    weights: true,
    seed: true,
    signal: true,
    onProgress: true,
  });
  const loss = resolveLoss(checked.loss ?? 'categoricalCrossentropy');
  const count = checkInteger(checked.weights ?? 10, 'weights', 1);
  const seed = checkInteger(checked.seed ?? 0, 'seed', 0);
  const signal = checkSignal(checked.signal);
  const onProgress = checkCallback(checked.onProgress, 'onProgress');
  const stack = stackOf({ layers: model.layers.map(withoutDropout), inputShape: model.inputShape });
  loss.checkOutput(stack.outputSize, stack.outputActivation);
  const weights = namedWeights(stack, model.getWeights());
  const goOn = () => throwIfAborted('The gradient check', signal);
  const samples = await inTurns(readSamples(data, stack, loss, 'data'), goOn);
  const setup = { stack, weights, loss, seed, choice: { backend: model.backend.name } };
  const { gradients } = await trainingGradients(setup, samples, signal);
  const trainable = stack.parameters.filter(({ spec }) => spec.trainable);
  const of = trainable.reduce((sum, { spec }) => sum + Math.min(count, sizeOf(spec.shape)), 0);
  let done = 0;
  const onChecked = () => onProgress?.({ done: ++done, of });
  const parameters = await inTurns(
    checkGradients({ stack, weights, loss, samples, gradients, count, seed, onChecked }),
    goOn,
  );
  goOn();
  return { ok: parameters.every(({ ok }) => ok), samples: samples.count, parameters };
}

/** The same layers, of which none drops anything. */
function withoutDropout(config: LayerConfig): LayerConfig {
  const inner = (name: string) => {
    const list = config[name] as readonly LayerConfig[] | undefined;
    return list ? { [name]: list.map(withoutDropout) } : {};
  };
  if (config.type === 'dropout') return { ...config, rate: 0 };
  return config.type === 'residual' ? { ...config, ...inner('layers'), ...inner('shortcut') } : config;
}
