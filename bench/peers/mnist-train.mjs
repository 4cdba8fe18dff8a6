// This project, measured as the peers are, from dist/: one JSON line.
//   node mnist-train.mjs train DIR [--network 784-128-10] [--optimizer adam|nesterov] [--batch 128]
//                        [--backend native|js] [--threads 1]        {"seconds"} of the second epoch of 60,000 images
//   node mnist-train.mjs predict DIR [--network …] [--backend …] [--threads …]  {"microseconds", "imagesPerSecond"}
import { parseArgs } from 'node:util';
import { adam, dense, sequential, sgd } from '../../dist/index.js';
import { medianMilliseconds, readTraining, widthsOf } from './idx.mjs';

const PREDICTED = 10_000;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    network: { type: 'string', default: '784-128-10' },
    optimizer: { type: 'string', default: 'adam' },
    batch: { type: 'string', default: '128' },
    backend: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '1' },
  },
});
const [task, dir] = positionals;
const [inputs, ...widths] = widthsOf(values.network);
const layers = widths.map((units, index) =>
  dense({ units, activation: index < widths.length - 1 ? 'relu' : 'softmax' }),
);
const threads = Number(values.threads);
const model = sequential(layers, { inputShape: [inputs], seed: 1, backend: values.backend, threads });
const images = readTraining(dir, 'images');
console.log(JSON.stringify(task === 'train' ? await train() : await predict()));
model.dispose();

async function train() {
  const optimizer =
    values.optimizer === 'adam'
      ? adam({ learningRate: 1e-3 })
      : sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true });
  model.compile({ optimizer, loss: 'categoricalCrossentropy' });
  const data = { inputs: images, targets: readTraining(dir, 'labels') };
  const fit = () => model.fit(data, { epochs: 1, batchSize: Number(values.batch) });
  await fit();
  return { seconds: (await fit()).trainSeconds };
}

async function predict() {
  const outputs = new Float32Array(widths.at(-1));
  const image = (index) => images.subarray((index % 256) * inputs, ((index % 256) + 1) * inputs);
  const one = await syncMedian(20_000, (call) => model.predictSync(image(call), outputs));
  const many = images.subarray(0, PREDICTED * inputs);
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
