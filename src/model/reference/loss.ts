import { expected } from '../../errors.js';
import type { Loss } from '../../losses/loss.js';
import { sigmoid, softmaxOf } from './activations.js';

export interface ReferenceLoss {
  /** The mean over the rows. */
  mean: number;
  /** Of each row. */
  losses: Float64Array;
  /** The gradient of the mean with respect to the logits, [rows, outputs]. */
  dLogits: Float64Array;
  /** Which side of the target each output is on, where the loss has a kink there; else nothing. See `LayerResult`. */
  switches: Int32Array[];
}

/** As `readTargets` gives them: class indices, or numbers of [rows, outputs]. */
type Targets = Uint8Array | Int32Array | Float32Array;

/**
 * A loss in double precision, of the logits where it applies an activation itself, else of the outputs. Throws ERR_ARGUMENT
 * for a loss that is not one of this package.
 */
export function referenceLoss(loss: Loss, logits: Float64Array, targets: Targets, rows: number): ReferenceLoss {
  const columns = logits.length / rows;
  const { name, config } = loss;
  const { labelSmoothing = 0, classWeights = null, delta = 1 } = config as Settings;
  switch (name) {
    case 'categoricalCrossentropy':
      return crossEntropy(logits, sharesOf(targets, rows, columns), rows, labelSmoothing, classWeights);
    case 'binaryCrossentropy':
      return binaryCrossEntropy(logits, targets, rows, labelSmoothing);
    case 'meanSquaredError':
      return onDifferences(logits, targets, rows, { value: (d) => d * d, derivative: (d) => 2 * d });
    case 'meanAbsoluteError':
      return {
        ...onDifferences(logits, targets, rows, { value: Math.abs, derivative: Math.sign }),
        switches: [Int32Array.from(logits, (p, i) => Math.sign(p - targets[i]))],
      };
    case 'huber':
      return onDifferences(logits, targets, rows, huberOf(Math.fround(delta)));
    default:
      throw expected('a loss of this package', 'loss', name);
  }
}

interface Settings {
  labelSmoothing?: number;
  classWeights?: readonly number[] | null;
  delta?: number;
}

/** One-hot rows of class indices; rows of shares as they are. */
function sharesOf(targets: Targets, rows: number, columns: number): Float64Array {
  if (targets instanceof Float32Array) return Float64Array.from(targets);
  const shares = new Float64Array(rows * columns);
  targets.forEach((target, row) => {
    shares[row * columns + target] = 1;
  });
  return shares;
}

/** -Σ u_j log p_j with u_j = w_j ((1 - ε) t_j + ε / classes); the gradient is p_j Σ u - u_j. */
function crossEntropy(
  logits: Float64Array,
  shares: Float64Array,
  rows: number,
  smoothing: number,
  weights: readonly number[] | null,
): ReferenceLoss {
  const columns = logits.length / rows;
  const p = softmaxOf(logits, rows);
  const losses = new Float64Array(rows);
  const dLogits = new Float64Array(logits.length);
  for (let row = 0; row < rows; row++) {
    const own = logits.subarray(row * columns, (row + 1) * columns);
    const most = own.reduce((a, b) => Math.max(a, b), -Infinity);
    const logSum = Math.log(own.reduce((sum, x) => sum + Math.exp(x - most), 0));
    const u = own.map(
      (_, j) => ((1 - smoothing) * shares[row * columns + j] + smoothing / columns) * (weights?.[j] ?? 1),
    );
    const total = u.reduce((a, b) => a + b, 0);
    own.forEach((x, j) => {
      const at = row * columns + j;
      losses[row] += u[j] * (logSum - (x - most));
      dLogits[at] = (p[at] * total - u[j]) / rows;
    });
  }
  return { mean: meanOf(losses), losses, dLogits, switches: [] };
}

/** The mean over outputs of max(x, 0) - x t' + log(1 + e^-|x|) with t' = (1 - ε) t + ε / 2. */
function binaryCrossEntropy(
  logits: Float64Array,
  targets: ArrayLike<number>,
  rows: number,
  smoothing: number,
): ReferenceLoss {
  const columns = logits.length / rows;
  const losses = new Float64Array(rows);
  const dLogits = logits.map((x, i) => {
    const target = (1 - smoothing) * targets[i] + smoothing / 2;
    losses[Math.floor(i / columns)] += (Math.max(x, 0) - x * target + Math.log1p(Math.exp(-Math.abs(x)))) / columns;
    return (sigmoid(x) - target) / logits.length;
  });
  return { mean: meanOf(losses), losses, dLogits, switches: [] };
}

interface OfDifference {
  value(d: number): number;
  derivative(d: number): number;
}

const huberOf = (delta: number): OfDifference => ({
  value: (d) => (Math.abs(d) <= delta ? (d * d) / 2 : delta * (Math.abs(d) - delta / 2)),
  derivative: (d) => Math.max(-delta, Math.min(delta, d)),
});

/** The mean over outputs of a function of prediction - target. */
function onDifferences(
  predictions: Float64Array,
  targets: ArrayLike<number>,
  rows: number,
  { value, derivative }: OfDifference,
): ReferenceLoss {
  const columns = predictions.length / rows;
  const losses = new Float64Array(rows);
  const dLogits = predictions.map((p, i) => {
    losses[Math.floor(i / columns)] += value(p - targets[i]) / columns;
    return derivative(p - targets[i]) / predictions.length;
  });
  return { mean: meanOf(losses), losses, dLogits, switches: [] };
}

const meanOf = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
