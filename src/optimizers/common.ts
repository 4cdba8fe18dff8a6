import { checkNumber, expected } from '../errors.js';
import type { JsonValue } from '../json.js';
import { checkBoolean, type OptionNames } from '../options.js';
import type { Clipping, Optimizer, OptimizerState } from './optimizer.js';

/** What every optimizer takes besides the options of its own rule, under Keras's names. */
export interface CommonOptimizerOptions {
  /** Keeps every element of the gradients within -clipValue and clipValue; above 0. Default: no clipping. */
  clipValue?: number;
  /**
   * Scales all gradients together down to this Euclidean norm where theirs is greater, as PyTorch's clip_grad_norm_ does;
   * above 0, not together with clipValue. Default: no clipping. Penalties of regularizers are part of the gradients.
   */
  globalClipNorm?: number;
  /**
   * Keeps a moving average of every weight: `average = emaMomentum · average + (1 - emaMomentum) · weight` after each step,
   * the first of which makes it the weight. The averages are what evaluation, prediction, `getWeights` and `save` show,
   * while training goes on from the weights themselves. Default false.
   */
  useEma?: boolean;
  /** The share of the average that a step leaves, in [0, 1); default 0.99. Only with useEma. */
  emaMomentum?: number;
}

export const COMMON_OPTIONS: OptionNames<CommonOptimizerOptions> = {
  clipValue: true,
  globalClipNorm: true,
  useEma: true,
  emaMomentum: true,
};

/** A float32 that is not rounded to zero. Throws ERR_ARGUMENT. */
export function checkEpsilon(value: number): number {
  return checkNumber(value, 'epsilon', 2 ** -126);
}

/** An update rule as its file states it. Without `advance` it counts steps and has no powers. */
interface Rule
  extends Pick<Optimizer, 'name' | 'config' | 'learningRate' | 'scalarNames' | 'lower' | 'scalarsAt'>,
    Partial<Pick<Optimizer, 'initialState' | 'advance'>> {}

/** The scalar of the averages: how much of the way to the weight an average goes in a step. */
const AVERAGE_RATE = 'averageRate';

/** An optimizer of a rule and the common options. Throws ERR_ARGUMENT. */
export function makeOptimizer(rule: Rule, options: CommonOptimizerOptions): Optimizer {
  const clipping = checkClipping(options);
  const emaMomentum = checkEma(options);
  const averages = emaMomentum !== null;
  return Object.freeze<Optimizer>({
    initialState: () => ({ step: 0, powers: [] }),
    advance: ({ step }) => ({ step: step + 1, powers: [] }),
    ...rule,
    config: { ...rule.config, ...configOf(clipping, emaMomentum) },
    clipping,
    averages,
    scalarNames: averages ? [...rule.scalarNames, AVERAGE_RATE] : rule.scalarNames,
    scalarsAt: averages
      ? (state, rate) => [...rule.scalarsAt(state, rate), averageRate(state, emaMomentum)]
      : rule.scalarsAt,
  });
}

/** The first weights that count are those after the first step: those before it were drawn at random. */
const averageRate = ({ step }: OptimizerState, momentum: number): number => (step === 1 ? 1 : 1 - momentum);

function configOf(clipping: Clipping | null, emaMomentum: number | null): Record<string, JsonValue> {
  return {
    clipValue: clipping?.by === 'value' ? clipping.limit : null,
    globalClipNorm: clipping?.by === 'globalNorm' ? clipping.limit : null,
    useEma: emaMomentum !== null,
    emaMomentum,
  };
}

function checkClipping({ clipValue, globalClipNorm }: CommonOptimizerOptions): Clipping | null {
  if (clipValue !== undefined && globalClipNorm !== undefined) {
    throw expected('no value', 'globalClipNorm with clipValue', globalClipNorm, 'Choose one of them.');
  }
  if (clipValue !== undefined) return { by: 'value', limit: checkLimit(clipValue, 'clipValue') };
  if (globalClipNorm !== undefined) return { by: 'globalNorm', limit: checkLimit(globalClipNorm, 'globalClipNorm') };
  return null;
}

function checkLimit(value: unknown, name: string): number {
  if (checkNumber(value, name) <= 0) throw expected('a number above 0', name, value);
  return value as number;
}

function checkEma({ useEma, emaMomentum }: CommonOptimizerOptions): number | null {
  if (checkBoolean(useEma ?? false, 'useEma')) return checkNumber(emaMomentum ?? 0.99, 'emaMomentum', 0, 1, true);
  if (emaMomentum !== undefined) throw expected('useEma: true', 'the options with emaMomentum', useEma);
  return null;
}
