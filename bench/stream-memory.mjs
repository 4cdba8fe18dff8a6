// Memory of a fit that reads a stream: node bench/stream-memory.mjs [megabytes of the stream, default 2000]
import { batches, dense, recipes, sequential } from '../build-ts/index.js';
import { planMemory } from '../build-ts/program/plan.js';

const MEGABYTE = 1e6;
const streamBytes = Number(process.argv[2] ?? 2000) * MEGABYTE;
const count = 1024;
const inputs = Uint8Array.from({ length: count * 784 }, (_, index) => ((index * 2654435761) >>> 24) & 255);
const data = { inputs, targets: Uint8Array.from({ length: count }, (_, index) => index % 10), count };

/** Batches made on the way, so that the stream itself takes no memory. */
async function* stream(bytes) {
  const once = batches(data, { batchSize: 128 });
  for (let epoch = 1, sent = 0; sent < bytes; epoch++) {
    for await (const batch of once(epoch)) {
      sent += batch.inputs.byteLength;
      yield batch;
    }
  }
}

const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
const networks = {
  '784-128-10': sequential(layers, { inputShape: [28, 28, 1] }),
  'recipe cnn': recipes.cnn.build({ inputShape: [28, 28, 1], seed: 1 }),
};
for (const [name, model] of Object.entries(networks)) {
  if (name === '784-128-10') model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
  const { sizes } = planMemory(model.program({ batchSize: 128 }));
  const arena = Object.values(sizes).reduce((sum, size) => sum + size, 0);
  const bytes = name === '784-128-10' ? streamBytes : streamBytes / 10;
  const samples = [];
  const timer = setInterval(() => samples.push(process.memoryUsage().rss / MEGABYTE), 50);
  const steps = Math.floor(bytes / (784 * 128));
  const { trainSeconds } = await model.fit(() => stream(bytes), { stepsPerEpoch: steps, onWarning: () => {} });
  clearInterval(timer);
  const quarter = Math.ceil(samples.length / 4);
  const peak = (from, to) => Math.max(...samples.slice(from * quarter, to * quarter)).toFixed(0);
  console.log(
    `${name}: stream ${(bytes / MEGABYTE).toFixed(0)} MB, ${(bytes / arena).toFixed(0)} x the arena of ${(arena / MEGABYTE).toFixed(1)} MB; ` +
      `greatest resident memory in each quarter ${[0, 1, 2, 3].map((q) => peak(q, q + 1)).join(', ')} MB; ${trainSeconds.toFixed(1)} s in steps`,
  );
  model.dispose();
}
