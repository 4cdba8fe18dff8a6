import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/formats/checkpoint.js';
import {
  adam,
  batches,
  batchNormalization,
  type Callback,
  type CheckpointOptions,
  conv2d,
  dense,
  dropout,
  type FitOptions,
  flatten,
  type History,
  oneCycle,
  reduceOnPlateau,
  type Sequential,
  sequential,
  sgd,
} from '../../src/index.js';
import { atOnce } from '../../src/pieces.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, failure, historyOf, separable } from '../helpers/toy.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'mnist-train-checkpoints-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

let folders = 0;
const newFolder = () => join(root, `run-${folders++}`);
const data = separable(50);

/** A fit that is ended after so many steps of this process. */
async function fitFor(steps: number, model: Sequential, options: FitOptions, stream = false): Promise<History> {
  const controller = new AbortController();
  let done = 0;
  const stopper: Callback = {
    onTrainBatchEnd: () => {
      if (++done === steps) controller.abort();
    },
  };
  const { batchSize } = options;
  const source = stream ? batches(data, { batchSize }) : data;
  return historyOf(
    model.fit(source, {
      ...options,
      batchSize: stream ? undefined : batchSize,
      signal: controller.signal,
      callbacks: [...(options.callbacks ?? []), stopper],
    }),
  );
}

/** Runs to the end, ended after `steps` steps again and again and taken up by a new model each time. */
async function inPieces(steps: number, build: () => Sequential, options: FitOptions, stream = false) {
  const directory = newFolder();
  for (let piece = 0; ; piece++) {
    const model = build();
    const checkpoint = { directory, resume: piece > 0 };
    const history = await fitFor(steps, model, { ...options, checkpoint }, stream);
    if (history.stopped !== 'aborted') return { model, history, pieces: piece + 1 };
  }
}

const withoutTimes = ({ epochs, history }: History) => [epochs.map(({ seconds: _seconds, ...rest }) => rest), history];

function convolutional(backend: FitBackend): Sequential {
  const layers = [
    conv2d({ filters: 3, kernelSize: 2, padding: 'same', activation: 'relu' }),
    batchNormalization(),
    flatten(),
    dropout({ rate: 0.3 }),
    dense({ units: 3, activation: 'softmax' }),
  ];
  const model = sequential(layers, { inputShape: [2, 2, 1], seed: 3, backend });
  model.compile({
    optimizer: adam({ learningRate: oneCycle(0.02) }),
    loss: 'categoricalCrossentropy',
    augmentation: { shift: 1 },
  });
  return model;
}
type FitBackend = ReturnType<typeof availableBackends>[number];

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'resuming, %s',
  (_, backend) => {
    const options = { batchSize: 8, epochs: 3, validationSplit: 0.2 };

    it.each([1, 2, 3, 4, 7, 14])('after every %i steps gives the bits of a whole run', async (steps) => {
      const build = () => convolutional(backend);
      const whole = build();
      const wanted = await historyOf(whole.fit(data, options));
      const { model, history, pieces } = await inPieces(steps, build, options);
      expect(pieces).toBeGreaterThan(1);
      expect(model.weightsSha256()).toBe(whole.weightsSha256());
      expect(withoutTimes(history)).toEqual(withoutTimes(wanted));
    });

    it('with a schedule that follows a metric', async () => {
      // Nothing is ever so much better: the rate falls after each epoch.
      const learningRate = () => reduceOnPlateau(0.05, { monitor: 'loss', factor: 0.5, patience: 0, threshold: 0.9 });
      const build = () => classifier({ backend, optimizer: sgd({ learningRate: learningRate() }) });
      const whole = build();
      const wanted = await historyOf(whole.fit(data, options));
      expect(new Set(wanted.history.learningRate).size).toBeGreaterThan(1);
      const { model, history } = await inPieces(4, build, options);
      expect(model.weightsSha256()).toBe(whole.weightsSha256());
      expect(withoutTimes(history)).toEqual(withoutTimes(wanted));
    });

    it('of a stream as well', async () => {
      const build = () => classifier({ backend, optimizer: sgd({ learningRate: 0.1, momentum: 0.9 }) });
      const whole = build();
      await historyOf(whole.fit(batches(data, { batchSize: 8 }), { epochs: 3 }));
      const { model } = await inPieces(5, build, { batchSize: 8, epochs: 3 }, true);
      expect(model.weightsSha256()).toBe(whole.weightsSha256());
    });
  },
);

describe('checkpoints', () => {
  const options = { batchSize: 10, epochs: 3 };
  const train = (model: Sequential, checkpoint: CheckpointOptions, more: FitOptions = {}) =>
    historyOf(model.fit(data, { ...options, ...more, checkpoint }));

  it('are written after every so many steps and at the end, and only the newest are kept', async () => {
    const directory = newFolder();
    const names: string[][] = [];
    const spy: Callback = {
      onTrainBatchBegin: async () => {
        names.push(await readdir(directory));
      },
    };
    await train(classifier(), { directory, everySteps: 4, keep: 3 }, { callbacks: [spy] });
    expect(new Set(names.flat())).toContain('checkpoint-000000000004.safetensors');
    expect((await readdir(directory)).toSorted()).toEqual(
      [8, 12, 15].map((step) => `checkpoint-${String(step).padStart(12, '0')}.safetensors`),
    );
  });

  it('change nothing about the training', async () => {
    const plain = classifier();
    const wanted = await historyOf(plain.fit(data, options));
    for (const every of [{ everySteps: 1 }, { everySteps: 7 }, { everySeconds: 0 }]) {
      const model = classifier();
      const history = await train(model, { directory: newFolder(), ...every });
      expect(model.weightsSha256()).toBe(plain.weightsSha256());
      expect(withoutTimes(history)).toEqual(withoutTimes(wanted));
    }
  });

  it('a run that was over is over when it is resumed', async () => {
    const directory = newFolder();
    const first = classifier();
    const history = await train(first, { directory });
    const again = classifier();
    const onProgress = () => {
      throw new Error('A step was run.');
    };
    const resumed = await train(again, { directory, resume: true }, { onProgress });
    expect(resumed.stopped).toBe('completed');
    expect(resumed.epochs).toEqual(history.epochs);
    expect(again.weightsSha256()).toBe(first.weightsSha256());
  });

  it('a run that a callback stopped stays stopped', async () => {
    const directory = newFolder();
    const stop: Callback = { onEpochEnd: (_epoch, _result, { stopTraining }) => stopTraining('enough') };
    await train(classifier(), { directory }, { callbacks: [stop] });
    const { stopped, stopReason, epochs } = await train(classifier(), { directory, resume: true }, { callbacks: [{}] });
    expect([stopped, stopReason, epochs.length]).toEqual(['callback', 'enough', 1]);
  });

  it('hold the state of callbacks, weights included', async () => {
    const make = () => {
      const state = { epochs: 0, weights: [new Float32Array(1)] as readonly Float32Array[], resumed: false };
      const callback: Callback = {
        onEpochEnd: (_epoch, _result, { model }) => {
          state.epochs++;
          state.weights = model.getWeights();
        },
        getState: () => ({ values: { epochs: state.epochs, worst: Number.POSITIVE_INFINITY }, weights: state.weights }),
        setState: ({ values, weights }) => {
          const saved = values as { epochs: number; worst: number };
          expect(saved.worst).toBe(Number.POSITIVE_INFINITY);
          Object.assign(state, { epochs: saved.epochs, weights, resumed: true });
        },
      };
      return { state, callback };
    };
    const directory = newFolder();
    const [first, second] = [make(), make()];
    await fitFor(7, classifier(), { ...options, callbacks: [first.callback], checkpoint: { directory } });
    await fitFor(1, classifier(), {
      ...options,
      callbacks: [second.callback],
      checkpoint: { directory, resume: true },
    });
    expect(second.state).toEqual({ epochs: 1, weights: first.state.weights, resumed: true });
  });

  it('resume where there is nothing yet begins', async () => {
    const model = classifier();
    await train(model, { directory: newFolder(), resume: true });
    const plain = classifier();
    await historyOf(plain.fit(data, options));
    expect(model.weightsSha256()).toBe(plain.weightsSha256());
  });

  it('go on counting after earlier fits', async () => {
    const directory = newFolder();
    const build = async () => {
      const model = classifier();
      await historyOf(model.fit(data, options));
      return model;
    };
    const whole = await build();
    const wanted = await historyOf(whole.fit(data, options));
    await fitFor(7, await build(), { ...options, checkpoint: { directory } });
    const model = await build();
    const { epochs } = await fitFor(99, model, { ...options, checkpoint: { directory, resume: true } });
    expect(epochs.map(({ epoch }) => epoch)).toEqual(wanted.epochs.map(({ epoch }) => epoch));
    expect(model.weightsSha256()).toBe(whole.weightsSha256());
  });

  it('remove what a killed process left half-written, and nothing else', async () => {
    const directory = newFolder();
    await mkdir(directory);
    await writeFile(join(directory, 'checkpoint-000000000004.safetensors.77-abc.part'), 'half');
    await writeFile(join(directory, 'notes.txt'), 'mine');
    await train(classifier(), { directory, keep: 1 });
    expect(await readdir(directory)).toEqual(['checkpoint-000000000015.safetensors', 'notes.txt']);
  });
});

describe('damaged checkpoints', () => {
  /** A folder with two checkpoints of a run that was ended. */
  async function interrupted() {
    const directory = newFolder();
    await fitFor(7, classifier(), { batchSize: 10, epochs: 3, checkpoint: { directory, everySteps: 4 } });
    const names = (await readdir(directory)).toSorted();
    return { directory, paths: names.map((name) => join(directory, name)) };
  }
  const resume = async (directory: string) => {
    const warnings: string[] = [];
    const model = classifier();
    await fitFor(99, model, {
      batchSize: 10,
      epochs: 3,
      checkpoint: { directory, resume: true },
      onWarning: (text) => warnings.push(text),
    });
    return { warnings, sha256: model.weightsSha256() };
  };
  const whole = async () => {
    const model = classifier();
    await historyOf(model.fit(data, { batchSize: 10, epochs: 3 }));
    return model.weightsSha256();
  };

  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['cut off', (bytes) => bytes.subarray(0, bytes.length - 9)],
    ['empty', () => Buffer.alloc(0)],
    ['with a bit of a weight flipped', (bytes) => flipped(bytes, bytes.length - 3)],
    ['with a digit of the state changed', (bytes) => flipped(bytes, bytes.indexOf('steps') + 9)],
    ['with a digit of the digest changed', (bytes) => flipped(bytes, bytes.indexOf('mnist_train.sha256') + 30)],
    ['not a checkpoint', () => Buffer.from('something else')],
  ])('the newest %s: the one before is taken, and that is said', async (_, damage) => {
    const { directory, paths } = await interrupted();
    expect(paths).toHaveLength(2);
    await writeFile(paths[1], damage(await readFile(paths[1])));
    const { warnings, sha256 } = await resume(directory);
    expect(warnings).toEqual([
      expect.stringContaining(`Checkpoint ${paths[1]} is damaged, and the one before is taken.`),
    ]);
    expect(sha256).toBe(await whole());
  });

  it('the damaged one does not count among those that are kept', async () => {
    const { directory, paths } = await interrupted();
    await writeFile(paths[1], 'gone');
    const checkpoint = { directory, resume: true, keep: 1 };
    await fitFor(1, classifier(), { batchSize: 10, epochs: 3, checkpoint, onWarning: () => {} });
    expect(await readdir(directory)).toContain(`${paths[1].split('/').at(-1)}.damaged`);
    const { warnings, sha256 } = await resume(directory);
    expect([warnings, sha256]).toEqual([[], await whole()]);
  });

  it('all of them damaged are an error', async () => {
    const { directory, paths } = await interrupted();
    for (const path of paths) await writeFile(path, 'gone');
    await expect(resume(directory)).rejects.toEqual(failure('ERR_CHECKSUM', /all 2 are damaged/));
  });

  function flipped(bytes: Buffer, place: number): Buffer {
    const copy = Buffer.from(bytes);
    copy[place] ^= 1;
    return copy;
  }

  it('a state with numbers that JSON does not know comes back', () => {
    const state = { loss: Number.NaN, best: Number.NEGATIVE_INFINITY, rate: 0.1 };
    const bytes = atOnce(encodeCheckpoint({ tensors: [], state, metadata: { run: 'one' } }));
    expect(atOnce(decodeCheckpoint(bytes, 'x'))).toMatchObject({ state, metadata: { run: 'one' } });
  });
});

describe('another run', () => {
  const options = { batchSize: 10, epochs: 3 };
  it.each<[string, () => Sequential, FitOptions, RegExp]>([
    ['layers', () => other([dense({ units: 4 }), dense({ units: 3 })]), {}, /model\.layers/],
    ['seed', () => classifier({ seed: 1 }), {}, /Expected 42 for model\.seed.*received 1/],
    ['optimizer', () => classifier({ optimizer: 'sgd' }), {}, /optimizer\.name/],
    ['option of the optimizer', () => classifier({ optimizer: adam({ beta1: 0.8 }) }), {}, /0\.9 for optimizer\.beta1/],
    ['learning rate', () => classifier({ optimizer: adam({ learningRate: oneCycle(0.1) }) }), {}, /learningRate\.0/],
    ['epochs', classifier, { epochs: 4 }, /Expected 3 for epochs.*received 4/],
    ['batch size', classifier, { batchSize: 20 }, /batchSize/],
    ['order', classifier, { shuffle: false }, /shuffle/],
    ['validation', classifier, { validationSplit: 0.2 }, /samples\.count/],
    ['callbacks', classifier, { callbacks: [{}, {}] }, /Expected 1 callbacks.*received 3/],
  ])('of other %s is refused', async (_, build, change, message) => {
    const directory = newFolder();
    await fitFor(2, classifier(), { ...options, checkpoint: { directory } });
    const checkpoint = { directory, resume: true };
    await expect(fitFor(9, build(), { ...options, ...change, checkpoint })).rejects.toEqual(
      failure('ERR_STATE', message),
    );
  });

  const other = (layers: ReturnType<typeof dense>[]) => {
    const model = sequential(layers, { inputShape: [2, 2, 1], seed: 42, backend: 'js' });
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
    return model;
  };

  it('of another schedule is refused, also where only later rates differ', async () => {
    const directory = newFolder();
    const build = (factor: number) =>
      classifier({ optimizer: sgd({ learningRate: reduceOnPlateau(0.1, { monitor: 'loss', factor }) }) });
    await fitFor(2, build(0.1), { ...options, checkpoint: { directory } });
    await expect(fitFor(9, build(0.5), { ...options, checkpoint: { directory, resume: true } })).rejects.toEqual(
      failure('ERR_STATE', /Expected 0\.1 for schedule\.factor.*received 0\.5/),
    );
  });

  it('that is refused leaves the model as it was', async () => {
    const directory = newFolder();
    await fitFor(2, classifier(), { ...options, callbacks: [{}], checkpoint: { directory } });
    const model = classifier();
    const before = model.weightsSha256();
    const picky: Callback = {
      setState: () => {
        throw new Error('not mine');
      },
    };
    const checkpoint = { directory, resume: true };
    await expect(fitFor(9, model, { ...options, callbacks: [picky], checkpoint })).rejects.toThrow('not mine');
    expect(model.weightsSha256()).toBe(before);
  });

  it('of other data is refused', async () => {
    const directory = newFolder();
    const train = (inputs: Uint8Array | Float32Array, resume: boolean) =>
      historyOf(classifier().fit({ ...data, inputs }, { ...options, checkpoint: { directory, resume } }));
    await train(data.inputs, false);
    const changed = data.inputs.slice();
    changed[7] ^= 1;
    await expect(train(changed, true)).rejects.toEqual(failure('ERR_STATE', /samples\.sha256/));
  });

  it('in the same folder is refused when nobody asked to resume', async () => {
    const directory = newFolder();
    await historyOf(classifier().fit(data, { checkpoint: { directory } }));
    await expect(classifier().fit(data, { checkpoint: { directory } })).rejects.toEqual(
      failure('ERR_STATE', /folder without checkpoints.*resume: true/),
    );
  });

  it.each([
    [{}, /checkpoint\.directory/],
    [{ directory: '' }, /checkpoint\.directory/],
    [{ directory: 'x', everySeconds: -1 }, /everySeconds/],
    [{ directory: 'x', everySteps: 0 }, /everySteps/],
    [{ directory: 'x', keep: 0 }, /keep/],
    [{ directory: 'x', resume: 'yes' }, /resume/],
    [{ directory: 'x', metadata: { a: 1 } }, /metadata/],
    [{ directory: 'x', every: 1 }, /"every"/],
  ])('options %j are refused', async (checkpoint, message) => {
    await expect(classifier().fit(data, { checkpoint } as never)).rejects.toEqual(failure('ERR_ARGUMENT', message));
  });

  it('a folder that cannot be written is an error before the first step', async () => {
    const file = join(root, 'a file');
    await writeFile(file, '');
    const model = classifier();
    const before = model.weightsSha256();
    await expect(model.fit(data, { checkpoint: { directory: join(file, 'x') } })).rejects.toEqual(
      failure('ERR_FILE', /a file/),
    );
    expect(model.weightsSha256()).toBe(before);
  });
});
