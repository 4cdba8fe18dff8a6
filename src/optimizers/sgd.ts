import { checkNumber, expected } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import { checkSchedule, type Schedule } from '../schedules/schedule.js';
import { COMMON_OPTIONS, type CommonOptimizerOptions, makeOptimizer } from './common.js';
import type { Optimizer } from './optimizer.js';

export interface SgdOptions extends CommonOptimizerOptions {
  /** At least 0, or a schedule; default 0.01. */
  learningRate?: Schedule;
  /** In [0, 1); default 0. */
  momentum?: number;
  /** Nesterov's momentum; needs momentum above 0. Default false. */
  nesterov?: boolean;
  /** The factor of the L2 penalty's gradient, at least 0; default 0. Applies to biases as well. */
  weightDecay?: number;
}

/**
 * Stochastic gradient descent by PyTorch's rule:
 * g = gradient + weightDecay · w; v = momentum · v + g; w = w - learningRate · (nesterov ? g + momentum · v : v).
 */
export function sgd(options?: SgdOptions): Optimizer {
  const checked = checkOptions(options, 'sgd', {
    learningRate: true,
    momentum: true,
    nesterov: true,
    weightDecay: true,
    ...COMMON_OPTIONS,
  });
  const learningRate = checkSchedule(checked.learningRate ?? 0.01, 'learningRate');
  const momentum = checkNumber(checked.momentum ?? 0, 'momentum', 0, 1, true);
  const nesterov = checkBoolean(checked.nesterov ?? false, 'nesterov');
  const weightDecay = checkNumber(checked.weightDecay ?? 0, 'weightDecay', 0);
  if (nesterov && momentum === 0) throw expected('a number above 0', 'momentum with nesterov', momentum);
  return makeOptimizer(
    {
      name: 'sgd',
      config: { momentum, nesterov, weightDecay },
      learningRate,
      scalarNames: ['learningRate'],
      lower: (builder, parameter, gradient, [rate]) => {
        const velocity =
          momentum === 0 ? null : builder.persistent(`${parameter}.velocity`, 'slot', builder.shapeOf(parameter));
        builder.add({ op: 'sgd', parameter, gradient, velocity, learningRate: rate, momentum, nesterov, weightDecay });
      },
      scalarsAt: (_state, rate) => [rate],
    },
    checked,
  );
}
