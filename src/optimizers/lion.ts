import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkSchedule, type Schedule } from '../schedules/schedule.js';
import { COMMON_OPTIONS, type CommonOptimizerOptions, makeOptimizer } from './common.js';
import type { Optimizer } from './optimizer.js';

export interface LionOptions extends CommonOptimizerOptions {
  /** At least 0, or a schedule; default 0.0001. Every step moves a weight by just so much: a third to a tenth of Adam's. */
  learningRate?: Schedule;
  /** The momentum's share in the direction of a step, in [0, 1); default 0.9. */
  beta1?: number;
  /** Decay of the momentum, in [0, 1); default 0.99. */
  beta2?: number;
  /** Decoupled weight decay as in adamw, at least 0; default 0. Applies to biases as well. */
  weightDecay?: number;
}

/**
 * Lion (Chen et al., "Symbolic Discovery of Optimization Algorithms", 2023, algorithm 2):
 * c = β1 · m + (1 - β1) · g; w = w · (1 - learningRate · weightDecay) - learningRate · sign(c);
 * m = β2 · m + (1 - β2) · g. The sign of 0 is 0.
 */
export function lion(options?: LionOptions): Optimizer {
  const checked = checkOptions(options, 'lion', {
    learningRate: true,
    beta1: true,
    beta2: true,
    weightDecay: true,
    ...COMMON_OPTIONS,
  });
  const learningRate = checkSchedule(checked.learningRate ?? 1e-4, 'learningRate');
  const beta1 = checkNumber(checked.beta1 ?? 0.9, 'beta1', 0, 1, true);
  const beta2 = checkNumber(checked.beta2 ?? 0.99, 'beta2', 0, 1, true);
  const weightDecay = checkNumber(checked.weightDecay ?? 0, 'weightDecay', 0);
  return makeOptimizer(
    {
      name: 'lion',
      config: { beta1, beta2, weightDecay },
      learningRate,
      scalarNames: ['learningRate', 'decay'],
      lower: (builder, parameter, gradient, [rate, decay]) => {
        const momentum = builder.persistent(`${parameter}.momentum`, 'slot', builder.shapeOf(parameter));
        builder.add({ op: 'lion', parameter, gradient, momentum, learningRate: rate, decay, beta1, beta2 });
      },
      scalarsAt: (_state, rate) => [rate, 1 - rate * weightDecay],
    },
    checked,
  );
}
