/**
 * Dropout, forward and backward alike: what an element is multiplied by depends on (seed, layer, epoch, the sample's index
 * in the data, the element) alone, so that no mask is kept and no cut into batches changes one.
 */

import { checkInteger, checkNumber, expected } from '../../../errors.js';
import { philox, RandomPurpose } from '../../../random.js';
import { type Kernel, type PrepareKernel, requireSameShape, rowsIn } from './kernel.js';

const fround = Math.fround;
const MOST_UINT32 = 2 ** 32 - 1;
/** `purpose + 256 · layer` is one word of the counter. */
const MOST_LAYERS = 2 ** 24 - 1;

/** output[rows, columns] = input / (1 - rate) where kept, else 0. */
export const prepareDropout: PrepareKernel<'dropout'> = (op, { float }) => {
  const input = float(op.input);
  const output = float(op.output);
  requireSameShape('dropout', output, input);
  if (!input.batched) {
    throw expected('one row per sample', `buffer ${input.name} of dropout`, `${input.rows} rows`, '', 'ERR_SHAPE');
  }
  const rate = checkNumber(op.rate, 'rate of dropout', 0, 1, true);
  const seedLow = checkInteger(op.seedLow, 'seedLow of dropout', 0, MOST_UINT32);
  const seedHigh = checkInteger(op.seedHigh, 'seedHigh of dropout', 0, MOST_UINT32);
  const purpose = RandomPurpose.dropout + 256 * checkInteger(op.layer, 'layer of dropout', 0, MOST_LAYERS);
  const threshold = Math.round(rate * 2 ** 24);
  const scale = fround(1 / (1 - rate));
  const block = new Uint32Array(4);
  const { columns } = input;
  const run: Kernel = (step) => {
    const { values: x } = input;
    const { values: y } = output;
    const epoch = step.scalars[step.scalarOffset + op.epoch];
    const rows = rowsIn(input, step);
    for (let i = 0; i < rows; i++) {
      const sample = (step.firstIndex + step.order[step.start + i]) >>> 0;
      const from = i * columns;
      for (let e = 0; e < columns; e += 4) {
        philox(block, e >>> 2, sample, purpose, epoch, seedLow, seedHigh);
        const lanes = Math.min(4, columns - e);
        for (let lane = 0; lane < lanes; lane++) {
          const at = from + e + lane;
          y[at] = block[lane] >>> 8 >= threshold ? fround(x[at] * scale) : 0;
        }
      }
    }
  };
  return run;
};
