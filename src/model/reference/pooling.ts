import { type ReferenceLayer, weightless } from './layer.js';
import type { Taps } from './taps.js';

/** The greatest value of each window, channel by channel; of equal ones the first, row by row, which gets the gradient. */
export function maxPooling(taps: Taps): ReferenceLayer {
  const { channels, positions } = taps;
  return (input, rows) => {
    const inputs = input.length / rows;
    const output = new Float64Array(rows * positions * channels);
    const winners = new Int32Array(output.length).fill(-1);
    for (let row = 0; row < rows; row++) {
      taps.forEach((position, pixel) => {
        for (let c = 0; c < channels; c++) {
          const at = (row * positions + position) * channels + c;
          const place = row * inputs + pixel * channels + c;
          if (winners[at] >= 0 && !(input[place] > output[at])) continue;
          output[at] = input[place];
          winners[at] = place;
        }
      });
    }
    const pullback = (dOutput: Float64Array) => {
      const dInput = new Float64Array(input.length);
      for (let at = 0; at < dOutput.length; at++) dInput[winners[at]] += dOutput[at];
      return dInput;
    };
    return weightless(output, pullback, () => [winners]);
  };
}

/** The mean of each window over what lies inside the image, channel by channel. */
export function averagePooling(taps: Taps): ReferenceLayer {
  const { channels, positions } = taps;
  const inside = new Float64Array(positions);
  taps.forEach((position) => {
    inside[position]++;
  });
  return (input, rows) => {
    const inputs = input.length / rows;
    const output = new Float64Array(rows * positions * channels);
    for (let row = 0; row < rows; row++) {
      taps.forEach((position, pixel) => {
        const [to, from] = [(row * positions + position) * channels, row * inputs + pixel * channels];
        for (let c = 0; c < channels; c++) output[to + c] += input[from + c] / inside[position];
      });
    }
    return weightless(output, (dOutput) => {
      const dInput = new Float64Array(input.length);
      for (let row = 0; row < rows; row++) {
        taps.forEach((position, pixel) => {
          const [from, to] = [(row * positions + position) * channels, row * inputs + pixel * channels];
          for (let c = 0; c < channels; c++) dInput[to + c] += dOutput[from + c] / inside[position];
        });
      }
      return dInput;
    });
  };
}
