/**
 * Batch normalization over the last axis. Shapes: input, output and gradients [rows, positions, channels]; mean, variance,
 * gamma, beta and their gradients [channels]; parts as in parts.ts.
 */

import { expected } from '../../../errors.js';
import { type OpName, partsOf, SAMPLES_PER_PART } from '../../../program/ops.js';
import {
  type FloatMatrix,
  type Kernel,
  type PrepareKernel,
  requireColumns,
  requireSameShape,
  rowsIn,
} from './kernel.js';
import { requireParts, samplesInPart } from './parts.js';

const fround = Math.fround;

/** The channels of a batch whose mean this is; checks that the others have a value for each, and rows whole positions. */
function requireChannels(op: OpName, input: FloatMatrix, mean: FloatMatrix, others: (FloatMatrix | null)[]): number {
  const channels = mean.values.length;
  requirePositions(op, input, channels);
  for (const other of others) if (other) requireVector(op, other, channels);
  return channels;
}

function requirePositions(op: OpName, input: FloatMatrix, channels: number): void {
  if (input.columns % channels !== 0) {
    const name = `buffer ${input.name} of ${op}`;
    throw expected(`a multiple of ${channels} columns`, name, input.columns, '', 'ERR_SHAPE');
  }
}

function requireVector(op: OpName, vector: FloatMatrix, length: number): void {
  requireColumns(op, vector, length);
  if (vector.batched || vector.rows !== 1) {
    throw expected('one row', `buffer ${vector.name} of ${op}`, vector.rows, '', 'ERR_SHAPE');
  }
}

/** parts[part, 0, channel] = the mean over a part's samples, parts[part, 1, channel] = the squared deviations' sum. */
export const prepareChannelMoments: PrepareKernel<'channelMoments'> = (op, { float }) => {
  const input = float(op.input);
  const parts = float(op.parts);
  const { channels } = op;
  requirePositions('channelMoments', input, channels);
  requireParts('channelMoments', parts, input, 2, channels);
  const run: Kernel = (step) => {
    const rows = rowsIn(input, step);
    for (let part = 0; part * SAMPLES_PER_PART < rows; part++) {
      const from = part * SAMPLES_PER_PART * input.columns;
      const end = from + samplesInPart(part, rows) * input.columns;
      findMoments(input.values, from, end, channels, parts.values, part * 2 * channels);
    }
  };
  return run;
};

function findMoments(
  input: Float32Array,
  from: number,
  end: number,
  channels: number,
  moments: Float32Array,
  means: number,
): void {
  const squares = means + channels;
  moments.fill(0, means, squares + channels);
  for (let at = from; at < end; at += channels) {
    for (let c = 0; c < channels; c++) moments[means + c] = fround(moments[means + c] + input[at + c]);
  }
  const share = fround(channels / (end - from));
  for (let c = 0; c < channels; c++) moments[means + c] = fround(moments[means + c] * share);
  for (let at = from; at < end; at += channels) {
    for (let c = 0; c < channels; c++) {
      const d = fround(input[at + c] - moments[means + c]);
      moments[squares + c] = fround(moments[squares + c] + fround(d * d));
    }
  }
}

/** mean and variance of a step's samples from the moments of its parts; the moving ones follow. */
export const prepareBatchNormStatistics: PrepareKernel<'batchNormStatistics'> = (op, { float, capacity }) => {
  const parts = float(op.parts);
  const mean = float(op.mean);
  const variance = float(op.variance);
  const movingMean = float(op.movingMean);
  const movingVariance = float(op.movingVariance);
  const { columns: channels } = parts;
  for (const vector of [mean, variance, movingMean, movingVariance]) {
    requireVector('batchNormStatistics', vector, channels);
  }
  if (parts.batched || parts.rows !== 2 * partsOf(capacity)) {
    const name = `buffer ${parts.name} of batchNormStatistics`;
    throw expected(`${2 * partsOf(capacity)} rows of a fixed shape`, name, parts.rows, '', 'ERR_SHAPE');
  }
  const { positions } = op;
  const momentum = fround(op.momentum);
  const rest = fround(1 - op.momentum);
  const run: Kernel = (step) => {
    // The variance's place holds the sum of squares until all parts are in.
    const count = combineMoments(parts.values, step.rows, positions, channels, mean.values, variance.values);
    const share = fround(1 / count);
    for (let c = 0; c < channels; c++) variance.values[c] = fround(variance.values[c] * share);
    follow(movingMean.values, mean.values, momentum, rest);
    follow(movingVariance.values, variance.values, momentum, rest);
  };
  return run;
};

/** means and squares of all parts of `rows` samples (Chan, Golub and LeVeque 1979). Returns the values of a channel. */
function combineMoments(
  moments: Float32Array,
  rows: number,
  positions: number,
  channels: number,
  means: Float32Array,
  squares: Float32Array,
): number {
  let count = samplesInPart(0, rows) * positions;
  for (let c = 0; c < channels; c++) {
    means[c] = moments[c];
    squares[c] = moments[channels + c];
  }
  for (let part = 1; part * SAMPLES_PER_PART < rows; part++) {
    const added = samplesInPart(part, rows) * positions;
    const total = count + added;
    const meanShare = fround(added / total);
    const squareShare = fround((count * added) / total);
    const from = part * 2 * channels;
    for (let c = 0; c < channels; c++) {
      const d = fround(moments[from + c] - means[c]);
      means[c] = fround(means[c] + fround(d * meanShare));
      const between = fround(fround(d * d) * squareShare);
      squares[c] = fround(squares[c] + fround(moments[from + channels + c] + between));
    }
    count = total;
  }
  return count;
}

/** moving = momentum · moving + rest · batch's. */
function follow(moving: Float32Array, batch: Float32Array, momentum: number, rest: number): void {
  for (let c = 0; c < moving.length; c++) moving[c] = fround(fround(momentum * moving[c]) + fround(rest * batch[c]));
}

/** inverses = 1 / sqrt(variance + epsilon). */
function invert(variance: Float32Array, epsilon: number, inverses: Float32Array): void {
  for (let c = 0; c < inverses.length; c++) {
    inverses[c] = fround(1 / fround(Math.sqrt(fround(variance[c] + epsilon))));
  }
}

/** factors *= gamma. */
function scaleBy(factors: Float32Array, gamma: Float32Array): void {
  for (let c = 0; c < factors.length; c++) factors[c] = fround(gamma[c] * factors[c]);
}

/** output = (input - mean) / sqrt(variance + epsilon) · gamma + beta. */
export const prepareBatchNorm: PrepareKernel<'batchNorm'> = (op, { float }) => {
  const input = float(op.input);
  const mean = float(op.mean);
  const variance = float(op.variance);
  const gamma = op.gamma ? float(op.gamma) : null;
  const beta = op.beta ? float(op.beta) : null;
  const output = float(op.output);
  requireSameShape('batchNorm', output, input);
  const channels = requireChannels('batchNorm', input, mean, [mean, variance, gamma, beta]);
  const epsilon = fround(op.epsilon);
  const scales = new Float32Array(channels);
  // Adding 0 changes nothing but the sign of a zero, which is nobody's business (docs/numerics.md, rule 4).
  const shifts = beta ? beta.values : new Float32Array(channels);
  const run: Kernel = (step) => {
    invert(variance.values, epsilon, scales);
    if (gamma) scaleBy(scales, gamma.values);
    const count = rowsIn(input, step) * input.columns;
    normalize(input.values, count, mean.values, scales, shifts, output.values);
  };
  return run;
};

function normalize(
  input: Float32Array,
  count: number,
  means: Float32Array,
  scales: Float32Array,
  shifts: Float32Array,
  output: Float32Array,
): void {
  const channels = scales.length;
  for (let from = 0; from < count; from += channels) {
    for (let c = 0; c < channels; c++) {
      output[from + c] = fround(fround(fround(input[from + c] - means[c]) * scales[c]) + shifts[c]);
    }
  }
}

/** dGammaParts[part, channel] = Σ dOutput · normalized input, dBetaParts[part, channel] = Σ dOutput over a part's samples. */
export const prepareBatchNormSums: PrepareKernel<'batchNormSums'> = (op, { float }) => {
  const input = float(op.input);
  const mean = float(op.mean);
  const variance = float(op.variance);
  const dOutput = float(op.dOutput);
  const dGammaParts = float(op.dGammaParts);
  const dBetaParts = float(op.dBetaParts);
  requireSameShape('batchNormSums', dOutput, input);
  const channels = requireChannels('batchNormSums', input, mean, [mean, variance]);
  requireParts('batchNormSums', dGammaParts, input, 1, channels);
  requireParts('batchNormSums', dBetaParts, input, 1, channels);
  const epsilon = fround(op.epsilon);
  const inverses = new Float32Array(channels);
  const run: Kernel = (step) => {
    invert(variance.values, epsilon, inverses);
    const rows = rowsIn(input, step);
    const { values: x } = input;
    const { values: dy } = dOutput;
    for (let part = 0; part * SAMPLES_PER_PART < rows; part++) {
      const from = part * SAMPLES_PER_PART * input.columns;
      const end = from + samplesInPart(part, rows) * input.columns;
      const to = part * channels;
      sumGradients(x, dy, from, end, mean.values, inverses, dGammaParts.values, dBetaParts.values, to);
    }
  };
  return run;
};

function sumGradients(
  input: Float32Array,
  dOutput: Float32Array,
  from: number,
  end: number,
  means: Float32Array,
  inverses: Float32Array,
  dGamma: Float32Array,
  dBeta: Float32Array,
  to: number,
): void {
  const channels = inverses.length;
  dGamma.fill(0, to, to + channels);
  dBeta.fill(0, to, to + channels);
  for (let at = from; at < end; at += channels) {
    for (let c = 0; c < channels; c++) {
      const dy = dOutput[at + c];
      const normalized = fround(fround(input[at + c] - means[c]) * inverses[c]);
      dGamma[to + c] = fround(dGamma[to + c] + fround(dy * normalized));
      dBeta[to + c] = fround(dBeta[to + c] + dy);
    }
  }
}

/** dInput = scale · ((dOutput - dBeta / n) - normalized · (dGamma / n)), n the values of a channel in the step. */
export const prepareBatchNormBackward: PrepareKernel<'batchNormBackward'> = (op, { float }) => {
  const input = float(op.input);
  const mean = float(op.mean);
  const variance = float(op.variance);
  const gamma = op.gamma ? float(op.gamma) : null;
  const dGamma = float(op.dGamma);
  const dBeta = float(op.dBeta);
  const dOutput = float(op.dOutput);
  const dInput = float(op.dInput);
  requireSameShape('batchNormBackward', dOutput, input);
  requireSameShape('batchNormBackward', dInput, input);
  const channels = requireChannels('batchNormBackward', input, mean, [mean, variance, gamma, dGamma, dBeta]);
  const epsilon = fround(op.epsilon);
  const inverses = new Float32Array(channels);
  const scales = new Float32Array(channels);
  const gammaShares = new Float32Array(channels);
  const betaShares = new Float32Array(channels);
  const run: Kernel = (step) => {
    invert(variance.values, epsilon, inverses);
    scales.set(inverses);
    if (gamma) scaleBy(scales, gamma.values);
    const count = rowsIn(input, step) * input.columns;
    const share = fround(channels / count);
    for (let c = 0; c < channels; c++) {
      gammaShares[c] = fround(dGamma.values[c] * share);
      betaShares[c] = fround(dBeta.values[c] * share);
    }
    const { values: x } = input;
    const { values: dy } = dOutput;
    passBack(x, dy, count, mean.values, inverses, scales, gammaShares, betaShares, dInput.values);
  };
  return run;
};

function passBack(
  input: Float32Array,
  dOutput: Float32Array,
  count: number,
  means: Float32Array,
  inverses: Float32Array,
  scales: Float32Array,
  gammaShares: Float32Array,
  betaShares: Float32Array,
  dInput: Float32Array,
): void {
  const channels = inverses.length;
  for (let from = 0; from < count; from += channels) {
    for (let c = 0; c < channels; c++) {
      const at = from + c;
      const normalized = fround(fround(input[at] - means[c]) * inverses[c]);
      const centred = fround(fround(dOutput[at] - betaShares[c]) - fround(normalized * gammaShares[c]));
      dInput[at] = fround(scales[c] * centred);
    }
  }
}

/** foldedWeights[rows, channels] = weights · scale, foldedBias = (bias - mean) · scale + beta. */
export const prepareFoldBatchNorm: PrepareKernel<'foldBatchNorm'> = (op, { float }) => {
  const weights = float(op.weights);
  const bias = op.bias ? float(op.bias) : null;
  const mean = float(op.mean);
  const variance = float(op.variance);
  const gamma = op.gamma ? float(op.gamma) : null;
  const beta = op.beta ? float(op.beta) : null;
  const foldedWeights = float(op.foldedWeights);
  const foldedBias = float(op.foldedBias);
  const { columns: channels } = weights;
  requireSameShape('foldBatchNorm', foldedWeights, weights);
  for (const vector of [bias, mean, variance, gamma, beta, foldedBias]) {
    if (vector) requireVector('foldBatchNorm', vector, channels);
  }
  const epsilon = fround(op.epsilon);
  const scales = new Float32Array(channels);
  const zeros = new Float32Array(channels);
  const run: Kernel = () => {
    invert(variance.values, epsilon, scales);
    if (gamma) scaleBy(scales, gamma.values);
    const { values: from } = weights;
    const { values: to } = foldedWeights;
    for (let row = 0; row < from.length; row += channels) {
      for (let c = 0; c < channels; c++) to[row + c] = fround(from[row + c] * scales[c]);
    }
    const biases = bias ? bias.values : zeros;
    normalize(biases, channels, mean.values, scales, beta ? beta.values : zeros, foldedBias.values);
  };
  return run;
};
