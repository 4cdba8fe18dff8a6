import { type LoadedDataset, loadDataset } from '../../data/load.js';
import { MnistTrainError } from '../../index.js';
import { RandomPurpose, RandomStream } from '../../random.js';

const SIDE = 28;
const PIXELS = SIDE * SIDE;
/** MNIST's images have 151 pixels on average that are not zero. */
const INK_PIXELS = 151;

export interface BenchData {
  /** How people are told about it. */
  title: string;
  inputs: Uint8Array;
  targets: Uint8Array;
  count: number;
}

export interface BenchDataOptions {
  /** The folder that the user named; it must have the files then. */
  dataDir?: string;
  signal: AbortSignal;
}

/** MNIST's training set when it is on this machine, else images that are as sparse. Never downloads. */
export async function benchData(count: number, { dataDir, signal }: BenchDataOptions): Promise<BenchData> {
  let mnist: LoadedDataset;
  try {
    mnist = await loadDataset('mnist', { download: false, dataDir, signal });
  } catch (error) {
    const missing = error instanceof MnistTrainError && error.code === 'ERR_DOWNLOAD';
    if (!missing || dataDir !== undefined) throw error;
    return { title: 'made-up images, 19 % of their pixels not zero, as in MNIST', ...syntheticImages(count) };
  }
  const { inputs, targets } = mnist.train;
  return { title: 'MNIST', inputs: inputs.subarray(0, count * PIXELS), targets: targets.subarray(0, count), count };
}

/**
 * Images as sparse as MNIST's and with their zeros in runs: kernels that skip zeros must meet the same amount of work.
 * A brush of 3×3 pixels walks at random through the middle 20×20 until it has left enough ink.
 */
export function syntheticImages(count: number): Omit<BenchData, 'title'> {
  const inputs = new Uint8Array(count * PIXELS);
  const targets = new Uint8Array(count);
  const random = new RandomStream(1, RandomPurpose.augment, 0);
  for (let image = 0; image < count; image++) {
    targets[image] = image % 10;
    paint(inputs.subarray(image * PIXELS, (image + 1) * PIXELS), random);
  }
  return { inputs, targets, count };
}

function paint(pixels: Uint8Array, random: RandomStream): void {
  let x = 8 + Math.floor(random.uniform() * 12);
  let y = 8 + Math.floor(random.uniform() * 12);
  let ink = 0;
  while (ink < INK_PIXELS) {
    for (let row = y - 1; row <= y + 1; row++) {
      for (let column = x - 1; column <= x + 1; column++) {
        const place = row * SIDE + column;
        if (pixels[place] === 0) ink++;
        pixels[place] = row === y && column === x ? 255 : Math.max(pixels[place], 127);
      }
    }
    const turn = random.uniform();
    const step = turn < 0.5 ? -1 : 1;
    if (turn % 0.5 < 0.25) x = clamp(x + step);
    else y = clamp(y + step);
  }
}

/** Keeps the brush within MNIST's box of 20×20. */
const clamp = (place: number) => Math.max(5, Math.min(22, place));
