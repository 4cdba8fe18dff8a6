// This project, measured as the peers are, from dist/: one JSON line.
//   node mnist-train.mjs train DIR [--network 784-128-10|lenet5|mnist-cnn] [--optimizer adam|nesterov] [--batch 128]
//                        [--samples 60000] [--backend native|js] [--threads 1]     {"seconds"} of the second epoch
//   node mnist-train.mjs predict DIR [--network …] [--backend …] [--threads …]  {"microseconds", "imagesPerSecond"}
import { parseArgs } from 'node:util';
import { adam, conv2d, dense, dropout, flatten, maxPooling2d, sequential, sgd } from '../../dist/index.js';
import { medianMilliseconds, readTraining } from './idx.mjs';
import { inputShapeOf, layersOf } from './networks.mjs';

const PIXELS = 784;
const CLASSES = 10;
const PREDICTED = 10_000;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    network: { type: 'string', default: '784-128-10' },
    optimizer: { type: 'string', default: 'adam' },
    batch: { type: 'string', default: '128' },
    samples: { type: 'string', default: '60000' },
    backend: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '1' },
  },
});
const [task, dir] = positionals;
const layers = layersOf(values.network, { conv2d, dense, dropout, flatten, maxPooling2d });
const threads = Number(values.threads);
const inputShape = inputShapeOf(values.network);
const model = sequential(layers, { inputShape, seed: 1, backend: values.backend, threads });
const images = readTraining(dir, 'images');
console.log(JSON.stringify(task === 'train' ? await train() : await predict()));
model.dispose();

async function train() {
  const optimizer =
    values.optimizer === 'adam'
      ? adam({ learningRate: 1e-3 })
      : sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true });
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  const samples = Number(values.samples);
  const targets = readTraining(dir, 'labels').subarray(0, samples);
  const data = { inputs: images.subarray(0, samples * PIXELS), targets };
  const fit = () => model.fit(data, { epochs: 1, batchSize: Number(values.batch) });
  await fit();
  return { seconds: (await fit()).trainSeconds };
}

async function predict() {
  const outputs = new Float32Array(CLASSES);
  const image = (index) => images.subarray((index % 256) * PIXELS, ((index % 256) + 1) * PIXELS);
  const one = await syncMedian(20_000, (call) => model.predictSync(image(call), outputs));
  const many = images.subarray(0, PREDICTED * PIXELS);
  const all = await medianMilliseconds(20, () => model.predict(many));
  return { microseconds: one * 1000, imagesPerSecond: (PREDICTED / all) * 1000 };
}

/** Without an await between the calls, which would cost more than they do. */
function syncMedian(calls, work) {
  const times = new Float64Array(calls);
  for (let call = 0; call < calls; call++) {
    const start = performance.now();
    work(call);
    times[call] = performance.now() - start;
  }
  return times.sort()[calls >> 1];
}
