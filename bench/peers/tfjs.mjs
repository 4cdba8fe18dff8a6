// TensorFlow.js: seconds of a training epoch of 60,000 MNIST images, measured on 12,000, as one JSON line.
//   node tfjs.mjs DIR --modules FOLDER [--network 784-128-10] [--optimizer adam|nesterov] [--batch 128] [--backend wasm|cpu]
// FOLDER is where bench/peers/package.json was installed (a folder with node_modules).
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readTraining, widthsOf } from './idx.mjs';

const SAMPLES = 12_000;
const WARM_UP = 640;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: 'string', default: '.' },
    network: { type: 'string', default: '784-128-10' },
    optimizer: { type: 'string', default: 'adam' },
    batch: { type: 'string', default: '128' },
    backend: { type: 'string', default: 'wasm' },
  },
});
const folder = resolve(values.modules);
const require = createRequire(join(folder, 'package.json'));
const tf = require('@tensorflow/tfjs');
const wasm = require('@tensorflow/tfjs-backend-wasm');
wasm.setWasmPaths(join(folder, 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'));
if (!(await tf.setBackend(values.backend))) throw new Error(`TensorFlow.js has no backend ${values.backend} here.`);
await tf.ready();

const [inputs, ...widths] = widthsOf(values.network);
const model = tf.sequential({
  layers: widths.map((units, index) =>
    tf.layers.dense({
      units,
      activation: index < widths.length - 1 ? 'relu' : 'softmax',
      ...(index === 0 && { inputShape: [inputs] }),
    }),
  ),
});
const optimizer = values.optimizer === 'adam' ? tf.train.adam(1e-3) : tf.train.momentum(0.05, 0.9, true);
model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy' });
const pixels = readTraining(positionals[0], 'images').subarray(0, SAMPLES * inputs);
const x = tf.tensor2d(
  Float32Array.from(pixels, (value) => value / 255),
  [SAMPLES, inputs],
);
const y = tf.tensor1d(Float32Array.from(readTraining(positionals[0], 'labels').subarray(0, SAMPLES)));
const fit = (count) =>
  model.fit(x.slice([0, 0], [count, inputs]), y.slice(0, count), {
    epochs: 1,
    batchSize: Number(values.batch),
    verbose: 0,
  });
await fit(WARM_UP);
const start = performance.now();
await fit(SAMPLES);
const seconds = ((performance.now() - start) / 1000) * (60_000 / SAMPLES);
console.log(JSON.stringify({ seconds, version: tf.version.tfjs }));
