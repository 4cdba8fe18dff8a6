// The raw IDX files of a folder: what the peers and the project are measured on.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const HEADER = { images: 16, labels: 8 };

/** Bytes of the 60,000 training images or labels, without the header. */
export function readTraining(dir, kind) {
  const name = kind === 'images' ? 'train-images-idx3-ubyte' : 'train-labels-idx1-ubyte';
  return new Uint8Array(readFileSync(join(dir, name)).subarray(HEADER[kind]));
}

/** Milliseconds of each of `calls` calls, one after the other: the median. */
export async function medianMilliseconds(calls, work) {
  const times = new Float64Array(calls);
  for (let call = 0; call < calls; call++) {
    const start = performance.now();
    await work(call);
    times[call] = performance.now() - start;
  }
  return times.sort()[calls >> 1];
}
