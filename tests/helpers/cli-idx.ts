import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** An IDX file of unsigned bytes: magic, big-endian dimensions, values. */
export function idxBytes(dimensions: readonly number[], values: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * dimensions.length);
  header[2] = 0x08;
  header[3] = dimensions.length;
  dimensions.forEach((dimension, index) => {
    header.writeUInt32BE(dimension, 4 + 4 * index);
  });
  return Buffer.concat([header, values]);
}

/** An image of a class: a bright block at one of ten places, a little different from sample to sample. */
export function blockImage(label: number, sample = 0): Uint8Array {
  const pixels = new Uint8Array(28 * 28);
  const top = 2 + 12 * Math.floor(label / 5);
  const left = 1 + 5 * (label % 5);
  for (let row = 0; row < 8; row++) {
    for (let column = 0; column < 5; column++) {
      pixels[(top + row) * 28 + left + column] = 195 + ((sample * 31 + row * 7 + column * 13) % 60);
    }
  }
  return pixels;
}

/** Writes the four files of a small data set, which a network learns at once, into a folder and returns the folder. */
export function writeDataset(folder: string, trainCount = 400, testCount = 100): string {
  mkdirSync(folder, { recursive: true });
  const write = (prefix: string, count: number) => {
    const images = Buffer.concat(Array.from({ length: count }, (_, sample) => blockImage(sample % 10, sample)));
    const labels = Uint8Array.from({ length: count }, (_, sample) => sample % 10);
    writeFileSync(join(folder, `${prefix}-images-idx3-ubyte`), idxBytes([count, 28, 28], images));
    writeFileSync(join(folder, `${prefix}-labels-idx1-ubyte`), idxBytes([count], labels));
  };
  write('train', trainCount);
  write('t10k', testCount);
  return folder;
}
