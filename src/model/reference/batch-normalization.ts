import type { BufferName } from '../../program/ops.js';
import type { ReferenceLayer, ReferenceWeights } from './layer.js';

/** (input - mean) / sqrt(variance + epsilon) · gamma + beta for each channel. n = input of mean 0 and variance 1. */
export function batchNormalization(
  weights: ReferenceWeights,
  name: string,
  channels: number,
  epsilon: number,
  ofBatch: boolean,
): ReferenceLayer {
  const gamma = weights.get(`${name}.weight`);
  const beta = weights.get(`${name}.bias`);
  return (input) => {
    const moments = ofBatch ? momentsOf(input, channels) : movingMoments(weights, name);
    const inverse = Float64Array.from(moments.variance, (variance) => 1 / Math.sqrt(variance + epsilon));
    const scale = inverse.map((value, c) => value * (gamma?.[c] ?? 1));
    const normalized = input.map((x, i) => (x - moments.mean[i % channels]) * inverse[i % channels]);
    const output = normalized.map((n, i) => n * (gamma?.[i % channels] ?? 1) + (beta?.[i % channels] ?? 0));
    return {
      output,
      sums: null,
      switches: () => [],
      pullback: (dOutput) => {
        const dBeta = new Float64Array(channels);
        const dGamma = new Float64Array(channels);
        dOutput.forEach((d, i) => {
          dBeta[i % channels] += d;
          dGamma[i % channels] += d * normalized[i];
        });
        const parameters = new Map<BufferName, Float64Array>();
        if (gamma) parameters.set(`${name}.weight`, dGamma);
        if (beta) parameters.set(`${name}.bias`, dBeta);
        // The batch's mean and variance depend on the input, moving ones do not.
        const n = input.length / channels;
        const dInput = dOutput.map((d, i) => {
          const c = i % channels;
          return scale[c] * (ofBatch ? d - dBeta[c] / n - (normalized[i] * dGamma[c]) / n : d);
        });
        return { dInput, dSums: null, parameters };
      },
    };
  };
}

interface Moments {
  mean: ArrayLike<number>;
  variance: ArrayLike<number>;
}

function movingMoments(weights: ReferenceWeights, name: string): Moments {
  return { mean: weights.get(`${name}.running_mean`)!, variance: weights.get(`${name}.running_var`)! };
}

/** Over all rows and positions; the variance is divided by their number. */
function momentsOf(input: Float64Array, channels: number): Moments {
  const n = input.length / channels;
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  input.forEach((x, i) => {
    mean[i % channels] += x / n;
  });
  input.forEach((x, i) => {
    variance[i % channels] += (x - mean[i % channels]) ** 2 / n;
  });
  return { mean, variance };
}
