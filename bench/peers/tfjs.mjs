// TensorFlow.js: seconds of a training epoch of MNIST images, measured on at most 12,000 and scaled, as one JSON line.
//   node tfjs.mjs DIR --modules FOLDER [--network 784-128-10|lenet5|mnist-cnn] [--optimizer adam|nesterov] [--batch 128]
//                 [--samples 60000] [--backend wasm|cpu]
// FOLDER is where bench/peers/package.json was installed (a folder with node_modules).
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readTraining } from './idx.mjs';
import { inputShapeOf, layersOf } from './networks.mjs';

const PIXELS = 784;
const MEASURED = 12_000;
const WARM_UP = 640;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    modules: { type: 'string', default: '.' },
    network: { type: 'string', default: '784-128-10' },
    optimizer: { type: 'string', default: 'adam' },
    batch: { type: 'string', default: '128' },
    samples: { type: 'string', default: '60000' },
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

const inputShape = inputShapeOf(values.network);
const layers = [tf.layers.inputLayer({ inputShape }), ...layersOf(values.network, tf.layers)];
const model = tf.sequential({ layers });
const optimizer = values.optimizer === 'adam' ? tf.train.adam(1e-3) : tf.train.momentum(0.05, 0.9, true);
model.compile({ optimizer, loss: 'sparseCategoricalCrossentropy' });
const samples = Number(values.samples);
const measured = Math.min(samples, MEASURED);
const pixels = readTraining(positionals[0], 'images').subarray(0, measured * PIXELS);
const x = tf.tensor(
  Float32Array.from(pixels, (value) => value / 255),
  [measured, ...inputShape],
);
const y = tf.tensor1d(Float32Array.from(readTraining(positionals[0], 'labels').subarray(0, measured)));
const fit = (count) =>
  model.fit(x.slice(0, count), y.slice(0, count), { epochs: 1, batchSize: Number(values.batch), verbose: 0 });
await fit(Math.min(WARM_UP, measured));
const start = performance.now();
await fit(measured);
const seconds = ((performance.now() - start) / 1000) * (samples / measured);
console.log(JSON.stringify({ seconds, version: tf.version.tfjs }));
