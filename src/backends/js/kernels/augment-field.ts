/**
 * A smooth field of displacements: cubic B-splines over random numbers at the nodes of a grid. They have no kinks, and no
 * displacement is greater than the greatest at a node.
 */

import type { AugmentOp } from '../../../program/ops.js';
import { type Draws, WORDS } from './augment-draws.js';

const fround = Math.fround;
const SIXTH = fround(1 / 6);
const TWO_THIRDS = fround(2 / 3);

/** The nodes: a pixel lies between four of them each way, the second of which is at or before it. */
function gridOf({ inputHeight, inputWidth, elasticSpacing }: AugmentOp): { rows: number; columns: number } {
  const along = (size: number) => Math.floor((size - 1) / elasticSpacing) + 4;
  return { rows: along(inputHeight), columns: along(inputWidth) };
}

/** The weights of each pixel's four nodes along one side, [size, 4]. */
function splineWeights(size: number, spacing: number): Float32Array {
  const weights = new Float32Array(4 * size);
  for (let place = 0; place < size; place++) {
    const t = fround((place % spacing) / spacing);
    const u = fround(1 - t);
    weights[4 * place] = outer(u);
    weights[4 * place + 1] = inner(t);
    weights[4 * place + 2] = inner(u);
    weights[4 * place + 3] = outer(t);
  }
  return weights;
}

const outer = (t: number) => fround(fround(fround(t * t) * t) * SIXTH);
const inner = (t: number) => fround(TWO_THIRDS + fround(fround(fround(0.5 * t) - 1) * fround(t * t)));

export class ElasticField {
  readonly #alpha: number;
  readonly #spacing: number;
  readonly #width: number;
  readonly #grid: { rows: number; columns: number };
  readonly #weightsY: Float32Array;
  readonly #weightsX: Float32Array;
  /** [2, rows of nodes, columns of nodes]: displacements in y, then in x. */
  readonly #nodes: Float32Array;
  /** [2, rows of nodes, width]: the same, interpolated along x. */
  readonly #across: Float32Array;

  constructor(op: AugmentOp) {
    this.#alpha = fround(op.elasticAlpha);
    this.#spacing = op.elasticSpacing;
    this.#width = op.inputWidth;
    this.#grid = gridOf(op);
    const { rows, columns } = this.#grid;
    this.#weightsY = splineWeights(op.inputHeight, op.elasticSpacing);
    this.#weightsX = splineWeights(op.inputWidth, op.elasticSpacing);
    this.#nodes = new Float32Array(2 * rows * columns);
    this.#across = new Float32Array(2 * rows * op.inputWidth);
  }

  /** How many random numbers it takes. */
  get size(): number {
    return this.#nodes.length;
  }

  /** Takes the field of the sample that was drawn last. */
  draw(draws: Draws): void {
    const nodes = this.#nodes;
    const width = this.#width;
    const { rows, columns } = this.#grid;
    for (let n = 0; n < nodes.length; n++) nodes[n] = fround(draws.signed(WORDS.elastic + n) * this.#alpha);
    for (let row = 0; row < 2 * rows; row++) {
      for (let x = 0; x < width; x++) {
        const from = row * columns + Math.floor(x / this.#spacing);
        this.#across[row * width + x] = combine(nodes, from, 1, this.#weightsX, 4 * x);
      }
    }
  }

  /** The displacement of a pixel in y (side 0) or x (side 1). */
  at(side: number, y: number, x: number): number {
    const row = side * this.#grid.rows + Math.floor(y / this.#spacing);
    return combine(this.#across, row * this.#width + x, this.#width, this.#weightsY, 4 * y);
  }
}

/** The sum of four values, `stride` apart, by their weights. */
function combine(values: Float32Array, from: number, stride: number, weights: Float32Array, first: number): number {
  let sum = fround(weights[first] * values[from]);
  for (let k = 1; k < 4; k++) sum = fround(sum + fround(weights[first + k] * values[from + k * stride]));
  return sum;
}
