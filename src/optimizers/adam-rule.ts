import { checkNumber } from '../errors.js';
import { checkOptions } from '../options.js';
import { checkSchedule, type Schedule } from '../schedules/schedule.js';
import { COMMON_OPTIONS, type CommonOptimizerOptions, checkEpsilon, makeOptimizer } from './common.js';
import type { Optimizer } from './optimizer.js';

export interface AdamOptions extends CommonOptimizerOptions {
  /** At least 0, or a schedule; default 0.001. */
  learningRate?: Schedule;
  /** Decay of the first moment, in [0, 1); default 0.9. */
  beta1?: number;
  /** Decay of the second moment, in [0, 1); default 0.999. */
  beta2?: number;
  /** Keeps the division finite; at least 2⁻¹²⁶, the smallest normal float32. Default 1e-8. */
  epsilon?: number;
  /** At least 0; default 0 in adam and 0.01 in adamw. Applies to biases as well. */
  weightDecay?: number;
}

/** What adam and adamw have in common: all but where weight decay comes in. */
export function makeAdam(name: 'adam' | 'adamw', options: AdamOptions | undefined, defaultDecay: number): Optimizer {
  const checked = checkOptions(options, name, {
    learningRate: true,
    beta1: true,
    beta2: true,
    epsilon: true,
    weightDecay: true,
    ...COMMON_OPTIONS,
  });
  const learningRate = checkSchedule(checked.learningRate ?? 0.001, 'learningRate');
  const beta1 = checkNumber(checked.beta1 ?? 0.9, 'beta1', 0, 1, true);
  const beta2 = checkNumber(checked.beta2 ?? 0.999, 'beta2', 0, 1, true);
  const epsilon = checkEpsilon(checked.epsilon ?? 1e-8);
  const weightDecay = checkNumber(checked.weightDecay ?? defaultDecay, 'weightDecay', 0);
  const [penalty, decoupled] = name === 'adam' ? [weightDecay, 0] : [0, weightDecay];
  return makeOptimizer(
    {
      name,
      config: { beta1, beta2, epsilon, weightDecay },
      learningRate,
      scalarNames: ['stepSize', 'correction', 'decay'],
      lower: (builder, parameter, gradient, [stepSize, correction, decay]) => {
        const shape = builder.shapeOf(parameter);
        const firstMoment = builder.persistent(`${parameter}.firstMoment`, 'slot', shape);
        const secondMoment = builder.persistent(`${parameter}.secondMoment`, 'slot', shape);
        const moments = { firstMoment, secondMoment, beta1, beta2, epsilon, weightDecay: penalty };
        builder.add({ op: 'adam', parameter, gradient, ...moments, stepSize, correction, decay });
      },
      initialState: () => ({ step: 0, powers: [1, 1] }),
      // Math.pow may differ in its last bit between engines; multiplication may not.
      advance: ({ step, powers }) => ({ step: step + 1, powers: [powers[0] * beta1, powers[1] * beta2] }),
      scalarsAt: ({ powers }, rate) => [rate / (1 - powers[0]), 1 / Math.sqrt(1 - powers[1]), 1 - rate * decoupled],
    },
    checked,
  );
}
