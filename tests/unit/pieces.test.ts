import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dense, loadModel, type Sequential, sequential } from '../../src/index.js';
import { atOnce, inTurns, PIECE_BYTES, type Pieces, spans } from '../../src/pieces.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { failure } from '../helpers/toy.js';

/** Long work on the calling thread leaves the event loop its turns, ends with the signal, and sees one state of things. */

/** Works for so many milliseconds, a quarter of one at a time. */
function* busy(milliseconds: number, seen: string[] = []): Pieces<string> {
  try {
    for (let piece = 0; piece < 4 * milliseconds; piece++) {
      const end = performance.now() + 0.25;
      while (performance.now() < end);
      yield;
    }
    return 'done';
  } finally {
    seen.push('ended');
  }
}

describe('inTurns', () => {
  it('gives the event loop turns while it works', async () => {
    const { turns, result } = await turnsOf(inTurns(busy(20)));
    expect(turns).toBeGreaterThan(1); // a fast machine copies 94 MB in a few milliseconds
    expect(result).toBe('done');
  });

  it('does what is short before it returns', async () => {
    let done = false;
    const work = inTurns(
      (function* (): Pieces<void> {
        yield;
        done = true;
      })(),
    );
    expect(done).toBe(true);
    await work;
  });

  it('ends with what goOn throws, and lets the work clean up', async () => {
    const seen: string[] = [];
    let turns = 0;
    const goOn = () => {
      if (++turns === 2) throw new Error('enough');
    };
    await expect(inTurns(busy(50, seen), goOn)).rejects.toThrow('enough');
    expect(seen).toEqual(['ended']);
  });

  it('atOnce takes no turn; spans cover everything once', () => {
    expect(atOnce(busy(1))).toBe('done');
    expect([...spans(7, 3)]).toEqual([
      [0, 3],
      [3, 6],
      [6, 7],
    ]);
    expect([...spans(0, 3)]).toEqual([]);
  });
});

/** Awaits work, and counts turns of the event loop meanwhile; `during` is called in the first of them. */
async function turnsOf<T>(work: Promise<T>, during?: () => void): Promise<{ turns: number; result: T }> {
  let running = true;
  let turns = 0;
  const ended = work.finally(() => {
    running = false;
  });
  ended.catch(() => {});
  while (running) {
    await nextTurn();
    if (running && turns++ === 0) during?.();
  }
  return { turns, result: await ended };
}

const INPUTS = 784;
const COUNT = 30_000;
const UNITS = 2000;
/** 94 MB: to look at and to copy them takes many times longer than a turn on any machine. */
const inputs = new Float32Array(COUNT * INPUTS);
for (let index = 0; index < inputs.length; index += 5) inputs[index] = (index % 251) / 251;
const targets = new Uint8Array(COUNT);
const data = { inputs, targets };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mnist-train-pieces-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))('$title', ({ backend }) => {
  const small = (): Sequential => {
    const model = sequential([dense({ units: 2, activation: 'softmax' })], { inputShape: [INPUTS], backend });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    return model;
  };
  /** 9 MB of weights. */
  const large = (seed = 0): Sequential =>
    sequential([dense({ units: UNITS }), dense({ units: 400 })], { inputShape: [INPUTS], seed, backend });

  it('reads and copies data in turns', async () => {
    const { turns } = await turnsOf(small().evaluate(data));
    expect(turns).toBeGreaterThan(1);
  });

  it('fit, evaluate and calibrate end with a signal that comes while data are read', async () => {
    for (const call of ['fit', 'evaluate', 'calibrate'] as const) {
      const model = small();
      const before = model.weightsSha256();
      const controller = new AbortController();
      const cause = new Error('enough');
      const work = model[call](data, { signal: controller.signal });
      const ended = turnsOf<unknown>(work, () => controller.abort(cause));
      await expect(ended).rejects.toMatchObject({ code: 'ERR_ABORTED', cause });
      expect(model.weightsSha256()).toBe(before);
    }
  });

  it('refuses data that are moved away, or get more values, while they are read', async () => {
    const moved = inputs.slice();
    const fitting = turnsOf(small().fit({ inputs: moved, targets }), () => {
      structuredClone(moved.buffer, { transfer: [moved.buffer] });
    });
    await expect(fitting).rejects.toMatchObject({ code: expect.stringMatching(/ERR_(SHAPE|DATA)/) });
    if (backend.name === 'js') return; // it makes no lists
    const filled = inputs.slice();
    const binding = backend.bind({ inputs: filled, targets, count: COUNT });
    const pieces = Math.ceil(COUNT / Math.floor(PIECE_BYTES / (4 * INPUTS)));
    for (let piece = 0; piece < pieces + 3; piece++) binding.next(); // counted, and some copied
    filled.fill(1);
    expect(() => atOnce(binding)).toThrow(failure('ERR_DATA', /stay as they are while they are read/));
  });

  it('a model that is disposed of while data are read ends as one that is aborted', async () => {
    const [fitted, evaluated] = [small(), small()];
    await expect(turnsOf(fitted.fit(data), () => fitted.dispose())).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    const evaluation = turnsOf(evaluated.evaluate(data), () => evaluated.dispose());
    await expect(evaluation).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it('a model that was disposed of before says so, however long reading takes', async () => {
    const model = small();
    model.dispose();
    const gone = failure('ERR_STATE', /model was disposed of/);
    for (const call of ['fit', 'evaluate', 'calibrate'] as const) await expect(model[call](data)).rejects.toEqual(gone);
    await expect(model.predict(inputs)).rejects.toEqual(gone);
  });

  it('predicts large inputs in turns, and refuses those that are moved meanwhile', async () => {
    const model = small();
    const wanted = model.predictSync(inputs);
    const { turns, result } = await turnsOf(model.predict(inputs));
    expect(turns).toBeGreaterThan(1); // a fast machine copies 94 MB in a few milliseconds
    expect(result).toEqual(wanted);
    const moved = inputs.slice();
    const predicting = turnsOf(model.predict(moved), () => {
      structuredClone(moved.buffer, { transfer: [moved.buffer] });
    });
    await expect(predicting).rejects.toEqual(failure('ERR_SHAPE', /keeps its \d+ elements until it is read/));
  });

  it('saves and loads in turns, and leaves the old file when the signal comes', async () => {
    const path = join(folder, `${titleOf(backend).replace(' ', '-')}.safetensors`);
    const model = large();
    expect((await turnsOf(model.save(path))).turns).toBeGreaterThan(2);
    const { turns, result: loaded } = await turnsOf(loadModel(path, { backend }));
    expect(turns).toBeGreaterThan(2);
    expect(loaded.weightsSha256()).toBe(model.weightsSha256());
    const saved = await readFile(path);
    for (const when of ['before', 'during']) {
      const controller = new AbortController();
      const { signal } = controller;
      const abort = () => controller.abort();
      if (when === 'before') abort();
      await expect(turnsOf(large(1).save(path, { signal }), abort)).rejects.toEqual(failure('ERR_ABORTED', /Saving/));
      expect((await readFile(path)).equals(saved)).toBe(true);
      const loading = turnsOf(loadModel(path, { backend, signal }), abort);
      await expect(loading).rejects.toEqual(failure('ERR_ABORTED', /Loading/));
    }
    await writeFile(path, saved.subarray(0, 1000));
    await expect(loadModel(path)).rejects.toEqual(failure('ERR_FORMAT', /safetensors/));
  });

  it('a save has the weights of one moment, whoever sets others meanwhile', async () => {
    const path = join(folder, `moment-${titleOf(backend).replace(' ', '-')}.safetensors`);
    for (const opened of [false, true]) {
      const [model, other] = [large(1), large(2)];
      if (opened) model.predictSync(inputs.subarray(0, INPUTS));
      const weights = other.getWeights();
      await turnsOf(model.save(path), () => model.setWeights(weights));
      const digest = (await loadModel(path)).weightsSha256();
      expect([large(1).weightsSha256(), other.weightsSha256()]).toContain(digest);
      expect(model.weightsSha256()).toBe(other.weightsSha256());
    }
  });

  it('a session that is being opened takes weights that are set meanwhile, and predictions that cannot wait', async () => {
    const image = inputs.subarray(0, INPUTS);
    const [model, other] = [large(1), large(2)];
    const [one, two] = [large(1).predictSync(image), other.predictSync(image)];
    const weights = other.getWeights();
    let between: Float32Array | null = null;
    const own = image.slice();
    const predicting = model.predict(own);
    own.fill(0); // it predicts what there was at the call
    const { result } = await turnsOf(predicting, () => {
      between = model.predictSync(image);
      model.setWeights(weights);
    });
    expect(between).toEqual(one);
    expect([one, two]).toContainEqual(result);
    expect(model.predictSync(image)).toEqual(two);
    const disposed = large();
    const late = turnsOf(disposed.predict(image), () => disposed.dispose());
    await expect(late).rejects.toMatchObject({ code: 'ERR_STATE' });
  });
});
