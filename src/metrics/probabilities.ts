/** Logits to probabilities, in float64. */

/**
 * Softmax of each row of [rows, columns]; with one column the sigmoid of each number. Subtracting the row's greatest
 * keeps the exponentials from overflowing and changes nothing else.
 */
export function probabilitiesFromLogits(logits: ArrayLike<number>, columns: number): Float64Array {
  const probabilities = new Float64Array(logits.length);
  if (columns === 1) {
    for (let index = 0; index < logits.length; index++) probabilities[index] = sigmoid(logits[index]);
    return probabilities;
  }
  for (let first = 0; first < logits.length; first += columns) {
    let greatest = -Infinity;
    for (let index = first; index < first + columns; index++) greatest = Math.max(greatest, logits[index]);
    let sum = 0;
    for (let index = first; index < first + columns; index++) {
      probabilities[index] = Math.exp(logits[index] - greatest);
      sum += probabilities[index];
    }
    for (let index = first; index < first + columns; index++) probabilities[index] /= sum;
  }
  return probabilities;
}

/** 1 / (1 + e^-x). */
function sigmoid(x: number): number {
  // e^-|x| does not overflow.
  const power = Math.exp(-Math.abs(x));
  return x >= 0 ? 1 / (1 + power) : power / (1 + power);
}
