import type { Op } from '../../src/program/ops.js';
import { activate, activateBackward, add, div, fl, fma, mul, sub } from './numerics-functions.js';
import { referenceImageOp } from './numerics-reference-images.js';
import { referenceLoss, softmax } from './numerics-reference-losses.js';
import { isUpdateOp, referenceUpdate } from './numerics-reference-updates.js';
import { type OpResult, type OpSetup, shortName } from './op-harness.js';

/**
 * docs/numerics.md, line by line, with nothing skipped, tiled or reused: what both backends are compared with. Written
 * from the page and sharing no code with src.
 */

/** result[m, n]: for each element a chain over k of fma(a(i, k), b(k, j)), from start(j). */
function product(
  [m, k, n]: [number, number, number],
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
  start: (j: number) => number = () => 0,
): Float32Array {
  return Float32Array.from({ length: m * n }, (_, at) => {
    let sum = start(at % n);
    for (let at2 = 0; at2 < k; at2++) sum = fma(a(Math.floor(at / n), at2), b(at2, at % n), sum);
    return sum;
  });
}

/** What the ops of a setup write, by the page. */
export function referenceResult(setup: OpSetup): OpResult {
  const values: Record<string, Float32Array> = { ...setup.inputs };
  const result: OpResult = { outputs: {}, loss: 0, correct: 0 };
  for (const op of setup.ops) {
    const before = result.outputs;
    result.outputs = {};
    referenceOp(op, setup, values, result);
    Object.assign(values, result.outputs);
    result.outputs = { ...before, ...result.outputs };
  }
  return result;
}

function referenceOp(
  op: Op,
  { program, rows, scalars, samples, order }: OpSetup,
  values: Record<string, Float32Array>,
  result: OpResult,
) {
  const shapeOf = (name: string) => {
    const spec = program.buffers.find((buffer) => buffer.name === name)!;
    return spec.batched ? [rows, ...spec.shape.slice(1)] : spec.shape;
  };
  const get = (name: string) => values[shortName(name)];
  const set = (name: string | null, made: Float32Array) => {
    if (name) result.outputs[shortName(name)] = made;
  };
  switch (op.op) {
    case 'gather': {
      const source = samples![op.source];
      const columns = source.length / samples!.count;
      const isPixels = op.source === 'inputs' && source instanceof Uint8Array;
      const made = new Float32Array(rows * columns).map((_, at) => {
        const value = source[order[Math.floor(at / columns)] * columns + (at % columns)];
        return isPixels ? div(value, 255) : value;
      });
      return set(op.output, made);
    }
    case 'matmul': {
      const [m, n] = shapeOf(op.output);
      const [a, b] = [get(op.a), get(op.b)];
      const k = a.length / m;
      return set(
        op.output,
        product(
          [m, k, n],
          (i, at) => (op.transposeA ? a[at * m + i] : a[i * k + at]),
          (at, j) => (op.transposeB ? b[j * k + at] : b[at * n + j]),
        ),
      );
    }
    case 'dense': {
      const [inputs, units] = shapeOf(op.weights);
      const [input, weights, bias] = [get(op.input), get(op.weights), op.bias ? get(op.bias) : null];
      const sums = product(
        [rows, inputs, units],
        (i, k) => input[i * inputs + k],
        (k, j) => weights[k * units + j],
        (j) => (bias ? add(bias[j], 0) : 0),
      );
      return set(
        op.output,
        sums.map((x) => activate(op.activation, x, fl(op.negativeSlope))),
      );
    }
    case 'denseBackward': {
      const [inputs, units] = shapeOf(op.weights);
      const [input, weights, dOutput] = [get(op.input), get(op.weights), get(op.dOutput)];
      const dy = (i: number, j: number) => dOutput[i * units + j];
      set(
        op.dWeights,
        product([inputs, rows, units], (k, i) => input[i * inputs + k], dy),
      );
      set(
        op.dBias,
        product([1, rows, units], () => 1, dy),
      );
      set(
        op.dInput,
        product([rows, units, inputs], dy, (j, k) => weights[k * units + j]),
      );
      return;
    }
    case 'activation':
      return set(
        op.output,
        get(op.input).map((x) => activate(op.activation, x, fl(op.negativeSlope))),
      );
    case 'activationBackward': {
      const reference = get(op.reference);
      const slope = fl(op.negativeSlope);
      return set(
        op.dInput,
        get(op.dOutput).map((dy, i) => activateBackward(op.activation, reference[i], dy, slope)),
      );
    }
    case 'softmax': {
      const input = get(op.input);
      const columns = input.length / rows;
      const made = new Float32Array(input.length);
      for (let i = 0; i < rows; i++) made.set(softmax(input.slice(i * columns, (i + 1) * columns)).p, i * columns);
      return set(op.output, made);
    }
    case 'softmaxBackward': {
      const [y, dy] = [get(op.output), get(op.dOutput)];
      const columns = y.length / rows;
      const made = new Float32Array(y.length);
      for (let i = 0; i < rows; i++) {
        let d = 0;
        for (let j = 0; j < columns; j++) d = add(d, mul(dy[i * columns + j], y[i * columns + j]));
        for (let j = 0; j < columns; j++) made[i * columns + j] = mul(y[i * columns + j], sub(dy[i * columns + j], d));
      }
      return set(op.dInput, made);
    }
    case 'softmaxCrossEntropy':
    case 'crossEntropy':
    case 'binaryCrossEntropy':
    case 'meanSquaredError':
    case 'meanAbsoluteError':
    case 'huber':
      return referenceLoss(op, { rows, shapeOf, get, set, result });
    default: {
      const context = { rows, scalars, order, shapeOf, get, set };
      if (isUpdateOp(op)) referenceUpdate(op, context);
      else referenceImageOp(op, context);
    }
  }
}
