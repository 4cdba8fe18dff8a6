import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkSchedule, type Schedule } from '../schedules/schedule.js';
import { COMMON_OPTIONS, type CommonOptimizerOptions, checkEpsilon, makeOptimizer } from './common.js';
import type { Optimizer } from './optimizer.js';

export interface AdagradOptions extends CommonOptimizerOptions {
  /** At least 0, or a schedule; default 0.01. */
  learningRate?: Schedule;
  /** How fast the learning rate falls: it is divided by 1 + (t - 1) · learningRateDecay. At least 0; default 0. */
  learningRateDecay?: number;
  /** What the sums of squares start from, at least 0; default 0. */
  initialAccumulatorValue?: number;
  /** Keeps the division finite; at least 2⁻¹²⁶, the smallest normal float32. Default 1e-10. */
  epsilon?: number;
  /** The factor of the L2 penalty's gradient, at least 0; default 0. Applies to biases as well. */
  weightDecay?: number;
}

/**
 * Adagrad (Duchi, Hazan and Singer, 2011) by PyTorch's rule:
 * g = gradient + weightDecay · w; s = s + g²;
 * w = w - learningRate / (1 + (t - 1) · learningRateDecay) · g / (sqrt(s) + ε).
 */
export function adagrad(options?: AdagradOptions): Optimizer {
  const checked = checkOptions(options, 'adagrad', {
    learningRate: true,
    learningRateDecay: true,
    initialAccumulatorValue: true,
    epsilon: true,
    weightDecay: true,
    ...COMMON_OPTIONS,
  });
  const learningRate = checkSchedule(checked.learningRate ?? 0.01, 'learningRate');
  const learningRateDecay = checkNumber(checked.learningRateDecay ?? 0, 'learningRateDecay', 0);
  const initialAccumulatorValue = checkNumber(checked.initialAccumulatorValue ?? 0, 'initialAccumulatorValue', 0);
  const epsilon = checkEpsilon(checked.epsilon ?? 1e-10);
  const weightDecay = checkNumber(checked.weightDecay ?? 0, 'weightDecay', 0);
  return makeOptimizer(
    {
      name: 'adagrad',
      config: { learningRateDecay, initialAccumulatorValue, epsilon, weightDecay },
      learningRate,
      scalarNames: ['rate'],
      lower: (builder, parameter, gradient, [rate]) => {
        const [name, shape] = [`${parameter}.sumOfSquares`, builder.shapeOf(parameter)];
        const sumOfSquares = builder.persistent(name, 'slot', shape, initialAccumulatorValue);
        builder.add({ op: 'adagrad', parameter, gradient, sumOfSquares, rate, epsilon, weightDecay });
      },
      scalarsAt: ({ step }, rate) => [rate / (1 + (step - 1) * learningRateDecay)],
    },
    checked,
  );
}
