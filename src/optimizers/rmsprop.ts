import { checkNumber } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import { checkSchedule, type Schedule } from '../schedules/schedule.js';
import { COMMON_OPTIONS, type CommonOptimizerOptions, checkEpsilon, makeOptimizer } from './common.js';
import type { Optimizer } from './optimizer.js';

export interface RmspropOptions extends CommonOptimizerOptions {
  /** At least 0, or a schedule; default 0.01. */
  learningRate?: Schedule;
  /** PyTorch's smoothing constant, Keras's rho: decay of the mean of squared gradients, in [0, 1); default 0.99. */
  alpha?: number;
  /** Keeps the division finite; at least 2⁻¹²⁶, the smallest normal float32. Default 1e-8. */
  epsilon?: number;
  /** In [0, 1); default 0. */
  momentum?: number;
  /** Whether gradients are divided by their standard deviation in place of their root mean square; default false. */
  centered?: boolean;
  /** The factor of the L2 penalty's gradient, at least 0; default 0. Applies to biases as well. */
  weightDecay?: number;
}

/**
 * RMSprop (Tieleman and Hinton, 2012; centered: Graves, 2013) by PyTorch's rule:
 * g = gradient + weightDecay · w; v = α · v + (1 - α) · g²; d = sqrt(v) + ε;
 * centered: a = α · a + (1 - α) · g; d = sqrt(v - a²) + ε;
 * w = w - learningRate · g / d, or with momentum b = momentum · b + g / d; w = w - learningRate · b.
 *
 * v - a² is a variance: where rounding makes it negative, it counts as 0.
 */
export function rmsprop(options?: RmspropOptions): Optimizer {
  const checked = checkOptions(options, 'rmsprop', {
    learningRate: true,
    alpha: true,
    epsilon: true,
    momentum: true,
    centered: true,
    weightDecay: true,
    ...COMMON_OPTIONS,
  });
  const learningRate = checkSchedule(checked.learningRate ?? 0.01, 'learningRate');
  const alpha = checkNumber(checked.alpha ?? 0.99, 'alpha', 0, 1, true);
  const epsilon = checkEpsilon(checked.epsilon ?? 1e-8);
  const momentum = checkNumber(checked.momentum ?? 0, 'momentum', 0, 1, true);
  const centered = checkBoolean(checked.centered ?? false, 'centered');
  const weightDecay = checkNumber(checked.weightDecay ?? 0, 'weightDecay', 0);
  return makeOptimizer(
    {
      name: 'rmsprop',
      config: { alpha, epsilon, momentum, centered, weightDecay },
      learningRate,
      scalarNames: ['learningRate'],
      lower: (builder, parameter, gradient, [rate]) => {
        const slot = (name: string) => builder.persistent(`${parameter}.${name}`, 'slot', builder.shapeOf(parameter));
        const meanSquare = slot('meanSquare');
        const meanGradient = centered ? slot('meanGradient') : null;
        const velocity = momentum > 0 ? slot('velocity') : null;
        const slots = { meanSquare, meanGradient, velocity };
        const constants = { alpha, epsilon, momentum, weightDecay };
        builder.add({ op: 'rmsprop', parameter, gradient, ...slots, learningRate: rate, ...constants });
      },
      scalarsAt: (_state, rate) => [rate],
    },
    checked,
  );
}
