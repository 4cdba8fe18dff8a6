import type { Conv2dBackwardOp, Conv2dOp, OpName, OpOf, Windows } from '../../src/program/ops.js';
import { activate, add, div, fl, fma, mul, referenceCosine, referenceSine, sub } from './numerics-functions.js';
import type { LossOpName } from './numerics-reference-losses.js';
import type { UpdateOpName } from './numerics-reference-updates.js';

/** The ops of images, of batch normalization and of weights: docs/numerics.md, like numerics-reference.ts. */

/** How the reference of an op finds what it reads and says what it writes. */
export interface OpValues {
  /** Samples in the step, and their indices in the data. */
  rows: number;
  order: Uint32Array;
  scalars: Float32Array;
  shapeOf(name: string): readonly number[];
  get(name: string): Float32Array;
  set(name: string | null, made: Float32Array): void;
}

type OtherOpName =
  | 'gather'
  | 'matmul'
  | 'dense'
  | 'denseBackward'
  | 'activation'
  | 'activationBackward'
  | 'softmax'
  | 'softmaxBackward'
  | LossOpName
  | UpdateOpName;
type ImageOpName = Exclude<OpName, OtherOpName>;

/** The first sample of each part of a step, with the one behind its last. */
function partsOf(rows: number): { part: number; from: number; to: number }[] {
  const parts = [];
  for (let from = 0; from < rows; from += 16) parts.push({ part: from / 16, from, to: Math.min(rows, from + 16) });
  return parts;
}

/** Calls visit for each window of an image. */
function forWindows(w: Windows, visit: (y: number, x: number) => void): void {
  for (let y = 0; y < w.outputHeight; y++) for (let x = 0; x < w.outputWidth; x++) visit(y, x);
}

/** Calls visit for each tap of a window inside the image, with the place of its first channel in sample n. */
function forTaps(w: Windows, n: number, y: number, x: number, visit: (place: number, tap: number) => void): void {
  for (let ky = 0; ky < w.kernelHeight; ky++) {
    for (let kx = 0; kx < w.kernelWidth; kx++) {
      const iy = y * w.strideY - w.padTop + ky;
      const ix = x * w.strideX - w.padLeft + kx;
      if (iy < 0 || iy >= w.inputHeight || ix < 0 || ix >= w.inputWidth) continue;
      visit(((n * w.inputHeight + iy) * w.inputWidth + ix) * w.channels, ky * w.kernelWidth + kx);
    }
  }
}

const windowAt = (w: Windows, n: number, y: number, x: number) => (n * w.outputHeight + y) * w.outputWidth + x;

function conv2d(op: Conv2dOp, { rows, shapeOf, get, set }: OpValues): void {
  const filters = shapeOf(op.weights).at(-1)!;
  const [input, weights, bias] = [get(op.input), get(op.weights), op.bias ? get(op.bias) : null];
  const sums = new Float32Array(rows * op.outputHeight * op.outputWidth * filters);
  for (let n = 0; n < rows; n++) {
    forWindows(op, (y, x) => {
      for (let f = 0; f < filters; f++) {
        let sum = bias ? add(bias[f], 0) : 0;
        forTaps(op, n, y, x, (place, tap) => {
          for (let c = 0; c < op.channels; c++) {
            sum = fma(input[place + c], weights[(tap * op.channels + c) * filters + f], sum);
          }
        });
        sums[windowAt(op, n, y, x) * filters + f] = sum;
      }
    });
  }
  const { values, winners } = op.pool ? poolPairs(op, sums, rows, filters) : { values: sums, winners: null };
  set(
    op.output,
    values.map((sum) => activate(op.activation, sum, fl(op.negativeSlope))),
  );
  if (winners) set(op.winners, winners);
}

/** The largest of 2 × 2 positions, and which it was. */
function poolPairs(w: Windows, sums: Float32Array, rows: number, filters: number) {
  const [values, winners]: [number[], number[]] = [[], []];
  for (let n = 0; n < rows; n++) {
    for (let y = 0; y < Math.floor(w.outputHeight / 2); y++) {
      for (let x = 0; x < Math.floor(w.outputWidth / 2); x++) {
        for (let f = 0; f < filters; f++) {
          const four = [0, 1, 2, 3].map((i) => {
            return sums[windowAt(w, n, 2 * y + Math.floor(i / 2), 2 * x + (i % 2)) * filters + f];
          });
          winners.push(four.reduce((best, value, i) => (value > four[best] ? i : best), 0));
          values.push(four[winners.at(-1)!]);
        }
      }
    }
  }
  return { values: Float32Array.from(values), winners: Float32Array.from(winners) };
}

/** The gradient at every position: behind a pool that of the position that won, 0 at the others. */
function gradientAtPositions(op: Conv2dBackwardOp, rows: number, filters: number, get: OpValues['get']): Float32Array {
  const dOutput = get(op.dOutput);
  if (!op.pool) return dOutput;
  const winners = get(op.winners!);
  const made = new Float32Array(rows * op.outputHeight * op.outputWidth * filters);
  let at = 0;
  for (let n = 0; n < rows; n++) {
    for (let y = 0; y < Math.floor(op.outputHeight / 2); y++) {
      for (let x = 0; x < Math.floor(op.outputWidth / 2); x++) {
        for (let f = 0; f < filters; f++, at++) {
          const position = windowAt(op, n, 2 * y + Math.floor(winners[at] / 2), 2 * x + (winners[at] % 2));
          made[position * filters + f] = dOutput[at];
        }
      }
    }
  }
  return made;
}

/** Windows in the order of sums over positions: by blocks of 2 × 2. */
function forBlocks(w: Windows, visit: (y: number, x: number) => void): void {
  for (let y = 0; y < w.outputHeight; y += 2) {
    for (let x = 0; x < w.outputWidth; x += 2) {
      for (const [row, column] of [
        [y, x],
        [y, x + 1],
        [y + 1, x],
        [y + 1, x + 1],
      ]) {
        if (row < w.outputHeight && column < w.outputWidth) visit(row, column);
      }
    }
  }
}

function conv2dBackward(op: Conv2dBackwardOp, { rows, shapeOf, get, set }: OpValues): void {
  const [weightRows, filters] = shapeOf(op.weights);
  const [input, weights] = [get(op.input), get(op.weights)];
  const g = gradientAtPositions(op, rows, filters, get);
  const parts = partsOf(rows);
  const dWeightParts = new Float32Array(parts.length * weightRows * filters);
  const dBiasParts = new Float32Array(parts.length * filters);
  const dInput = new Float32Array(input.length);
  for (const { part, from, to } of parts) {
    for (let n = from; n < to; n++) {
      forBlocks(op, (y, x) => {
        for (let f = 0; f < filters; f++) {
          const slope = g[windowAt(op, n, y, x) * filters + f];
          dBiasParts[part * filters + f] = add(dBiasParts[part * filters + f], slope);
        }
      });
      const forPositions = op.channels === 1 ? forWindows : forBlocks;
      forPositions(op, (y, x) => {
        for (let f = 0; f < filters; f++) {
          const slope = g[windowAt(op, n, y, x) * filters + f];
          forTaps(op, n, y, x, (place, tap) => {
            for (let c = 0; c < op.channels; c++) {
              const at = (part * weightRows + tap * op.channels + c) * filters + f;
              dWeightParts[at] = fma(input[place + c], slope, dWeightParts[at]);
            }
          });
        }
      });
      forWindows(op, (y, x) => {
        for (let f = 0; f < filters; f++) {
          const slope = g[windowAt(op, n, y, x) * filters + f];
          forTaps(op, n, y, x, (place, tap) => {
            for (let c = 0; c < op.channels; c++) {
              const row = tap * op.channels + c;
              dInput[place + c] = fma(slope, weights[row * filters + f], dInput[place + c]);
            }
          });
        }
      });
    }
  }
  set(op.dWeightParts, dWeightParts);
  set(op.dBiasParts, dBiasParts);
  set(op.dInput, dInput);
}

/** What a window of a pool and channel c sees: its taps and places, in order. */
function tapsOf(w: Windows, n: number, y: number, x: number, c: number): { place: number; tap: number }[] {
  const taps: { place: number; tap: number }[] = [];
  forTaps(w, n, y, x, (place, tap) => taps.push({ place: place + c, tap }));
  return taps;
}

/** Calls visit for every window of a pool, channel by channel, with its place in the output. */
function forPools(w: Windows, rows: number, visit: (taps: ReturnType<typeof tapsOf>, output: number) => void): void {
  for (let n = 0; n < rows; n++) {
    forWindows(w, (y, x) => {
      for (let c = 0; c < w.channels; c++) visit(tapsOf(w, n, y, x, c), windowAt(w, n, y, x) * w.channels + c);
    });
  }
}

/** A Philox 4×32-10 block by its definition, in whole numbers of any size. */
export function referencePhilox(counter: number[], key: number[]): number[] {
  let [x0, x1, x2, x3] = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt);
  const low = (value: bigint) => BigInt.asUintN(32, value);
  for (let round = 0; round < 10; round++) {
    const first = 0xd2511f53n * x0;
    const second = 0xcd9e8d57n * x2;
    [x0, x1, x2, x3] = [(second >> 32n) ^ x1 ^ k0, low(second), (first >> 32n) ^ x3 ^ k1, low(first)];
    k0 = low(k0 + 0x9e3779b9n);
    k1 = low(k1 + 0xbb67ae85n);
  }
  return [x0, x1, x2, x3].map(Number);
}

function dropout(op: OpOf<'dropout'>, { rows, order, scalars, get, set }: OpValues): void {
  const input = get(op.input);
  const columns = input.length / rows;
  const scale = fl(1 / (1 - op.rate));
  const made = input.map((x, at) => {
    const e = at % columns;
    const counter = [Math.floor(e / 4), order[Math.floor(at / columns)], 4 + 256 * op.layer, scalars[op.epoch]];
    const word = referencePhilox(counter, [op.seedLow, op.seedHigh])[e % 4];
    return Math.floor(word / 256) >= Math.round(op.rate * 2 ** 24) ? mul(x, scale) : 0;
  });
  set(op.output, made);
}

/** The weight of node k of the four around a pixel. */
function splineWeight(place: number, spacing: number, k: number): number {
  const t = div(place % spacing, spacing);
  const along = k < 2 ? sub(1, t) : t;
  if (k === 0 || k === 3) return mul(mul(mul(along, along), along), fl(1 / 6));
  const from = k === 1 ? t : sub(1, t);
  return add(fl(2 / 3), mul(sub(mul(0.5, from), 1), mul(from, from)));
}

/** What one image becomes: pixel by pixel, each by the formulas of the page. */
function augmentImage(op: OpOf<'augment'>, sample: number, epoch: number, pixels: Float32Array): Float32Array {
  const { inputHeight: height, inputWidth: width, channels } = op;
  const k = (w: number) => {
    const block = referencePhilox([Math.floor(w / 4), sample, 5, epoch], [op.seedLow, op.seedHigh]);
    return Math.floor(block[w % 4] / 256);
  };
  const below = (w: number, n: number) => Number((BigInt(k(w)) * BigInt(n)) >> 24n);
  const v = (w: number) => sub(k(w) * 2 ** -23, 1);
  const [down, right] = [0, 1].map((w) => below(w, 2 * op.shift + 1) - op.shift);
  const pixelAt = (y: number, x: number, c: number) =>
    y >= 0 && y < height && x >= 0 && x < width ? pixels[(y * width + x) * channels + c] : 0;

  const angle = mul(v(2), fl(op.rotation * (Math.PI / 180)));
  const [sin, cos] = [referenceSine(angle), referenceCosine(angle)];
  const shear = mul(v(5), fl(op.shear));
  const high = add(1, mul(v(3), fl(op.scale)));
  const wide = mul(high, add(1, mul(v(4), fl(op.aspect))));
  const [yy, yx] = [div(cos, high), div(sin, high)];
  const [xy, xx] = [div(sub(-sin, mul(shear, cos)), wide), div(sub(cos, mul(shear, sin)), wide)];
  const [centreY, centreX] = [(height - 1) / 2, (width - 1) / 2];

  const nodes = [height, width].map((size) => Math.floor((size - 1) / op.elasticSpacing) + 4);
  const drawn = new Map<number, number>();
  const node = (side: number, row: number, column: number) => {
    const w = 16 + (side * nodes[0] + row) * nodes[1] + column;
    if (!drawn.has(w)) drawn.set(w, mul(v(w), fl(op.elasticAlpha)));
    return drawn.get(w)!;
  };
  const fourOf = (term: (k: number) => number) => [0, 1, 2, 3].reduce((sum, k) => add(sum, term(k)), 0);
  const bend = (side: number, y: number, x: number) => {
    const [row, column] = [y, x].map((place) => Math.floor(place / op.elasticSpacing));
    const across = (j: number) =>
      fourOf((k) => mul(splineWeight(x, op.elasticSpacing, k), node(side, row + j, column + k)));
    return fourOf((j) => mul(splineWeight(y, op.elasticSpacing, j), across(j)));
  };
  const between = (sourceY: number, sourceX: number, c: number) => {
    const [atY, atX] = [Math.min(Math.max(sourceY, -1), height), Math.min(Math.max(sourceX, -1), width)];
    const [y, x] = [Math.floor(atY), Math.floor(atX)];
    const mix = (a: number, b: number, part: number) => add(a, mul(part, sub(b, a)));
    const row = (r: number) => mix(pixelAt(r, x, c), pixelAt(r, x + 1, c), sub(atX, x));
    return mix(row(y), row(y + 1), sub(atY, y));
  };
  const moves = op.rotation + op.scale + op.aspect + op.shear + op.elasticAlpha === 0;
  const made = pixels.map((_, at) => {
    const c = at % channels;
    const x = Math.floor(at / channels) % width;
    const y = Math.floor(at / channels / width);
    if (moves) return pixelAt(y - down, x - right, c);
    let sourceY = add(add(mul(yx, x - centreX), mul(yy, y - centreY)), centreY - down);
    let sourceX = add(add(mul(xx, x - centreX), mul(xy, y - centreY)), centreX - right);
    if (op.elasticAlpha > 0) {
      sourceY = add(sourceY, bend(0, y, x));
      sourceX = add(sourceX, bend(1, y, x));
    }
    return between(sourceY, sourceX, c);
  });
  if (k(6) >= Math.round(op.eraseProbability * 2 ** 24)) return made;
  const [erasedHeight, erasedWidth] = [1 + below(7, op.eraseSize), 1 + below(8, op.eraseSize)];
  const [top, left] = [below(9, height - erasedHeight + 1), below(10, width - erasedWidth + 1)];
  return made.map((value, at) => {
    const x = Math.floor(at / channels) % width;
    const y = Math.floor(at / channels / width);
    return y >= top && y < top + erasedHeight && x >= left && x < left + erasedWidth ? 0 : value;
  });
}

function augment(op: OpOf<'augment'>, { rows, order, scalars, get, set }: OpValues): void {
  const input = get(op.input);
  const size = input.length / rows;
  const made = new Float32Array(input.length);
  for (let n = 0; n < rows; n++) {
    const pixels = input.slice(n * size, (n + 1) * size);
    made.set(augmentImage(op, order[n], scalars[op.epoch], pixels), n * size);
  }
  set(op.output, made);
}

/** The values of a channel in some samples, in order. */
function channelOf(values: Float32Array, channels: number, c: number, from = 0, to = values.length): number[] {
  return Array.from(values.slice(from, to)).filter((_, at) => at % channels === c);
}

function channelMoments(op: OpOf<'channelMoments'>, { rows, get, set }: OpValues): void {
  const input = get(op.input);
  const columns = input.length / rows;
  const made: number[] = [];
  for (const { from, to } of partsOf(rows)) {
    const [means, squares]: [number[], number[]] = [[], []];
    for (let c = 0; c < op.channels; c++) {
      const values = channelOf(input, op.channels, c, from * columns, to * columns);
      const mean = mul(
        values.reduce((s, x) => add(s, x), 0),
        fl(1 / values.length),
      );
      means.push(mean);
      squares.push(values.reduce((sum, x) => add(sum, mul(sub(x, mean), sub(x, mean))), 0));
    }
    made.push(...means, ...squares);
  }
  set(op.parts, Float32Array.from(made));
}

function batchNormStatistics(op: OpOf<'batchNormStatistics'>, { rows, get, set }: OpValues): void {
  const parts = get(op.parts);
  const movingMean = get(op.movingMean);
  const movingVariance = get(op.movingVariance);
  const channels = movingMean.length;
  const made = Array.from({ length: channels }, (_, c) => {
    let [n, mean, squares] = [0, 0, 0];
    for (const { part, from, to } of partsOf(rows)) {
      const [added, theirMean, theirSquares] = [
        (to - from) * op.positions,
        parts[2 * part * channels + c],
        parts[(2 * part + 1) * channels + c],
      ];
      if (part === 0) {
        [n, mean, squares] = [added, theirMean, theirSquares];
        continue;
      }
      const d = sub(theirMean, mean);
      mean = add(mean, mul(d, fl(added / (n + added))));
      squares = add(squares, add(theirSquares, mul(mul(d, d), fl((n * added) / (n + added)))));
      n += added;
    }
    return { mean, variance: mul(squares, fl(1 / n)) };
  });
  const moved = (moving: Float32Array, batch: Float32Array) =>
    moving.map((value, c) => add(mul(fl(op.momentum), value), mul(fl(1 - op.momentum), batch[c])));
  const mean = Float32Array.from(made, (channel) => channel.mean);
  const variance = Float32Array.from(made, (channel) => channel.variance);
  set(op.mean, mean);
  set(op.variance, variance);
  set(op.movingMean, moved(movingMean, mean));
  set(op.movingVariance, moved(movingVariance, variance));
}

/** 1 / sqrt(variance + epsilon), and that times gamma. */
function scalesOf(variance: Float32Array, epsilon: number, gamma: Float32Array | null) {
  const inverse = variance.map((value) => div(1, fl(Math.sqrt(add(value, fl(epsilon))))));
  return { inverse, scale: gamma ? inverse.map((value, c) => mul(gamma[c], value)) : inverse };
}

function batchNormSums(op: OpOf<'batchNormSums'>, { rows, get, set }: OpValues): void {
  const [input, mean, dOutput] = [get(op.input), get(op.mean), get(op.dOutput)];
  const { inverse } = scalesOf(get(op.variance), op.epsilon, null);
  const channels = mean.length;
  const columns = input.length / rows;
  const [dGammas, dBetas]: [number[], number[]] = [[], []];
  for (const { from, to } of partsOf(rows)) {
    for (let c = 0; c < channels; c++) {
      const x = channelOf(input, channels, c, from * columns, to * columns);
      const dy = channelOf(dOutput, channels, c, from * columns, to * columns);
      dGammas.push(dy.reduce((sum, g, i) => add(sum, mul(g, mul(sub(x[i], mean[c]), inverse[c]))), 0));
      dBetas.push(dy.reduce((sum, g) => add(sum, g), 0));
    }
  }
  set(op.dGammaParts, Float32Array.from(dGammas));
  set(op.dBetaParts, Float32Array.from(dBetas));
}

function batchNormBackward(op: OpOf<'batchNormBackward'>, { get, set }: OpValues): void {
  const [input, mean, dGamma, dBeta] = [get(op.input), get(op.mean), get(op.dGamma), get(op.dBeta)];
  const { inverse, scale } = scalesOf(get(op.variance), op.epsilon, op.gamma ? get(op.gamma) : null);
  const share = fl(1 / (input.length / mean.length));
  const made = get(op.dOutput).map((dy, at) => {
    const c = at % mean.length;
    const normalized = mul(sub(input[at], mean[c]), inverse[c]);
    const inner = sub(sub(dy, mul(dBeta[c], share)), mul(normalized, mul(dGamma[c], share)));
    return mul(scale[c], inner);
  });
  set(op.dInput, made);
}

/** What each op writes, by the page. */
const REFERENCES: { [K in ImageOpName]: (op: OpOf<K>, values: OpValues) => void } = {
  conv2d,
  conv2dBackward,
  sumParts(op, { rows, shapeOf, get, set }) {
    const parts = get(op.parts);
    const size = shapeOf(op.output).reduce((a, b) => a * b);
    let made = new Float32Array(size);
    for (const { part } of partsOf(rows)) made = made.map((sum, i) => add(sum, parts[part * size + i]));
    set(op.output, made);
  },
  maxPool2d(op, { rows, get, set }) {
    const input = get(op.input);
    const best = new Float32Array(rows * op.outputHeight * op.outputWidth * op.channels);
    const winners = new Float32Array(best.length);
    forPools(op, rows, (taps, output) => {
      const winner = taps.reduce((found, tap) => (input[tap.place] > input[found.place] ? tap : found));
      best[output] = input[winner.place];
      winners[output] = winner.tap;
    });
    set(op.winners, winners);
    set(op.output, best);
  },
  maxPool2dBackward(op, { rows, get, set }) {
    const [dOutput, winners] = [get(op.dOutput), get(op.winners)];
    const made = new Float32Array(rows * op.inputHeight * op.inputWidth * op.channels);
    forPools(op, rows, (taps, output) => {
      const { place } = taps.find(({ tap }) => tap === winners[output])!;
      made[place] = add(made[place], dOutput[output]);
    });
    set(op.dInput, made);
  },
  averagePool2d(op, { rows, get, set }) {
    const input = get(op.input);
    const made = new Float32Array(rows * op.outputHeight * op.outputWidth * op.channels);
    forPools(op, rows, (taps, output) => {
      const sum = taps.reduce((total, { place }) => add(total, input[place]), 0);
      made[output] = mul(sum, fl(1 / taps.length));
    });
    set(op.output, made);
  },
  averagePool2dBackward(op, { rows, get, set }) {
    const dOutput = get(op.dOutput);
    const made = new Float32Array(rows * op.inputHeight * op.inputWidth * op.channels);
    forPools(op, rows, (taps, output) => {
      for (const { place } of taps) made[place] = add(made[place], mul(dOutput[output], fl(1 / taps.length)));
    });
    set(op.dInput, made);
  },
  dropout,
  augment,
  add(op, { get, set }) {
    const b = get(op.b);
    const made = get(op.a).map((value, i) => add(value, b[i]));
    set(op.output, made);
  },
  channelMoments,
  batchNormStatistics,
  batchNorm(op, { get, set }) {
    const [mean, beta] = [get(op.mean), op.beta ? get(op.beta) : null];
    const { scale } = scalesOf(get(op.variance), op.epsilon, op.gamma ? get(op.gamma) : null);
    const made = get(op.input).map((x, at) => {
      const c = at % mean.length;
      const scaled = mul(sub(x, mean[c]), scale[c]);
      return beta ? add(scaled, beta[c]) : scaled;
    });
    set(op.output, made);
  },
  batchNormSums,
  batchNormBackward,
  foldBatchNorm(op, { get, set }) {
    const [mean, bias, beta] = [get(op.mean), op.bias ? get(op.bias) : null, op.beta ? get(op.beta) : null];
    const { scale } = scalesOf(get(op.variance), op.epsilon, op.gamma ? get(op.gamma) : null);
    const weights = get(op.weights).map((w, at) => mul(w, scale[at % mean.length]));
    const biases = mean.map((value, c) => {
      const scaled = mul(sub(bias ? bias[c] : 0, value), scale[c]);
      return beta ? add(scaled, beta[c]) : scaled;
    });
    set(op.foldedWeights, weights);
    set(op.foldedBias, biases);
  },
  regularize(op, { get, set }) {
    const w = get(op.parameter);
    const made = get(op.gradient).map((gradient, i) => {
      const g = op.l2 !== 0 ? add(gradient, mul(fl(2 * op.l2), w[i])) : gradient;
      return op.l1 !== 0 ? add(g, Math.sign(w[i]) * fl(op.l1)) : g;
    });
    set(op.gradient, made);
  },
  maxNorm(op, { shapeOf, get, set }) {
    const w = get(op.parameter);
    const columns = shapeOf(op.parameter).at(-1)!;
    const made = w.map((value, at) => {
      const s = channelOf(w, columns, at % columns).reduce((sum, x) => add(sum, mul(x, x)), 0);
      const norm = fl(Math.sqrt(s));
      return norm > fl(op.maxValue) ? mul(value, div(fl(op.maxValue), add(norm, fl(1e-7)))) : value;
    });
    set(op.parameter, made);
  },
};

export function referenceImageOp(op: OpOf<ImageOpName>, values: OpValues): void {
  const reference = REFERENCES[op.op] as (op: OpOf<ImageOpName>, values: OpValues) => void;
  reference(op, values);
}
