/** Sums over samples are made in parts of SAMPLES_PER_PART (docs/numerics.md, rule 3): their buffers, and their sum. */

import { expected } from '../../../errors.js';
import { type OpName, partsOf, SAMPLES_PER_PART } from '../../../program/ops.js';
import { type FloatMatrix, type Kernel, type PrepareKernel, requireColumns } from './kernel.js';

const fround = Math.fround;

/** Checks that a batch has a row per sample, and that `parts` holds `rows` rows of `columns` for each part of it. */
export function requireParts(op: OpName, parts: FloatMatrix, batch: FloatMatrix, rows: number, columns: number): void {
  if (!batch.batched) {
    throw expected('one row per sample', `buffer ${batch.name} of ${op}`, `${batch.rows} rows`, '', 'ERR_SHAPE');
  }
  requireColumns(op, parts, columns);
  const wanted = partsOf(batch.rows) * rows;
  if (parts.batched || parts.rows !== wanted) {
    const hint = `It holds a part for every ${SAMPLES_PER_PART} samples of the section's capacity.`;
    throw expected(`a fixed shape of ${wanted} rows`, `buffer ${parts.name} of ${op}`, parts.rows, hint, 'ERR_SHAPE');
  }
}

/** How many samples a part has in a step of `rows`. */
export function samplesInPart(part: number, rows: number): number {
  return Math.min(SAMPLES_PER_PART, rows - part * SAMPLES_PER_PART);
}

/** output[...] = Σ of the parts[part, ...] that this step's samples fill, in their order. */
export const prepareSumParts: PrepareKernel<'sumParts'> = (op, { float, capacity }) => {
  const parts = float(op.parts);
  const output = float(op.output);
  const size = output.values.length;
  const wanted = partsOf(capacity) * size;
  if (parts.batched || output.batched || parts.values.length !== wanted) {
    const name = `buffer ${parts.name} of sumParts`;
    throw expected(`${wanted} elements of a fixed shape`, name, parts.values.length, '', 'ERR_SHAPE');
  }
  const run: Kernel = (step) => {
    const sums = output.values;
    const terms = parts.values;
    const end = partsOf(step.rows) * size;
    for (let i = 0; i < size; i++) sums[i] = terms[i];
    for (let from = size; from < end; from += size) {
      for (let i = 0; i < size; i++) sums[i] = fround(sums[i] + terms[from + i]);
    }
  };
  return run;
};
