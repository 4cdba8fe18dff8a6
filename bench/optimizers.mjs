// A training step of 784-128-10 at batch 128 with each optimizer and with what goes beside it, in turns on the native backend:
//   node bench/optimizers.mjs [rounds, default 9] [threads, default 1]
// Takes MNIST where the cache has it (npx mnist-train download), else made-up images with as many zeros.

import { table } from '../build-ts/cli/ui/tables.js';
import {
  adagrad,
  adam,
  adamw,
  categoricalCrossentropy,
  dense,
  lion,
  loadDataset,
  rmsprop,
  sequential,
  sgd,
} from '../build-ts/index.js';

const [rounds = 9, threads = 1] = process.argv.slice(2).map(Number);
const learningRate = 1e-4;
const plain = 'categoricalCrossentropy';
const entrants = {
  adam: [adam({ learningRate }), plain],
  adamw: [adamw({ learningRate }), plain],
  'sgd, Nesterov': [sgd({ learningRate, momentum: 0.9, nesterov: true }), plain],
  rmsprop: [rmsprop({ learningRate }), plain],
  adagrad: [adagrad({ learningRate }), plain],
  lion: [lion({ learningRate }), plain],
  'adam, clipValue': [adam({ learningRate, clipValue: 1 }), plain],
  'adam, globalClipNorm': [adam({ learningRate, globalClipNorm: 1 }), plain],
  'adam, useEma': [adam({ learningRate, useEma: true }), plain],
  'adam, class weights': [adam({ learningRate }), categoricalCrossentropy({ classWeights: new Array(10).fill(1.5) })],
  'adam, called between steps': [adam({ learningRate }), plain, [{ onTrainBatchEnd() {} }]],
};

const { train } = await loadDataset('mnist', { offline: true }).catch(() => ({ train: madeUp(60_000) }));
const models = Object.entries(entrants).map(([name, [optimizer, loss, callbacks]]) => {
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: 1, backend: 'native', threads });
  model.compile({ optimizer, loss });
  return { name, model, callbacks, times: [] };
});
const steps = Math.ceil(train.count / 128);
for (let round = -1; round < rounds; round++) {
  for (const { model, callbacks, times } of models) {
    const { trainSeconds } = await model.fit(train, { batchSize: 128, callbacks, onWarning() {} });
    if (round >= 0) times.push((trainSeconds / steps) * 1e6);
  }
}
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const reference = median(models[0].times);
const rows = models.map(({ name, times }) => [
  name,
  median(times).toFixed(1),
  Math.min(...times).toFixed(1),
  Math.max(...times).toFixed(1),
  (median(times) / reference).toFixed(2),
]);
const { isa } = models[0].model.backend;
const columns = ['median', 'least', 'greatest', 'ratio'].map((title) => ({ title, align: 'right' }));
console.log(table([{ title: `us a step, ${isa}, ${threads} thread(s)`, align: 'left' }, ...columns], rows));

function madeUp(count) {
  const inputs = Uint8Array.from({ length: count * 784 }, (_, index) =>
    Math.imul(index, 2654435761) >>> 30 === 0 ? index & 255 : 0,
  );
  return { inputs, targets: Uint8Array.from({ length: count }, (_, index) => index % 10), count };
}
