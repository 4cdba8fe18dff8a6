import type { BufferName } from '../../program/ops.js';
import type { LayerGradients, LayerResult, ReferenceLayer, ReferenceWeights } from './layer.js';
import type { Taps } from './taps.js';

/** Dense layers and convolutions: weighted sums, without and with the activation behind them. */

/** sums[rows, units] = input[rows, inputs] · weights[inputs, units] + bias[units]. */
export function denseSums(weights: ReferenceWeights, name: string, units: number): ReferenceLayer {
  const [w, bias] = [weights.get(`${name}.weight`)!, weights.get(`${name}.bias`)];
  return (input, rows) => {
    const inputs = input.length / rows;
    const sums = biasEverywhere(bias, rows, units);
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < inputs; k++) {
        const x = input[row * inputs + k];
        if (x === 0) continue; // Most pixels are.
        for (let j = 0; j < units; j++) sums[row * units + j] += x * w[k * units + j];
      }
    }
    return sumsResult(sums, (dSums) => {
      const dInput = new Float64Array(input.length);
      const dWeights = new Float64Array(w.length);
      for (let row = 0; row < rows; row++) {
        for (let k = 0; k < inputs; k++) {
          const x = input[row * inputs + k];
          let dx = 0;
          for (let j = 0; j < units; j++) {
            const d = dSums[row * units + j];
            dx += d * w[k * units + j];
            if (x !== 0) dWeights[k * units + j] += x * d;
          }
          dInput[row * inputs + k] = dx;
        }
      }
      return gradients(name, dInput, dSums, dWeights, bias);
    });
  };
}

/** sums[rows, position, filter] = Σ over a window of input · weights[tap, channel, filter] + bias[filter]. */
export function convolutionSums(weights: ReferenceWeights, name: string, filters: number, taps: Taps): ReferenceLayer {
  const [w, bias] = [weights.get(`${name}.weight`)!, weights.get(`${name}.bias`)];
  const { channels, positions } = taps;
  return (input, rows) => {
    const inputs = input.length / rows;
    const sums = biasEverywhere(bias, rows * positions, filters);
    for (let row = 0; row < rows; row++) {
      taps.forEach((position, pixel, tap) => {
        const to = (row * positions + position) * filters;
        for (let c = 0; c < channels; c++) {
          const x = input[row * inputs + pixel * channels + c];
          if (x === 0) continue;
          const from = (tap * channels + c) * filters;
          for (let f = 0; f < filters; f++) sums[to + f] += x * w[from + f];
        }
      });
    }
    return sumsResult(sums, (dSums) => {
      const dInput = new Float64Array(input.length);
      const dWeights = new Float64Array(w.length);
      for (let row = 0; row < rows; row++) {
        taps.forEach((position, pixel, tap) => {
          const at = (row * positions + position) * filters;
          for (let c = 0; c < channels; c++) {
            const place = row * inputs + pixel * channels + c;
            const from = (tap * channels + c) * filters;
            for (let f = 0; f < filters; f++) {
              const d = dSums[at + f];
              if (d === 0) continue; // Behind a pool most are.
              dInput[place] += d * w[from + f];
              dWeights[from + f] += input[place] * d;
            }
          }
        });
      }
      return gradients(name, dInput, dSums, dWeights, bias);
    });
  };
}

/** An activation behind weighted sums. */
export function withActivation(sumsOf: ReferenceLayer, activation: ReferenceLayer): ReferenceLayer {
  return (input, rows) => {
    const before = sumsOf(input, rows);
    const after = activation(before.output, rows);
    return {
      output: after.output,
      sums: before.output,
      switches: after.switches,
      pullback: (dOutput) => before.pullback(after.pullback(dOutput).dInput),
    };
  };
}

function biasEverywhere(bias: ArrayLike<number> | undefined, rows: number, columns: number): Float64Array {
  const sums = new Float64Array(rows * columns);
  if (bias) for (let row = 0; row < rows; row++) sums.set(bias, row * columns);
  return sums;
}

function sumsResult(sums: Float64Array, pullback: (dSums: Float64Array) => LayerGradients): LayerResult {
  return { output: sums, sums, switches: () => [], pullback };
}

function gradients(
  name: string,
  dInput: Float64Array,
  dSums: Float64Array,
  dWeights: Float64Array,
  bias: ArrayLike<number> | undefined,
): LayerGradients {
  const parameters = new Map<BufferName, Float64Array>([[`${name}.weight`, dWeights]]);
  if (bias) parameters.set(`${name}.bias`, columnSums(dSums, bias.length));
  return { dInput, dSums, parameters };
}

function columnSums(values: Float64Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  for (let i = 0; i < values.length; i++) sums[i % columns] += values[i];
  return sums;
}
