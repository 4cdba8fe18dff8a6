import { importPicture } from '../../src/data/image.js';
import { type Dataset, dense, type Layer, type Predictor, sequential } from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';

/** What these tests draw: a ring, a stroke from top to bottom, and one from left to right. */
const CLASS_NAMES = ['0', '1', 'dash'];

const SIDE = 56;

/** Drawings of three kinds, imported as the server imports them. */
function drawnSamples(count: number, seed = 3): Dataset {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  const inputs = new Uint8Array(count * 784);
  const targets = new Uint8Array(count);
  for (let sample = 0; sample < count; sample++) {
    targets[sample] = sample % 3;
    const luminance = draw(targets[sample], stream);
    const { pixels } = importPicture({ width: SIDE, height: SIDE, luminance, alpha: null }, 'a sample');
    inputs.set(pixels, sample * 784);
  }
  return { inputs, targets, count, shape: [28, 28, 1], classNames: CLASS_NAMES };
}

function draw(kind: number, stream: RandomStream): Uint8Array {
  const middle = SIDE / 2 + stream.below(8) - 4;
  const half = 2 + stream.below(2);
  const reach = 16 + stream.below(8);
  const slope = (stream.below(9) - 4) / 20;
  return Uint8Array.from({ length: SIDE * SIDE }, (_, pixel) => {
    const [x, y] = [(pixel % SIDE) - middle, Math.floor(pixel / SIDE) - middle];
    const distance =
      kind === 0 ? Math.abs(Math.hypot(x, y) - reach) : Math.abs(kind === 1 ? x - slope * y : y - slope * x);
    const along = kind === 0 ? 0 : Math.abs(kind === 1 ? y : x);
    return distance <= half && along <= reach ? 255 : 0;
  });
}

/** A model that tells the three kinds apart, trained in a moment. `layers` come before the last one. */
export async function drawingModel(
  layers: Layer[] = [dense({ units: 24, activation: 'relu' })],
  seed = 1,
): Promise<Predictor> {
  const model = sequential([...layers, dense({ units: 3, activation: 'softmax' })], { inputShape: [28, 28, 1], seed });
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  await model.fit(drawnSamples(240), { epochs: 12, batchSize: 16 });
  return model.snapshot();
}
