/** PyTorch's update rules, in place on the parameter and its slots; all arrays have the parameter's shape. */

import { type FloatMatrix, type Kernel, type PrepareKernel, requireSameShape } from './kernel.js';

const fround = Math.fround;
const SMALLEST_NORMAL = 2 ** -126;

/** The gradient with that of the L2 penalty. */
function penalized(gradient: number, weightDecay: number, w: number): number {
  return weightDecay !== 0 ? fround(gradient + fround(weightDecay * w)) : gradient;
}

/** 0 for subnormal numbers: slots of rarely used weights would decay into them, and some processors crawl there. */
function flush(x: number): number {
  return Math.abs(x) < SMALLEST_NORMAL ? 0 : x;
}

/** g = gradient + weightDecay · w; v = momentum · v + g; w -= learningRate · v, or (g + momentum · v) with Nesterov. */
export const prepareSgd: PrepareKernel<'sgd'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const gradient = float(op.gradient);
  const velocity = op.velocity ? float(op.velocity) : null;
  requireSameShape('sgd', gradient, parameter);
  if (velocity) requireSameShape('sgd', velocity, parameter);

  const { learningRate, nesterov } = op;
  const momentum = fround(op.momentum);
  const weightDecay = fround(op.weightDecay);
  const run: Kernel = (step) => {
    const rate = step.scalars[step.scalarOffset + learningRate];
    if (velocity) stepWithMomentum(parameter, gradient, velocity, rate, momentum, nesterov, weightDecay);
    else stepPlain(parameter, gradient, rate, weightDecay);
  };
  return run;
};

function stepPlain({ values: w }: FloatMatrix, gradient: FloatMatrix, rate: number, weightDecay: number): void {
  const { values: gradients } = gradient;
  for (let i = 0; i < w.length; i++) {
    const g = penalized(gradients[i], weightDecay, w[i]);
    w[i] = fround(w[i] - fround(rate * g));
  }
}

function stepWithMomentum(
  { values: w }: FloatMatrix,
  { values: gradients }: FloatMatrix,
  { values: velocities }: FloatMatrix,
  rate: number,
  momentum: number,
  nesterov: boolean,
  weightDecay: number,
): void {
  for (let i = 0; i < w.length; i++) {
    const g = penalized(gradients[i], weightDecay, w[i]);
    const v = flush(fround(fround(momentum * velocities[i]) + g));
    velocities[i] = v;
    const d = nesterov ? fround(g + fround(momentum * v)) : v;
    w[i] = fround(w[i] - fround(rate * d));
  }
}

/**
 * g = gradient + weightDecay · w; m = β1 m + (1 - β1) g; v = β2 v + (1 - β2) g²;
 * w = w · decay - stepSize · m / (sqrt(v) · correction + epsilon).
 */
export const prepareAdam: PrepareKernel<'adam'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const gradient = float(op.gradient);
  const firstMoment = float(op.firstMoment);
  const secondMoment = float(op.secondMoment);
  requireSameShape('adam', gradient, parameter);
  requireSameShape('adam', firstMoment, parameter);
  requireSameShape('adam', secondMoment, parameter);

  const beta1 = fround(op.beta1);
  const rest1 = fround(1 - op.beta1);
  const beta2 = fround(op.beta2);
  const rest2 = fround(1 - op.beta2);
  const epsilon = fround(op.epsilon);
  const weightDecay = fround(op.weightDecay);
  const { stepSize, correction, decay } = op;
  const run: Kernel = ({ scalars, scalarOffset }) => {
    updateAdam(
      parameter.values,
      gradient.values,
      firstMoment.values,
      secondMoment.values,
      beta1,
      rest1,
      beta2,
      rest2,
      epsilon,
      weightDecay,
      scalars[scalarOffset + stepSize],
      scalars[scalarOffset + correction],
      scalars[scalarOffset + decay],
    );
  };
  return run;
};

/** Takes everything as a parameter: 9.7 ns per weight, and 11.4 where the loop reads its constants from the closure. */
function updateAdam(
  w: Float32Array,
  gradients: Float32Array,
  firsts: Float32Array,
  seconds: Float32Array,
  beta1: number,
  rest1: number,
  beta2: number,
  rest2: number,
  epsilon: number,
  weightDecay: number,
  stepSize: number,
  correction: number,
  decay: number,
): void {
  for (let i = 0; i < w.length; i++) {
    const g = penalized(gradients[i], weightDecay, w[i]);
    const m = flush(fround(fround(beta1 * firsts[i]) + fround(rest1 * g)));
    const v = flush(fround(fround(beta2 * seconds[i]) + fround(rest2 * fround(g * g))));
    firsts[i] = m;
    seconds[i] = v;
    const divisor = fround(fround(fround(Math.sqrt(v)) * correction) + epsilon);
    // Multiplying by a decay of exactly 1 changes no bit.
    w[i] = fround(fround(w[i] * decay) - fround(fround(stepSize * m) / divisor));
  }
}

/**
 * g = gradient + weightDecay · w; v = α v + (1 - α) g²; centered: a = α a + (1 - α) g, d = sqrt(v - a²) + epsilon, else
 * d = sqrt(v) + epsilon; with momentum b = momentum · b + g / d, w -= learningRate · b, else w -= learningRate · g / d.
 */
export const prepareRmsprop: PrepareKernel<'rmsprop'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const slots = [op.meanSquare, op.meanGradient, op.velocity].map((name) => (name === null ? null : float(name)));
  const gradient = float(op.gradient);
  for (const slot of [gradient, ...slots]) if (slot) requireSameShape('rmsprop', slot, parameter);

  const [meanSquare, meanGradient, velocity] = slots.map((slot) => slot?.values ?? null);
  const constants: RmspropConstants = {
    alpha: fround(op.alpha),
    rest: fround(1 - op.alpha),
    epsilon: fround(op.epsilon),
    momentum: fround(op.momentum),
    weightDecay: fround(op.weightDecay),
  };
  const { learningRate } = op;
  const run: Kernel = ({ scalars, scalarOffset }) => {
    const rate = scalars[scalarOffset + learningRate];
    updateRmsprop(parameter.values, gradient.values, meanSquare!, meanGradient, velocity, constants, rate);
  };
  return run;
};

interface RmspropConstants {
  alpha: number;
  rest: number;
  epsilon: number;
  momentum: number;
  weightDecay: number;
}

function updateRmsprop(
  w: Float32Array,
  gradients: Float32Array,
  meanSquares: Float32Array,
  meanGradients: Float32Array | null,
  velocities: Float32Array | null,
  { alpha, rest, epsilon, momentum, weightDecay }: RmspropConstants,
  rate: number,
): void {
  for (let i = 0; i < w.length; i++) {
    const g = penalized(gradients[i], weightDecay, w[i]);
    const v = flush(fround(fround(alpha * meanSquares[i]) + fround(rest * fround(g * g))));
    meanSquares[i] = v;
    let variance = v;
    if (meanGradients) {
      const a = flush(fround(fround(alpha * meanGradients[i]) + fround(rest * g)));
      meanGradients[i] = a;
      variance = fround(v - fround(a * a));
      if (variance < 0) variance = 0;
    }
    const d = fround(fround(Math.sqrt(variance)) + epsilon);
    if (velocities) {
      const b = flush(fround(fround(momentum * velocities[i]) + fround(g / d)));
      velocities[i] = b;
      w[i] = fround(w[i] - fround(rate * b));
    } else {
      w[i] = fround(w[i] - fround(fround(rate * g) / d));
    }
  }
}

/** g = gradient + weightDecay · w; s += g²; w -= rate · g / (sqrt(s) + epsilon). */
export const prepareAdagrad: PrepareKernel<'adagrad'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const gradient = float(op.gradient);
  const sumOfSquares = float(op.sumOfSquares);
  requireSameShape('adagrad', gradient, parameter);
  requireSameShape('adagrad', sumOfSquares, parameter);

  const epsilon = fround(op.epsilon);
  const weightDecay = fround(op.weightDecay);
  const run: Kernel = ({ scalars, scalarOffset }) => {
    const rate = scalars[scalarOffset + op.rate];
    const [w, gradients, sums] = [parameter.values, gradient.values, sumOfSquares.values];
    for (let i = 0; i < w.length; i++) {
      const g = penalized(gradients[i], weightDecay, w[i]);
      const s = flush(fround(sums[i] + fround(g * g)));
      sums[i] = s;
      w[i] = fround(w[i] - fround(fround(rate * g) / fround(fround(Math.sqrt(s)) + epsilon)));
    }
  };
  return run;
};

/** c = β1 m + (1 - β1) g; w = w · decay - learningRate · sign(c); m = β2 m + (1 - β2) g. NaN has the sign NaN. */
export const prepareLion: PrepareKernel<'lion'> = (op, { float }) => {
  const parameter = float(op.parameter);
  const gradient = float(op.gradient);
  const momentum = float(op.momentum);
  requireSameShape('lion', gradient, parameter);
  requireSameShape('lion', momentum, parameter);

  const beta1 = fround(op.beta1);
  const rest1 = fround(1 - op.beta1);
  const beta2 = fround(op.beta2);
  const rest2 = fround(1 - op.beta2);
  const run: Kernel = ({ scalars, scalarOffset }) => {
    const rate = scalars[scalarOffset + op.learningRate];
    const decay = scalars[scalarOffset + op.decay];
    const [w, gradients, momenta] = [parameter.values, gradient.values, momentum.values];
    for (let i = 0; i < w.length; i++) {
      const g = gradients[i];
      const m = momenta[i];
      const c = fround(fround(beta1 * m) + fround(rest1 * g));
      momenta[i] = flush(fround(fround(beta2 * m) + fround(rest2 * g)));
      w[i] = fround(fround(w[i] * decay) - (c > 0 ? rate : c < 0 ? -rate : c));
    }
  };
  return run;
};
