// The event loop's delay while MNIST is trained on flat out: node bench/event-loop.mjs [--seconds 5] [--threads 1,2]
// [--rounds 3]. Times are what timers of 1 ms came too late: the histogram's values without its resolution.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { adam, dense, loadDataset, sequential } from '../dist/index.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: `1,${availableParallelism()}` },
  },
});
const RESOLUTION = 1;
const { train } = await loadDataset('mnist');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-bench-'));

const over = (nanoseconds) => +(nanoseconds / 1e6 - RESOLUTION).toFixed(2);

/** What timers are late by while `work` is waited for. */
async function delaysOf(work) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  await work();
  delay.disable();
  const [p50Ms, p99Ms, maxMs] = [delay.percentile(50), delay.percentile(99), delay.max].map(over);
  return { p50Ms, p99Ms, maxMs, samples: delay.count };
}

/** The machine's own share: a process that does nothing. */
async function measureIdle() {
  const delays = await delaysOf(() => sleep(1000 * Number(values.seconds)));
  console.log(JSON.stringify({ name: 'idle', threads: 0, ...delays }));
}

async function measure(name, threads, options) {
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: 1, threads });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  const signal = AbortSignal.timeout(1000 * Number(values.seconds));
  const delays = await delaysOf(() =>
    model.fit(train, { epochs: 1e6, batchSize: 128, signal, ...options }).catch((error) => {
      if (error.code !== 'ERR_ABORTED') throw error;
    }),
  );
  console.log(JSON.stringify({ name, threads, ...delays }));
  model.dispose();
}

try {
  for (let round = 0; round < Number(values.rounds); round++) {
    await measureIdle();
    for (const threads of values.threads.split(',').map(Number)) {
      await measure('fit', threads, {});
      await measure('fit with validation', threads, { validationSplit: 0.1 });
      const directory = join(folder, `${round}-${threads}`);
      await measure('fit with a checkpoint every 0.5 s', threads, { checkpoint: { directory, everySeconds: 0.5 } });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
