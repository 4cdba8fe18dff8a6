/**
 * The backward ops of images and of batch normalization against central differences, as in gradients.test.ts. A chain of
 * n terms is off by at most (n + 1) · U · Σ|a||b|, and Σ|a||b| is the same difference taken of absolute values.
 */
import { describe, expect, it } from 'vitest';
import { partsOf, type Windows } from '../../src/program/ops.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { DIFFERENCE, differences, expectClose, STEP, sum, U, wide } from '../helpers/differences.js';
import { windowsOf } from '../helpers/op-cases-images.js';
import { normal, type OpSetupBuilder, runOp, setUpOp, sparse } from '../helpers/op-harness.js';

const magnitudes = (values: Float64Array) => values.map(Math.abs);
const inputSize = (w: Windows) => w.inputHeight * w.inputWidth * w.channels;

/** The places in an image of what a window sees, -1 outside the image, tap by tap. */
function tapsOf(w: Windows, y: number, x: number): number[] {
  return Array.from({ length: w.kernelHeight * w.kernelWidth }, (_, tap) => {
    const iy = y * w.strideY - w.padTop + Math.floor(tap / w.kernelWidth);
    const ix = x * w.strideX - w.padLeft + (tap % w.kernelWidth);
    const isInside = iy >= 0 && iy < w.inputHeight && ix >= 0 && ix < w.inputWidth;
    return isInside ? (iy * w.inputWidth + ix) * w.channels : -1;
  });
}

/** Weighted sums [rows, outputHeight, outputWidth, filters] in float64. */
function convolve(w: Windows, rows: number, x: Float64Array, weights: Float64Array, bias: Float64Array): number[] {
  const filters = bias.length;
  const sums: number[] = [];
  for (let i = 0; i < rows; i++) {
    for (let p = 0; p < w.outputHeight * w.outputWidth; p++) {
      const taps = tapsOf(w, Math.floor(p / w.outputWidth), p % w.outputWidth);
      for (let f = 0; f < filters; f++) {
        let total = bias[f];
        taps.forEach((place, tap) => {
          for (let c = 0; place >= 0 && c < w.channels; c++) {
            total += x[i * inputSize(w) + place + c] * weights[(tap * w.channels + c) * filters + f];
          }
        });
        sums.push(total);
      }
    }
  }
  return sums;
}

/** The four values of each pool of positions, in the order of the pools' outputs. */
function foursOf(w: Windows, rows: number, filters: number, sums: number[]): number[][] {
  const fours: number[][] = [];
  for (let i = 0; i < rows; i++) {
    for (let y = 0; y + 1 < w.outputHeight; y += 2) {
      for (let x = 0; x + 1 < w.outputWidth; x += 2) {
        for (let f = 0; f < filters; f++) {
          const at = (dy: number, dx: number) =>
            sums[((i * w.outputHeight + y + dy) * w.outputWidth + x + dx) * filters + f];
          fours.push([at(0, 0), at(0, 1), at(1, 0), at(1, 1)]);
        }
      }
    }
  }
  return fours;
}

/** The least distance between the largest and the second largest of some values: a maximum has no derivative at a tie. */
function gapOf(values: number[]): number {
  const sorted = values.toSorted((a, b) => b - a);
  return sorted.length > 1 ? sorted[0] - sorted[1] : Infinity;
}

/** Rows, image, filters, kernel, strides, padding, pool. */
const CONVOLUTIONS = [
  [2, [4, 5, 2], 3, [3, 3], [1, 1], 'same', false],
  [3, [5, 5, 1], 8, [2, 3], [2, 1], 'valid', false],
  [17, [3, 3, 2], 2, [2, 2], [1, 1], 'same', false],
  [2, [5, 5, 2], 3, [3, 3], [1, 1], 'same', true],
  [17, [4, 4, 1], 2, [3, 3], [1, 1], 'valid', true],
  [2, [7, 6, 1], 9, [3, 3], [1, 2], 'same', true],
] as const;

/** Rows, image, kernel, strides, padding. */
const POOLS = [
  [2, [4, 4, 3], [2, 2], [2, 2], 'valid'],
  [2, [5, 5, 2], [3, 3], [2, 2], 'same'],
  [3, [5, 4, 1], [3, 2], [1, 1], 'same'],
] as const;

/** [rows, positions, channels]. */
const NORMALIZED = [
  [5, 1, 3],
  [4, 4, 2],
  [18, 2, 3],
] as const;

/** Batch normalization forward and backward, from `input`, `gamma`, `beta` and `dOutput`. */
function addBatchNorm(builder: OpSetupBuilder, positions: number, channels: number, epsilon: number): void {
  const batch = (name: string, fill?: typeof normal) => builder.batched(name, positions * channels, fill);
  const vector = (name: string) => builder.fixed(name, [channels]);
  const parts = builder.parts('parts', [2, channels]);
  const [input, dOutput] = [batch('input', normal), batch('dOutput', normal)];
  const [mean, variance] = [vector('mean'), vector('variance')];
  const gamma = builder.persistent('gamma', 'parameter', [channels], normal);
  const beta = builder.persistent('beta', 'parameter', [channels], normal);
  const movingMean = builder.persistent('movingMean', 'parameter', [channels], normal);
  const movingVariance = builder.persistent('movingVariance', 'parameter', [channels], normal);
  const [dGammaParts, dBetaParts] = [builder.parts('dGammaParts', [channels]), builder.parts('dBetaParts', [channels])];
  const [dGamma, dBeta] = [vector('dGamma'), vector('dBeta')];
  const moments = { mean, variance, epsilon };
  const moving = { movingMean, movingVariance, momentum: 0.9 };
  builder.add({ op: 'channelMoments', input, parts, channels });
  builder.add({ op: 'batchNormStatistics', parts, mean, variance, ...moving, positions });
  builder.add({ op: 'batchNorm', input, ...moments, gamma, beta, output: batch('output') });
  builder.add({ op: 'batchNormSums', input, ...moments, dOutput, dGammaParts, dBetaParts });
  builder.add({ op: 'sumParts', parts: dGammaParts, output: dGamma });
  builder.add({ op: 'sumParts', parts: dBetaParts, output: dBeta });
  builder.add({ op: 'batchNormBackward', input, ...moments, gamma, dGamma, dBeta, dOutput, dInput: batch('dInput') });
}

/** Each channel's normalized values, in float64, with the standard deviation that they were divided by. */
function normalize(x: Float64Array, channels: number, epsilon: number) {
  return Array.from({ length: channels }, (_, c) => {
    const values = x.filter((_, at) => at % channels === c);
    const mean = sum(values) / values.length;
    const deviation = Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / values.length + epsilon);
    return { deviation, mean, values: values.map((value) => (value - mean) / deviation) };
  });
}

describe.each(availableBackends().map((backend) => ({ backend, title: titleOf(backend) })))(
  'gradients of images: $title',
  ({ backend }) => {
    it.each(CONVOLUTIONS)('conv2dBackward of %i × %j to %i by %j, %j, %s, pool %s', async (...shape) => {
      const [rows, image, filters, kernel, strides, padding, pool] = shape;
      const windows = windowsOf(image, kernel, strides, padding);
      const side = (count: number) => (pool ? Math.floor(count / 2) : count);
      const outputs = side(windows.outputHeight) * side(windows.outputWidth) * filters;
      const weightShape = [kernel[0] * kernel[1] * image[2], filters];
      const setup = setUpOp(rows, 21, (builder) => {
        const input = builder.batched('input', inputSize(windows), normal);
        const weights = builder.persistent('weights', 'parameter', weightShape, normal);
        const bias = builder.persistent('bias', 'parameter', [filters], normal);
        const winners = pool ? builder.integers('winners', outputs) : null;
        const output = builder.batched('output', outputs);
        const activation = { activation: 'linear', negativeSlope: 0 } as const;
        builder.add({ op: 'conv2d', input, weights, bias, output, winners, ...windows, ...activation, pool });
        const dOutput = builder.batched('dOutput', outputs, sparse);
        const dWeightParts = builder.parts('dWeightParts', weightShape);
        const dBiasParts = builder.parts('dBiasParts', [filters]);
        const dInput = builder.batched('dInput', inputSize(windows));
        const made = { dWeightParts, dBiasParts, dInput };
        builder.add({ op: 'conv2dBackward', input, weights, dOutput, winners, ...made, ...windows, pool });
        builder.add({ op: 'sumParts', parts: dWeightParts, output: builder.fixed('dWeights', weightShape) });
        builder.add({ op: 'sumParts', parts: dBiasParts, output: builder.fixed('dBias', [filters]) });
      });
      const [x, w, b, dy] = ['input', 'weights', 'bias', 'dOutput'].map((name) => wide(setup, name));
      const sums = convolve(windows, rows, x, w, b);
      const fours = foursOf(windows, rows, filters, sums);
      // A sum moves by at most the step times the largest factor: nobody else wins meanwhile.
      const movement = STEP * Math.max(1, ...magnitudes(x), ...magnitudes(w));
      if (pool) expect(Math.min(...fours.map(gapOf))).toBeGreaterThan(2 * movement);
      const winners = fours.map((four) => four.indexOf(Math.max(...four)));
      /** Σ dOutput · output, and with absolute values the sum of the terms' magnitudes, whoever would win then. */
      const lossOf =
        (slopes: Float64Array, pick: (four: number[], at: number) => number) =>
        (input: Float64Array, weights: Float64Array, bias: Float64Array) => {
          const made = convolve(windows, rows, input, weights, bias);
          const values = pool ? foursOf(windows, rows, filters, made).map(pick) : made;
          return sum(values.map((value, at) => slopes[at] * value));
        };
      const loss = lossOf(dy, (four) => Math.max(...four));
      const terms = lossOf(magnitudes(dy), (four, at) => four[winners[at]]);
      // The loss is linear in each argument: central differences are off by float64's rounding only.
      const [ax, aw, ab] = [x, w, b].map(magnitudes);
      const rounding = (1e-14 * terms(ax, aw, ab)) / STEP;
      const positions = windows.outputHeight * windows.outputWidth;
      const bound = (count: number, sizes: number[]) => (i: number) => rounding + (count + 1) * U * sizes[i];
      const { outputs: found } = await runOp(backend, setup);
      const overSamples = rows * positions + partsOf(rows);
      expectClose(
        found.dWeights,
        differences(w, (moved) => loss(x, moved, b)),
        bound(
          overSamples,
          differences(aw, (moved) => terms(ax, moved, ab)),
        ),
        'dWeights',
      );
      expectClose(
        found.dBias,
        differences(b, (moved) => loss(x, w, moved)),
        bound(
          overSamples,
          differences(ab, (moved) => terms(ax, aw, moved)),
        ),
        'dBias',
      );
      expectClose(
        found.dInput,
        differences(x, (moved) => loss(moved, w, b)),
        bound(
          kernel[0] * kernel[1] * filters,
          differences(ax, (moved) => terms(moved, aw, ab)),
        ),
        'dInput',
      );
    });

    it.each(POOLS.flatMap((shape) => [['max', ...shape] as const, ['average', ...shape] as const]))(
      '%sPool2dBackward of %i × %j by %j, %j, %s',
      async (kind, rows, image, kernel, strides, padding) => {
        const windows = windowsOf(image, kernel, strides, padding);
        const { channels, outputHeight, outputWidth } = windows;
        const outputs = outputHeight * outputWidth * channels;
        const setup = setUpOp(rows, 22, (builder) => {
          const input = builder.batched('input', inputSize(windows), normal);
          const dOutput = builder.batched('dOutput', outputs, normal);
          const dInput = builder.batched('dInput', inputSize(windows));
          const output = builder.batched('output', outputs);
          if (kind === 'max') {
            const winners = builder.integers('winners', outputs);
            builder.add({ op: 'maxPool2d', input, output, winners, ...windows });
            builder.add({ op: 'maxPool2dBackward', dOutput, winners, dInput, ...windows });
          } else {
            builder.add({ op: 'averagePool2d', input, output, ...windows });
            builder.add({ op: 'averagePool2dBackward', dOutput, dInput, ...windows });
          }
        });
        const [x, dy] = ['input', 'dOutput'].map((name) => wide(setup, name));
        /** The values of each window, in the order of the outputs. */
        const windowsIn = (input: Float64Array) => {
          return Array.from({ length: rows * outputs }, (_, at) => {
            const place = Math.floor((at % outputs) / channels);
            const from = Math.floor(at / outputs) * inputSize(windows) + (at % channels);
            const taps = tapsOf(windows, Math.floor(place / outputWidth), place % outputWidth);
            return taps.filter((tap) => tap >= 0).map((tap) => input[from + tap]);
          });
        };
        if (kind === 'max') expect(Math.min(...windowsIn(x).map(gapOf))).toBeGreaterThan(2 * STEP);
        const pick = (values: number[]) => (kind === 'max' ? Math.max(...values) : sum(values) / values.length);
        const loss = (input: Float64Array) => sum(windowsIn(input).map((values, at) => dy[at] * pick(values)));
        const rounding = (1e-14 * sum(magnitudes(dy)) * Math.max(...magnitudes(x))) / STEP;
        const { outputs: found } = await runOp(backend, setup);
        // At most as many terms as a window has taps, each off by two roundings.
        const taps = kernel[0] * kernel[1];
        const largest = Math.max(...magnitudes(dy));
        expectClose(found.dInput, differences(x, loss), () => rounding + (taps + 3) * U * taps * largest, 'dInput');
      },
    );

    it.each(NORMALIZED)('batchNormBackward of [%i, %i, %i]', async (rows, positions, channels) => {
      const epsilon = 0.001;
      const setup = setUpOp(rows, 23, (builder) => addBatchNorm(builder, positions, channels, epsilon));
      const [x, dy, gamma, beta] = ['input', 'dOutput', 'gamma', 'beta'].map((name) => wide(setup, name));
      const loss = (input: Float64Array, scale: Float64Array, shift: Float64Array) => {
        const normalized = normalize(input, channels, epsilon);
        return sum(
          dy.map((slope, at) => {
            const c = at % channels;
            return slope * (scale[c] * normalized[c].values[Math.floor(at / channels)] + shift[c]);
          }),
        );
      };
      const { outputs: found } = await runOp(backend, setup);
      const n = rows * positions;
      const steps = n + 3 * partsOf(rows);
      const bounds = normalize(x, channels, epsilon).map(({ deviation, mean, values }, c) => {
        const slopes = magnitudes(dy.filter((_, at) => at % channels === c));
        const largest = Math.max(...magnitudes(values));
        const size = Math.abs(mean) + largest * deviation;
        // A mean is off by (n + 2) U of its terms, a deviation from it by one rounding more; a variance by twice that
        // relative to the standard deviation, and its sum's roundings; its inverse root by half, and three roundings.
        const off = ((steps + 4) * U * size) / deviation;
        const relative = off + ((steps + 2) / 2 + 4) * U;
        const normalized = off + largest * relative;
        const [dGamma, dBeta] = [sum(slopes.map((slope, i) => slope * Math.abs(values[i]))), sum(slopes)];
        const dGammaOff = dBeta * normalized + (steps + 2) * U * dGamma;
        const dBetaOff = (steps + 1) * U * dBeta;
        const total = Math.max(...slopes) + dBeta / n + (largest * dGamma) / n;
        const inner = dBetaOff / n + (normalized * dGamma + largest * dGammaOff) / n + 6 * U * total;
        const scale = Math.abs(gamma[c]) / deviation;
        // The third derivative of a normalized value is below 10 / deviation³.
        const differenceOff = DIFFERENCE * (1 + (Math.abs(gamma[c]) * dBeta) / deviation ** 3);
        const dInputOff = scale * ((relative + 2 * U) * total + inner) + differenceOff;
        return { dGamma: dGammaOff + DIFFERENCE, dBeta: dBetaOff + DIFFERENCE, dInput: dInputOff };
      });
      expectClose(
        found.dGamma,
        differences(gamma, (moved) => loss(x, moved, beta)),
        (c) => bounds[c].dGamma,
        'dGamma',
      );
      expectClose(
        found.dBeta,
        differences(beta, (moved) => loss(x, gamma, moved)),
        (c) => bounds[c].dBeta,
        'dBeta',
      );
      expectClose(
        found.dInput,
        differences(x, (moved) => loss(moved, gamma, beta)),
        (at) => bounds[at % channels].dInput,
        'dInput',
      );
    });

    it('dropout of a gradient: the same elements by the same factor', async () => {
      const rows = 5;
      const setup = setUpOp(rows, 24, (builder) => {
        const epoch = builder.scalar('epoch', 3);
        for (const [input, output] of [
          ['input', 'output'],
          ['dOutput', 'dInput'],
        ]) {
          const op = { op: 'dropout', rate: 0.3, seedLow: 9, seedHigh: 0, layer: 2, epoch } as const;
          builder.add({ ...op, input: builder.batched(input, 17, normal), output: builder.batched(output, 17) });
        }
      });
      const { outputs: found } = await runOp(backend, setup);
      const [x, dy] = ['input', 'dOutput'].map((name) => wide(setup, name));
      const kept = Array.from(found.output, (value) => value !== 0);
      expect(new Set(kept).size).toBe(2);
      const loss = (input: Float64Array) => sum(input.map((value, i) => (kept[i] ? (dy[i] * value) / 0.7 : 0)));
      const rounding = (1e-14 * sum(magnitudes(dy)) * Math.max(...magnitudes(x))) / STEP;
      // The factor is off by one rounding, the product by another.
      expectClose(found.dInput, differences(x, loss), (i) => rounding + (3 * U * Math.abs(dy[i])) / 0.7, 'dInput');
    });

    it('regularize: the gradient of l1 · Σ |w| + l2 · Σ w²', async () => {
      const [l1, l2] = [0.03, 0.02];
      const setup = setUpOp(1, 25, (builder) => {
        // |w| has a kink at zero.
        const parameter = builder.persistent('parameter', 'parameter', [7, 5], (stream) => {
          const w = normal(stream);
          return Math.abs(w) > 10 * STEP ? w : 1;
        });
        builder.add({ op: 'regularize', parameter, gradient: builder.fixed('gradient', [7, 5], normal), l1, l2 });
      });
      const [w, gradient] = ['parameter', 'gradient'].map((name) => wide(setup, name));
      const penalty = (moved: Float64Array) => sum(moved.map((value) => l1 * Math.abs(value) + l2 * value * value));
      const { outputs: found } = await runOp(backend, setup);
      expectClose(
        found.gradient,
        differences(w, penalty).map((slope, i) => slope + gradient[i]),
        (i) => 4 * U * (Math.abs(gradient[i]) + l1 + 2 * l2 * Math.abs(w[i])) + (1e-15 * penalty(w)) / STEP,
        'gradient',
      );
    });
  },
);
