import { expected, MnistTrainError } from '../errors.js';
import { checkCallback, checkOptions, checkSignal, type OptionNames } from '../options.js';
import { mean, sampleDeviation } from '../statistics.js';
import { type Fold, K_FOLD_OPTIONS, type KFoldOptions, kFold } from './k-fold.js';
import type { LabelledSamples } from './samples.js';
import { type Evaluation, Sequential } from './sequential.js';
import type { History } from './training/history.js';
import type { FitOptions } from './training/plan.js';

export interface CrossValidateOptions extends KFoldOptions, Pick<FitOptions, 'epochs' | 'batchSize' | 'signal'> {
  /** Called after every fold and awaited. What it throws ends the cross-validation. */
  onFold?: (result: FoldResult) => void | Promise<void>;
}

export interface FoldResult {
  /** From 1 to `folds`. */
  fold: number;
  folds: number;
  /** On the fold's validation part, after the last epoch. */
  evaluation: Evaluation;
  /** Of the fit on the other parts. */
  history: History;
}

export interface CrossValidation {
  folds: FoldResult[];
  /** Of each number of the evaluations but their count, such as `loss` and `accuracy`, over the folds. */
  mean: Record<string, number>;
  /** The sample standard deviation of the same, with folds - 1 in the divisor. */
  deviation: Record<string, number>;
}

const OPTIONS: OptionNames<CrossValidateOptions> = {
  ...K_FOLD_OPTIONS,
  epochs: true,
  batchSize: true,
  signal: true,
  onFold: true,
};

/**
 * Measures how well a kind of model learns from data: for each fold of `kFold`, a new model learns from all parts but one
 * and is measured on that one. The models train one after the other and are disposed of.
 *
 * @param build Makes a compiled model, a new one for each fold. One seed for all of them leaves the data as the only
 *   difference between folds; `fold.fold` in the seed takes in the chance of first weights as well.
 * @param options Those of `kFold` (`seed` and `shuffle` are of the parts), and `epochs` and `batchSize` of `fit`.
 *
 * Rejects as `kFold`, `fit` and `evaluate` do, and with ERR_ABORTED when `signal` comes before the last fold is done; what
 * was done is what `onFold` got.
 */
export async function crossValidate(
  build: (fold: Fold) => Sequential | Promise<Sequential>,
  data: LabelledSamples,
  options?: CrossValidateOptions,
): Promise<CrossValidation> {
  const checked = checkOptions(options, 'crossValidate', OPTIONS);
  const { epochs, batchSize, signal, onFold, ...kFoldOptions } = checked;
  if (typeof build !== 'function') throw expected('a function that returns a compiled model', 'build', build);
  checkSignal(signal);
  checkCallback(onFold, 'onFold');
  const results: FoldResult[] = [];
  for (const fold of kFold(data, kFoldOptions)) {
    const result = await measureFold(build, fold, { epochs, batchSize, signal });
    results.push(result);
    await onFold?.(result);
  }
  return { folds: results, ...summarize(results.map(({ evaluation }) => evaluation)) };
}

async function measureFold(
  build: (fold: Fold) => Sequential | Promise<Sequential>,
  fold: Fold,
  { signal, ...options }: Pick<FitOptions, 'epochs' | 'batchSize' | 'signal'>,
): Promise<FoldResult> {
  const model = await build(fold);
  if (!(model instanceof Sequential)) throw expected('a compiled model', 'the result of build', model);
  try {
    const history = await model.fit(fold.train, { ...options, signal });
    const evaluation = await model.evaluate(fold.validation, { signal });
    return { fold: fold.fold, folds: fold.folds, evaluation, history };
  } catch (error) {
    if (!signal?.aborted) throw error;
    const message = `Cross-validation was aborted in fold ${fold.fold} of ${fold.folds}.`;
    throw new MnistTrainError('ERR_ABORTED', message, { cause: signal.reason });
  } finally {
    model.dispose();
  }
}

function summarize(evaluations: readonly Evaluation[]): Pick<CrossValidation, 'mean' | 'deviation'> {
  const summary: Pick<CrossValidation, 'mean' | 'deviation'> = { mean: {}, deviation: {} };
  for (const name of Object.keys(evaluations[0]) as (keyof Evaluation)[]) {
    const values = evaluations.map((evaluation) => evaluation[name]);
    if (name === 'count' || !values.every((value) => typeof value === 'number')) continue;
    summary.mean[name] = mean(values);
    summary.deviation[name] = sampleDeviation(values);
  }
  return summary;
}
