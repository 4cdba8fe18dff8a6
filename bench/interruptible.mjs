// What it costs that a signal may end a long step in the middle: steps of a fit with a signal beside those of a fit
// without one, in turns, so that a machine that slows down for a while slows both.
// node bench/interruptible.mjs [--rounds 5] [--threads 2]
import { parseArgs } from 'node:util';
import { adam, dense, sequential, sgd } from '../dist/index.js';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, threads: { type: 'string' } },
});
const CASES = [
  { units: [128], batchSize: 4096, steps: 40 },
  { units: [1024, 1024], batchSize: 32, steps: 200 },
  { units: [1024, 1024], batchSize: 8192, steps: 3 },
  { units: [4096, 4096], batchSize: 32, steps: 10 },
  { units: [4096, 4096], batchSize: 512, steps: 4 },
];
const OPTIMIZERS = { adam: () => adam(), sgd: () => sgd({ learningRate: 0.01 }) };

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

for (const { units, batchSize, steps } of CASES) {
  for (const [name, optimizer] of Object.entries(OPTIMIZERS)) {
    const layers = [...units.map((count) => dense({ units: count, activation: 'relu' })), dense({ units: 10 })];
    const threads = values.threads === undefined ? undefined : Number(values.threads);
    const model = sequential(layers, { inputShape: [28, 28, 1], seed: 1, threads });
    model.compile({ optimizer: optimizer(), loss: 'categoricalCrossentropy' });
    const count = steps * batchSize;
    const data = {
      inputs: Uint8Array.from({ length: count * 784 }, (_, i) => (i % 5 === 0 ? (i * 7919) % 251 : 0)),
      targets: Uint8Array.from({ length: count }, (_, i) => i % 10),
    };
    const step = async (signal) => (1000 * (await model.fit(data, { batchSize, signal })).trainSeconds) / steps;
    const { signal } = new AbortController();
    await step(signal); // the step's length is known, and memory is there
    const [plain, ended] = [[], []];
    for (let round = 0; round < Number(values.rounds); round++) {
      plain.push(await step(undefined));
      ended.push(await step(signal));
    }
    const ratio = median(ended.map((milliseconds, round) => milliseconds / plain[round]));
    const [plainMs, signalMs] = [plain, ended].map((list) => +median(list).toFixed(2));
    const row = { network: [784, ...units, 10].join('-'), batchSize, optimizer: name, plainMs, signalMs };
    console.log(JSON.stringify({ ...row, ratio: +ratio.toFixed(2) }));
    model.dispose();
  }
}
