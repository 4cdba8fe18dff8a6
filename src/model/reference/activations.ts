import type { LayerConfig, OutputActivation } from '../../layers/layer.js';
import type { Activation } from '../../program/ops.js';
import { passOn, type ReferenceLayer, weightless } from './layer.js';

/** Activations with their derivatives. Those with a kink at 0 take the derivative on the left there, as the kernels do. */

interface Elementwise {
  value(x: number): number;
  derivative(x: number): number;
  /** Whether it has a kink at 0. */
  kink: boolean;
}

function elementwise(activation: Activation, slope: number): Elementwise {
  switch (activation) {
    case 'linear':
      return { value: (x) => x, derivative: () => 1, kink: false };
    case 'relu':
      return { value: (x) => (x <= 0 ? 0 : x), derivative: (x) => (x > 0 ? 1 : 0), kink: true };
    case 'leakyRelu':
      return { value: (x) => (x > 0 ? x : slope * x), derivative: (x) => (x > 0 ? 1 : slope), kink: true };
    case 'sigmoid':
      return { value: sigmoid, derivative: (x) => sigmoid(x) * sigmoid(-x), kink: false };
    case 'tanh':
      return { value: Math.tanh, derivative: (x) => 1 - Math.tanh(x) ** 2, kink: false };
    case 'gelu':
      return {
        value: (x) => x * normalDistribution(x),
        derivative: (x) => normalDistribution(x) + x * normalDensity(x),
        kink: false,
      };
  }
}

/** 1 / (1 + e^-x), without overflow. */
export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

const normalDensity = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Beyond it Φ is 0 or 1 in float64, and the series below has terms that overflow. */
const FAR = 38;

/** Φ(x) = 1/2 + φ(x) (x + x³/3 + x⁵/(3·5) + ...), whose terms have one sign, so that nothing cancels. */
function normalDistribution(x: number): number {
  const size = Math.abs(x);
  if (!(size < FAR)) return x < 0 ? 0 : x > 0 ? 1 : Number.NaN;
  let term = size;
  let series = size;
  for (let n = 3; term > 1e-17 * series; n += 2) {
    term *= (size * size) / n;
    series += term;
  }
  const half = normalDensity(size) * series;
  return x < 0 ? 0.5 - half : 0.5 + half;
}

/** The activation of a layer: `activation` of its configuration, softmax for the layer of that name. */
export function activationOf(config: LayerConfig): ReferenceLayer {
  const activation = (config.type === 'softmax' ? 'softmax' : config.activation) as OutputActivation;
  if (activation === 'linear') return passOn;
  if (activation === 'softmax') return softmaxLayer;
  // The engine's slope is a float32.
  const slope = Math.fround((config.negativeSlope as number | undefined) ?? 0);
  const { value, derivative, kink } = elementwise(activation, slope);
  return (input) =>
    weightless(
      input.map(value),
      (dOutput) => dOutput.map((dy, i) => dy * derivative(input[i])),
      () => (kink ? [Int32Array.from(input, (x) => (x > 0 ? 1 : 0))] : []),
    );
}

const softmaxLayer: ReferenceLayer = (input, rows) => {
  const output = softmaxOf(input, rows);
  const columns = input.length / rows;
  return weightless(output, (dOutput) => {
    const dInput = new Float64Array(input.length);
    for (let row = 0; row < rows; row++) {
      const at = row * columns;
      let dot = 0;
      for (let j = 0; j < columns; j++) dot += dOutput[at + j] * output[at + j];
      for (let j = 0; j < columns; j++) dInput[at + j] = output[at + j] * (dOutput[at + j] - dot);
    }
    return dInput;
  });
};

/** e^x[j] / Σ e^x[k] of each row. */
export function softmaxOf(x: Float64Array, rows: number): Float64Array {
  const columns = x.length / rows;
  const output = new Float64Array(x.length);
  for (let row = 0; row < rows; row++) {
    const own = x.subarray(row * columns, (row + 1) * columns);
    const most = own.reduce((a, b) => Math.max(a, b), -Infinity);
    const powers = own.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    output.set(
      powers.map((value) => value / sum),
      row * columns,
    );
  }
  return output;
}
