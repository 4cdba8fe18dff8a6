import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { adam, dense, sequential } from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';

/**
 * The TypeScript backend shares its thread with the event loop. These steps have 300 million multiply-adds each: many
 * times what fits between two turns on any machine.
 */

const COUNT = 512;
const INPUTS = 512;
const CLASSES = 10;
const stream = new RandomStream(5, RandomPurpose.augment);
const data = {
  inputs: Float32Array.from({ length: COUNT * INPUTS }, () => stream.uniform()),
  targets: Uint8Array.from({ length: COUNT }, () => stream.below(CLASSES)),
};

const options = { batchSize: 256, shuffle: false };

function make(useEma = false) {
  const layers = [dense({ units: 384, activation: 'relu' }), dense({ units: CLASSES, activation: 'softmax' })];
  const model = sequential(layers, { inputShape: [INPUTS], seed: 3, backend: createJsBackend() });
  model.compile({ optimizer: adam({ useEma }), loss: 'categoricalCrossentropy' });
  return model;
}

/** Goes on with turns of the event loop until `done` says so, and returns their number. */
async function countTurns(work: Promise<unknown>): Promise<number> {
  let running = true;
  let turns = 0;
  const ended = work.finally(() => {
    running = false;
  });
  while (running) {
    await nextTurn();
    turns++;
  }
  await ended;
  return turns;
}

describe('a long step in TypeScript', () => {
  it('takes turns of the event loop between its ops', async () => {
    const model = make();
    // Two steps: with turns only between steps there would be three.
    expect(await countTurns(model.fit(data, options))).toBeGreaterThan(6);
    expect(await countTurns(model.evaluate(data))).toBeGreaterThan(3);
  });

  it.each([{ useEma: false }, { useEma: true }])(
    'is undone when the signal comes in the middle of it ($useEma)',
    async ({ useEma }) => {
      const model = make(useEma);
      const first = model.weightsSha256();
      for (const turns of [2, 3]) {
        const controller = new AbortController();
        const running = model.fit(data, { ...options, signal: controller.signal }).catch(() => {});
        for (let turn = 0; turn < turns; turn++) await nextTurn();
        controller.abort();
        await running;
        expect(model.weightsSha256()).toBe(first);
      }
      // The optimizer's state was undone with the weights: what comes next is as if nothing had been.
      const undisturbed = make(useEma);
      for (let epoch = 0; epoch < 2; epoch++) {
        await model.fit(data, options);
        await undisturbed.fit(data, options);
      }
      expect(model.weightsSha256()).toBe(undisturbed.weightsSha256());
      expect(model.weightsSha256()).not.toBe(first);
    },
  );
});
