/** output = a + b, element by element; the three may be the same array. */

import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';

const fround = Math.fround;

export const prepareAdd: PrepareKernel<'add'> = (op, { float }) => {
  const a = float(op.a);
  const b = float(op.b);
  const output = float(op.output);
  requireSameShape('add', b, a);
  requireSameShape('add', output, a);
  const run: Kernel = (step) => {
    const { values: left } = a;
    const { values: right } = b;
    const { values: sums } = output;
    const count = rowsIn(a, step) * a.columns;
    for (let i = 0; i < count; i++) sums[i] = fround(left[i] + right[i]);
  };
  return run;
};
