/** Copies the step's samples out of the bound data: output[rows, columns] = data[order[start + i], columns]. */

import { type Kernel, type PrepareKernel, rowsIn } from './kernel.js';

/** fl(v / 255) for every pixel value. */
const PIXELS = Float32Array.from({ length: 256 }, (_, v) => v / 255);

/** output[to + i] = pixels[from + i] / 255. */
export function readPixels(pixels: Uint8Array, from: number, count: number, output: Float32Array, to: number): void {
  for (let i = 0; i < count; i++) output[to + i] = PIXELS[pixels[from + i]];
}

/** output[to + i] = values[from + i]. A loop: `set` would need a view, and views are garbage. */
export function copyFloats(values: Float32Array, from: number, count: number, output: Float32Array, to: number): void {
  for (let i = 0; i < count; i++) output[to + i] = values[from + i];
}

/** The backend has checked, before the first step, that the bound data fits the output's type and columns. */
export const prepareGather: PrepareKernel<'gather'> = (op, context) => {
  if (op.source === 'targets' && context.isInteger(op.output)) {
    const output = context.integer(op.output);
    const classes: Kernel = (step) => {
      const { order, start } = step;
      const values = step.data.classes!;
      const rows = rowsIn(output, step);
      for (let i = 0; i < rows; i++) output.values[i] = values[order[start + i]];
    };
    return classes;
  }

  const output = context.float(op.output);
  const { columns } = output;
  const { source } = op;
  const floats: Kernel = (step) => {
    const { order, start, data } = step;
    const pixels = source === 'inputs' ? data.pixels : null;
    const values = source === 'inputs' ? data.floats : data.values;
    const rows = rowsIn(output, step);
    for (let i = 0; i < rows; i++) {
      const from = order[start + i] * columns;
      if (pixels) readPixels(pixels, from, columns, output.values, i * columns);
      else copyFloats(values!, from, columns, output.values, i * columns);
    }
  };
  return floats;
};
