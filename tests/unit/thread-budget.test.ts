import { afterEach, describe, expect, it } from 'vitest';
import { requireAddon } from '../../src/backends/native/load.js';
import { availableCores } from '../../src/backends/native/machine.js';
import { adam, dense, type Sequential, sequential, setThreadBudget, threadBudget } from '../../src/index.js';
import { failure } from '../helpers/toy.js';

const SAMPLES = 512;
const BATCH_SIZE = 64;
const data = {
  inputs: Uint8Array.from({ length: SAMPLES * 784 }, (_, i) => (i * 7919) % 251),
  targets: Uint8Array.from({ length: SAMPLES }, (_, i) => i % 10),
};

function network(threads: number): Sequential {
  const layers = [dense({ units: 256, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [784], seed: 7, backend: 'native', threads });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  return model;
}

async function trained(threads: number, epochs: number): Promise<string> {
  const model = network(threads);
  await model.fit(data, { epochs, batchSize: BATCH_SIZE, onWarning: () => {} });
  const sha256 = model.weightsSha256();
  model.dispose();
  return sha256;
}

const initial = threadBudget();
afterEach(() => setThreadBudget(initial));

describe('the thread budget', () => {
  it('is what the process may use at first, and what was set then', () => {
    expect(initial).toBe(Number(process.env.MNIST_TRAIN_THREADS || availableCores()));
    for (const threads of [1, 256]) {
      setThreadBudget(threads);
      network(2).dispose(); // opening a model changes nothing
      expect(threadBudget()).toBe(threads);
    }
  });

  it.each([0, 257, 1.5, Number.NaN, '2', undefined])('refuses %s', (threads) => {
    expect(() => setThreadBudget(threads as never)).toThrow(failure('ERR_ARGUMENT', /from 1 to 256 for threads/));
    expect(threadBudget()).toBe(initial);
  });

  it('changes no bit, whatever part of their threads models get', async () => {
    const wanted = await trained(1, 3);
    for (const budget of [1, 2, 3, 5, 16]) {
      setThreadBudget(budget);
      for (const threads of [2, 3, 8]) expect(await trained(threads, 3), `${budget}, ${threads}`).toBe(wanted);
    }
  });

  it('is kept by several models at once, which get equal parts', async () => {
    const addon = requireAddon();
    const epochs = 120;
    setThreadBudget(1);
    const models = Array.from({ length: 4 }, () => network(2));
    const epochsDone = models.map(() => 0);
    let whenFirstEnded: number[] | null = null;
    await Promise.all(
      models.map(async (model, i) => {
        const onEpochEnd = () => void epochsDone[i]++;
        await model.fit(data, { epochs, batchSize: BATCH_SIZE, onWarning: () => {}, callbacks: [{ onEpochEnd }] });
        whenFirstEnded ??= [...epochsDone];
      }),
    );
    expect(addon.mostThreadsAtWork()).toBe(1);
    expect(new Set(models.map((model) => model.weightsSha256())).size).toBe(1);
    expect(epochsDone).toEqual(models.map(() => epochs));
    // Taking turns, nobody is more than some turns behind.
    expect(Math.min(...whenFirstEnded!)).toBeGreaterThan(epochs / 2);
  });

  it('lets a run that waits for a thread be aborted, and predict', async () => {
    setThreadBudget(1);
    const [busy, waiting] = [network(1), network(2)];
    const controllers = [new AbortController(), new AbortController()];
    const fits = [busy, waiting].map((model, i) =>
      model
        .fit(data, { epochs: 1e6, batchSize: BATCH_SIZE, onWarning: () => {}, signal: controllers[i].signal })
        .catch((error) => error.history.stopped),
    );
    const answers = await waiting.predict(data.inputs);
    expect(answers.length).toBe(SAMPLES * 10);
    controllers[1].abort();
    expect(await fits[1]).toBe('aborted');
    controllers[0].abort();
    expect(await fits[0]).toBe('aborted');
  });
});
