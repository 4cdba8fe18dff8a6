/** The likelihood of labels as a function of an inverse temperature: what calibration makes great. */

/** The least positive number of float32: a probability of 0 may have been anything below. */
export const LEAST_PROBABILITY = 2 ** -149;

/** Logits of at least two classes, row-major. */
export interface LogitRows {
  logits: ArrayLike<number>;
  columns: number;
}

/**
 * Logits for scores. The logarithm of a row of probabilities is one of the logits that it may have come from: they are
 * determined up to a constant per row, which changes nothing. One column x stands for the logits 0 and x of two classes.
 */
export function logitRows(scores: ArrayLike<number>, columns: number, fromLogits: boolean): LogitRows {
  const log = (p: number) => Math.log(Math.max(LEAST_PROBABILITY, p));
  if (columns > 1) return { logits: fromLogits ? scores : Float64Array.from(scores, log), columns };
  const logits = new Float64Array(2 * scores.length);
  for (let row = 0; row < scores.length; row++) {
    logits[2 * row + 1] = fromLogits ? scores[row] : log(scores[row]) - log(1 - scores[row]);
  }
  return { logits, columns: 2 };
}

/**
 * The mean over samples of -log softmax(b z)_label, with its first and second derivative by b = 1 / temperature:
 *
 *     loss = log Σ_j e^(b z_j) - b z_label, slope = E[z] - z_label, curvature = E[z²] - E[z]²
 *
 * E the mean under softmax(b z). The curvature is a variance, so that the loss is convex in b.
 */
export function likelihoodOf(
  labels: ArrayLike<number>,
  { logits, columns }: LogitRows,
  b: number,
): { loss: number; slope: number; curvature: number } {
  const mean = { loss: 0, slope: 0, curvature: 0 };
  for (let sample = 0; sample < labels.length; sample++) {
    const first = sample * columns;
    let greatest = -Infinity;
    for (let index = first; index < first + columns; index++) greatest = Math.max(greatest, logits[index]);
    let sum = 0;
    let weighted = 0;
    let squares = 0;
    for (let index = first; index < first + columns; index++) {
      // All relative to the greatest: nothing overflows, and the variance loses no digits to a common offset.
      const below = logits[index] - greatest;
      const power = Math.exp(b * below);
      sum += power;
      weighted += power * below;
      squares += power * below * below;
    }
    const own = logits[first + labels[sample]] - greatest;
    mean.loss += Math.log(sum) - b * own;
    mean.slope += weighted / sum - own;
    mean.curvature += squares / sum - (weighted / sum) ** 2;
  }
  const { length: count } = labels;
  return { loss: mean.loss / count, slope: mean.slope / count, curvature: mean.curvature / count };
}
