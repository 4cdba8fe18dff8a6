// From abort() to the settled promise, at random moments of runs of all sizes: node bench/cancel.mjs [--aborts 20]

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { adam, dense, recipes, sequential } from '../dist/index.js';

const { values } = parseArgs({ options: { aborts: { type: 'string', default: '20' }, threads: { type: 'string' } } });
const threads = values.threads === undefined ? undefined : Number(values.threads);

function network(hidden) {
  const layers = [
    ...hidden.map((units) => dense({ units, activation: 'relu' })),
    dense({ units: 10, activation: 'softmax' }),
  ];
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: 1, threads });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  return model;
}

function recipe(name) {
  return recipes[name].build({ inputShape: [28, 28, 1], classes: 10, seed: 1 });
}

const samples = (count) => ({
  inputs: Uint8Array.from({ length: count * 784 }, (_, i) => (i * 7919) % 251),
  targets: Uint8Array.from({ length: count }, (_, i) => i % 10),
});

const training = (model, count, batchSize) => {
  const data = samples(count);
  return (signal) => model.fit(data, { batchSize, epochs: 1e6, shuffle: false, signal, onWarning: () => {} });
};
const repeat = (work) => async (signal) => {
  for (;;) await work(signal);
};

const large = network([4096, 4096]);
const cases = [
  ['fit 784-128-10, batch 128', training(network([128]), 6000, 128)],
  ['fit 784-128-10, batch 4096', training(network([128]), 8192, 4096)],
  ['fit 784-4096-4096-10, batch 32', training(large, 64, 32)],
  ['fit 784-1024-1024-10, batch 8192', training(network([1024, 1024]), 8192, 8192)],
  ['fit cnn, batch 128', training(recipe('cnn'), 1024, 128)],
  ['fit accurate, batch 512', training(recipe('accurate'), 512, 512)],
  ['evaluate 784-4096-4096-10', repeat((signal) => large.evaluate(evaluated, { batchSize: 4096, signal }))],
  ['predict 784-4096-4096-10', repeat((signal) => large.predict(evaluated.inputs, { signal }))],
];
const evaluated = samples(4096);

for (const [name, run] of cases) {
  const milliseconds = [];
  for (let abort = -1; abort < Number(values.aborts); abort++) {
    const controller = new AbortController();
    const settled = run(controller.signal).then(
      () => {},
      () => {},
    );
    await sleep(100 + (((abort + 1) * 37) % 200));
    const start = performance.now();
    controller.abort();
    await settled;
    if (abort >= 0) milliseconds.push(performance.now() - start);
  }
  milliseconds.sort((a, b) => a - b);
  const median = milliseconds[milliseconds.length >> 1];
  console.log(
    JSON.stringify({
      name,
      aborts: milliseconds.length,
      medianMs: +median.toFixed(2),
      maxMs: +milliseconds.at(-1).toFixed(2),
    }),
  );
}
process.exit();
