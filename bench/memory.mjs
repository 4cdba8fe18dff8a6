// Whether memory grows: node bench/memory.mjs [--cycles 10000] [--predictions 10000000]. Models are made, trained and
// dropped without dispose and without calls of the garbage collector; predictions are of single images. Prints the
// resident set at ten places and the slope of the line through those of the last nine, after warm-up.
import { parseArgs } from 'node:util';
import { adam, dense, sequential } from '../dist/index.js';

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '10000' }, predictions: { type: 'string', default: '10000000' } },
});

function network(units, size) {
  const layers = [dense({ units, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [size], seed: 1, threads: 1 });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  return model;
}

const data = {
  inputs: new Float32Array(64 * 256).fill(0.5),
  targets: Uint8Array.from({ length: 64 }, (_, i) => i % 10),
};
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Least squares over the samples behind the warm-up, in bytes per unit. */
function slope(samples, unitsApart) {
  const ys = samples.slice(1);
  const mean = ys.reduce((sum, y) => sum + y, 0) / ys.length;
  const middle = (ys.length - 1) / 2;
  const top = ys.reduce((sum, y, x) => sum + (x - middle) * (y - mean), 0);
  const bottom = ys.reduce((sum, _, x) => sum + (x - middle) ** 2, 0);
  return top / bottom / unitsApart;
}

async function measure(name, count, once) {
  const samples = [];
  for (let i = 1; i <= count; i++) {
    await once();
    if (i % (count / 10) === 0) samples.push(process.memoryUsage().rss);
  }
  const megabytes = samples.map((bytes) => Math.round(bytes / 2 ** 20));
  console.log(JSON.stringify({ name, count, megabytes, bytesPerUnit: +slope(samples, count / 10).toFixed(2) }));
}

const train = async (model) => {
  await model.fit(data, { epochs: 1, batchSize: 32, onWarning: () => {} });
  model.predictSync(data.inputs.subarray(0, 256));
};
await measure('create, train, drop', Number(values.cycles), () => train(network(256, 256)));
await measure('create, train, snapshot, dispose', Number(values.cycles), async () => {
  const model = network(256, 256);
  await train(model);
  const predictor = model.snapshot();
  predictor.predictSync(data.inputs.subarray(0, 256));
  predictor.dispose();
  model.dispose();
});

const model = network(128, 784);
const image = new Uint8Array(784).map((_, i) => (i % 5 === 0 ? i % 256 : 0));
const output = new Float32Array(10);
const PORTION = 10_000;
await measure('predictSync', Number(values.predictions) / PORTION, async () => {
  for (let i = 0; i < PORTION; i++) model.predictSync(image, i % 2 ? output : undefined);
  await turn();
});
await measure('predict', Number(values.cycles), () => model.predict(image));
