// Predictions on a pool of worker threads. The weights are in shared memory: sending a model to ten workers costs no more
// than to one, and workers go over to a new model between two jobs, never within one.
//
//   node examples/worker-pool.mjs [WORKERS]
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { adam, dense, loadDataset, sequential } from 'mnist-train';

class PredictionPool {
  #workers;
  #jobs = new Map();
  #nextJob = 0;

  constructor(predictor, size) {
    const file = new URL('./worker-pool-worker.mjs', import.meta.url);
    this.#workers = Array.from({ length: size }, () => {
      const worker = new Worker(file, { workerData: predictor.shared });
      worker.on('message', ({ job, outputs }) => {
        this.#jobs.get(job).resolve(outputs);
        this.#jobs.delete(job);
      });
      worker.on('error', (error) => {
        for (const { reject } of this.#jobs.values()) reject(error);
      });
      return worker;
    });
  }

  /** The outputs for some images, by the next worker in turn. */
  predict(images) {
    const job = this.#nextJob++;
    const { promise, resolve, reject } = withResolvers();
    this.#jobs.set(job, { resolve, reject });
    this.#workers[job % this.#workers.length].postMessage({ job, images });
    return promise;
  }

  /** Jobs posted from now on are answered with this model. */
  swap(predictor) {
    for (const worker of this.#workers) worker.postMessage({ model: predictor.shared });
  }

  async close() {
    for (const worker of this.#workers) worker.postMessage({ close: true });
    await Promise.all(this.#workers.map((worker) => once(worker, 'exit')));
  }
}

/** Promise.withResolvers, which Node.js 20 lacks. */
function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((...functions) => {
    [resolve, reject] = functions;
  });
  return { promise, resolve, reject };
}

/** The share of the pool's answers that are right. */
async function accuracyOf(pool, { inputs, targets, count }) {
  const batch = 500;
  const starts = Array.from({ length: Math.ceil(count / batch) }, (_, index) => index * batch);
  const answers = await Promise.all(
    starts.map((start) => pool.predict(inputs.slice(start * 784, (start + batch) * 784))),
  );
  const digits = answers.flatMap((outputs) =>
    Array.from({ length: outputs.length / 10 }, (_, row) => {
      const probabilities = outputs.subarray(row * 10, row * 10 + 10);
      return probabilities.indexOf(Math.max(...probabilities));
    }),
  );
  return digits.filter((digit, index) => digit === targets[index]).length / count;
}

const { train, test } = await loadDataset('mnist');
const model = sequential([dense({ units: 64, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })], {
  inputShape: [28, 28, 1],
  seed: 1,
});
model.compile({ optimizer: adam({ learningRate: 1e-3 }), loss: 'categoricalCrossentropy' });

const pool = new PredictionPool(model.snapshot(), Number(process.argv[2] ?? availableParallelism()));
console.log(`untrained: ${(100 * (await accuracyOf(pool, test))).toFixed(1)} % right`);
await model.fit(train, { epochs: 2, batchSize: 128 });
pool.swap(model.snapshot());
console.log(`trained:   ${(100 * (await accuracyOf(pool, test))).toFixed(1)} % right`);
await pool.close();
