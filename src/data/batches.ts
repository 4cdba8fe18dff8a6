import { checkInteger, expected } from '../errors.js';
import { checkBoolean, checkOptions } from '../options.js';
import { RandomPurpose, shuffle } from '../random.js';
import { type Rows, takeRows } from './rows.js';

/** Samples with their targets, row-major, as data sets have them. */
interface Samples {
  inputs: Uint8Array | Float32Array;
  targets: Uint8Array | Int32Array | Float32Array;
  count: number;
}

export interface BatchesOptions {
  /** Samples per batch; the last one takes what is left. Default 32. */
  batchSize?: number;
  /** Whether each epoch has an order of its own; default true. */
  shuffle?: boolean;
  /**
   * What the orders depend on; default 0. The model's seed gives the batches that `fit` makes of data in memory. Dropout and
   * augmentation draw by a sample's place in the stream, so with shuffling they draw other numbers than for data in memory.
   */
  seed?: number;
}

/**
 * A stream of batches of a data set, as `fit` takes it: a function that begins an epoch, counted from 1. It is a pattern for
 * streams from files and sockets, and lets a program look at batches or change them on their way.
 *
 * Throws ERR_ARGUMENT.
 */
export function batches(data: Samples, options?: BatchesOptions): (epoch: number) => AsyncGenerator<Samples, void> {
  const checked = checkOptions(options, 'batches', { batchSize: true, shuffle: true, seed: true });
  if (
    typeof data !== 'object' ||
    data === null ||
    !ArrayBuffer.isView(data.inputs) ||
    !ArrayBuffer.isView(data.targets)
  ) {
    throw expected('inputs and targets in typed arrays', 'data', data);
  }
  const count = checkInteger(data.count, 'data.count', 1);
  const batchSize = checkInteger(checked.batchSize ?? 32, 'batchSize', 1);
  const shuffled = checkBoolean(checked.shuffle ?? true, 'shuffle');
  const seed = checkInteger(checked.seed ?? 0, 'seed', 0);
  return async function* epochOfBatches(epoch) {
    const order = Uint32Array.from({ length: count }, (_, index) => index);
    if (shuffled) shuffle(order, seed, RandomPurpose.shuffle, epoch - 1);
    for (let start = 0; start < count; start += batchSize) yield pick(data, order.subarray(start, start + batchSize));
  };
}

function pick({ inputs, targets, count }: Samples, order: Uint32Array): Samples {
  const take = <T extends Rows>(values: T) => takeRows(values, values.length / count, order);
  return { inputs: take(inputs), targets: take(targets), count: order.length };
}
