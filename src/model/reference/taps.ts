import type { Windows } from '../../program/ops.js';

/** What lies under the windows of a convolution or a pool: the pairs of a window's place and a pixel inside the image. */
export interface Taps {
  channels: number;
  /** Windows, and the places in each. */
  positions: number;
  places: number;
  /** Calls `visit` window by window, row by row: windows, pixels and places in a window are counted row-major. */
  forEach(visit: (position: number, pixel: number, place: number) => void): void;
}

export function tapsOf(windows: Windows): Taps {
  const { kernelHeight, kernelWidth, outputHeight, outputWidth, inputHeight, inputWidth, channels } = windows;
  const list: number[] = [];
  for (let y = 0; y < outputHeight; y++) {
    for (let x = 0; x < outputWidth; x++) {
      for (let ky = 0; ky < kernelHeight; ky++) {
        for (let kx = 0; kx < kernelWidth; kx++) {
          const row = y * windows.strideY - windows.padTop + ky;
          const column = x * windows.strideX - windows.padLeft + kx;
          if (row < 0 || row >= inputHeight || column < 0 || column >= inputWidth) continue;
          list.push(y * outputWidth + x, row * inputWidth + column, ky * kernelWidth + kx);
        }
      }
    }
  }
  const triples = Int32Array.from(list);
  return {
    channels,
    positions: outputHeight * outputWidth,
    places: kernelHeight * kernelWidth,
    forEach: (visit) => {
      for (let i = 0; i < triples.length; i += 3) visit(triples[i], triples[i + 1], triples[i + 2]);
    },
  };
}
