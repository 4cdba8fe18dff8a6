import { appendFileSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeFileVersion, encodeScalars } from '../../src/formats/tensorboard.js';
import { type CallbackState, type TensorBoardOptions, tensorBoard } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { epochsOf, type Numbers, PlayedFit } from '../helpers/callbacks.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { type Event, readEvents, runOf } from '../helpers/tfevents.js';
import { classifier, errorOf, failure, separable } from '../helpers/toy.js';

const place = () => join(temporaryFolder(), 'logs');

describe('event files', () => {
  it('an independent reader finds every value, step and time', () => {
    const path = join(temporaryFolder(), 'records');
    const events: Event[] = [
      { wallTime: 1700000000.25, step: 0, scalars: { a: 0 } },
      { wallTime: 1700000001.5, step: 1, scalars: { a: -0.5, 'b/c': 1e-30, épsilon: 0.25 } },
      ...[127, 128, 16383, 16384, 2 ** 31, 2 ** 32 + 5, Number.MAX_SAFE_INTEGER].map((step) => ({
        wallTime: step + 0.125,
        step,
        scalars: { ['tag '.repeat(40)]: step },
      })),
    ];
    writeFileSync(path, Buffer.concat([encodeFileVersion(1.75), ...events.map(encodeScalars)]));
    const [[head, ...read]] = readEvents(path);
    expect(head).toEqual({ wallTime: 1.75, step: 0, fileVersion: 'brain.Event:2', scalars: {} });
    const rounded = events.map((event) => ({
      ...event,
      scalars: Object.fromEntries(Object.entries(event.scalars).map(([tag, value]) => [tag, Math.fround(value)])),
    }));
    expect(read).toEqual(rounded);
  });

  it('takes numbers that are not finite', () => {
    const path = join(temporaryFolder(), 'not-finite');
    const scalars = { a: Number.NaN, b: Number.POSITIVE_INFINITY };
    writeFileSync(path, encodeScalars({ wallTime: 1, step: 1, scalars }));
    expect(readEvents(path)[0][0].scalars).toEqual({ a: null, b: null });
  });

  it('the reader refuses a byte that is not as it was written, wherever it is', () => {
    const path = join(temporaryFolder(), 'damaged');
    const bytes = encodeScalars({ wallTime: 1, step: 1, scalars: { a: 0.5 } });
    // In the length, its checksum, the data, its checksum.
    for (const at of [0, 9, 14, bytes.length - 1]) {
      const damaged = Uint8Array.from(bytes);
      damaged[at] ^= 4;
      writeFileSync(path, damaged);
      expect(() => readEvents(path)).toThrow(at < 12 ? /checksum of the length/ : /checksum of the data/);
    }
    writeFileSync(path, bytes.subarray(0, -1));
    expect(() => readEvents(path)).toThrow(/AssertionError|struct.error/);
  });
});

/** Runs through epochs and returns the folder. */
async function play(numbers: readonly Numbers[], logDirectory = place()): Promise<string> {
  await new PlayedFit(tensorBoard({ logDirectory }), numbers).run();
  return logDirectory;
}

describe('tensorBoard', () => {
  it("writes Keras's tags into train and validation", async () => {
    const logDirectory = await play([
      { loss: 0.5, accuracy: 0.25, validationLoss: 0.75, validationAccuracy: 0.125, validationTopKAccuracy: 1 },
      { loss: 0.25 },
    ]);
    expect(runOf(logDirectory, 'train')).toEqual([
      [1, { epoch_loss: 0.5, epoch_accuracy: 0.25, epoch_learning_rate: 0.5 }],
      [2, { epoch_loss: 0.25, epoch_learning_rate: 0.5 }],
    ]);
    expect(runOf(logDirectory, 'validation')).toEqual([
      [1, { epoch_loss: 0.75, epoch_accuracy: 0.125, epoch_top_k_accuracy: 1 }],
    ]);
    const [name] = readdirSync(join(logDirectory, 'train'));
    expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\.mnist-train\.\d+\.\d+$/);
  });

  it('events have the time at which they were added', async () => {
    const before = Date.now() / 1000;
    const logDirectory = await play(epochsOf('loss', [1, 2, 3]));
    const [name] = readdirSync(join(logDirectory, 'train'));
    const times = readEvents(join(logDirectory, 'train', name))[0].map(({ wallTime }) => wallTime);
    const moments = [before, ...times, Date.now() / 1000];
    expect(moments).toEqual(moments.toSorted((a, b) => a - b));
    expect(times).toHaveLength(4);
  });

  it('has no validation without one, and nothing at all before the first epoch', async () => {
    expect(readdirSync(await play([{ loss: 1 }]))).toEqual(['train']);
    expect(existsSync(await play([]))).toBe(false);
  });

  it('readers see an epoch when it has ended', async () => {
    const logDirectory = place();
    const callback = tensorBoard({ logDirectory });
    const fit = new PlayedFit(callback, epochsOf('loss', [1, 2]));
    await fit.run({ end: false });
    expect(runOf(logDirectory, 'train')).toHaveLength(2);
  });

  it('every fit has a file of its own', async () => {
    const logDirectory = await play(epochsOf('loss', [1, 2]));
    await play(epochsOf('loss', [3]), logDirectory);
    expect(readdirSync(join(logDirectory, 'train'))).toHaveLength(2);
    expect(runOf(logDirectory, 'train').map(([, { epoch_loss }]) => epoch_loss)).toEqual([1, 2, 3]);
  });

  it.each([
    [1, 1],
    [2, 3],
    [1, 4],
  ])('resumed after epoch %i of %i that were written, repeats none', async (done, came) => {
    const numbers = [4, 3, 2, 1].map((loss) => ({ loss, validationLoss: loss + 1 }));
    const logDirectory = place();
    const killed = tensorBoard({ logDirectory });
    const fit = new PlayedFit(killed, numbers);
    const state = await fit.run({ until: done, end: false });
    for (let epoch = done + 1; epoch <= came; epoch++) {
      await killed.onEpochEnd?.(epoch, { epoch, loss: -1, learningRate: 1, seconds: 1 }, fit.context);
    }
    for (const run of ['train', 'validation']) {
      const [name] = readdirSync(join(logDirectory, run));
      appendFileSync(join(logDirectory, run, name), 'part of a record');
    }
    // Killed again and again, it goes on from the same checkpoint.
    for (const until of [done, 3, 4]) {
      const resumed = tensorBoard({ logDirectory });
      resumed.setState!(state!);
      await new PlayedFit(resumed, numbers).run({ done, until });
    }
    const losses = (run: string) => runOf(logDirectory, run).map(([step, { epoch_loss }]) => [step, epoch_loss]);
    expect(losses('train')).toEqual([4, 3, 2, 1].map((loss, index) => [index + 1, loss]));
    expect(losses('validation')).toEqual([5, 4, 3, 2].map((loss, index) => [index + 1, loss]));
  });

  it('resumed where the file is gone or has lost its end, begins another', async () => {
    const numbers = epochsOf('loss', [3, 2, 1]);
    for (const harm of [(path: string) => rmSync(path), (path: string) => writeFileSync(path, '')]) {
      const logDirectory = place();
      const state = await new PlayedFit(tensorBoard({ logDirectory }), numbers).run({ until: 2 });
      const [old] = readdirSync(join(logDirectory, 'train'));
      harm(join(logDirectory, 'train', old));
      for (let again = 0; again < 2; again++) {
        const resumed = tensorBoard({ logDirectory });
        resumed.setState!(state!);
        await new PlayedFit(resumed, numbers).run({ done: 2 });
      }
      rmSync(join(logDirectory, 'train', old), { force: true });
      expect(runOf(logDirectory, 'train').map(([step]) => step)).toEqual([3]);
    }
  });

  it('refuses the state of another callback, or one that leads elsewhere', () => {
    const states: CallbackState['values'][] = [
      { wait: 1 },
      { train: { name: '../tfevents', bytes: 0 }, validation: { name: 'tfevents', bytes: 0 } },
      { train: { name: 'tfevents', bytes: -1 }, validation: { name: 'tfevents', bytes: 0 } },
      { train: { name: 'model.safetensors', bytes: 0 }, validation: { name: 'tfevents', bytes: 0 } },
    ];
    for (const values of states) {
      expect(errorOf(() => tensorBoard({ logDirectory: 'logs' }).setState!({ values }))).toEqual(
        failure('ERR_FORMAT', /a state with train for a resumed tensorBoard/),
      );
    }
  });

  it('refuses wrong options', () => {
    const refused: [object, RegExp][] = [
      [{}, /the name of a folder for logDirectory, received undefined/],
      [{ logDirectory: '' }, /for logDirectory/],
      [{ logDirectory: 'a', updateFrequency: 'step' }, /'epoch', 'batch' or a number of steps for updateFrequency/],
      [{ logDirectory: 'a', updateFrequency: 0 }, /for updateFrequency, received 0/],
      [{ logDirectory: 'a', updateFrequency: 1.5 }, /for updateFrequency, received 1.5/],
      [{ log_dir: 'a' }, /an option of tensorBoard/],
    ];
    for (const [options, message] of refused) {
      expect(errorOf(() => tensorBoard(options as TensorBoardOptions))).toEqual(failure('ERR_ARGUMENT', message));
    }
  });

  it('does not have steps run one by one for epochs only', () => {
    expect(tensorBoard({ logDirectory: 'logs' }).onTrainBatchEnd).toBeUndefined();
  });

  it('ends the fit when a file cannot be written', async () => {
    const logDirectory = place();
    writeFileSync(logDirectory, '');
    await expect(play([{ loss: 1 }], logDirectory)).rejects.toEqual(failure('ERR_FILE', /Could not write .*train/));
  });
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'in a fit, %s',
  (_, backend) => {
    const record = async (updateFrequency: TensorBoardOptions['updateFrequency'], fits = 1) => {
      const logDirectory = place();
      const model = classifier({ backend });
      const callbacks = [tensorBoard({ logDirectory, updateFrequency })];
      const steps: number[] = [];
      const observer = { onTrainBatchEnd: (_batch: number, { loss }: { loss: number }) => void steps.push(loss) };
      const epochs = [];
      for (let index = 0; index < fits; index++) {
        const watching = updateFrequency === 'epoch' ? callbacks : [...callbacks, observer];
        const options = { epochs: 2, batchSize: 10, validationSplit: 0.25, callbacks: watching };
        epochs.push(...(await model.fit(separable(40), options)).epochs);
      }
      return { train: runOf(logDirectory, 'train'), validation: runOf(logDirectory, 'validation'), epochs, steps };
    };

    it('has the numbers of the history', async () => {
      const { train, validation, epochs } = await record('epoch');
      expect(train).toEqual(
        epochs.map(({ epoch, loss, accuracy, learningRate }) => [
          epoch,
          {
            epoch_loss: Math.fround(loss),
            epoch_accuracy: Math.fround(accuracy!),
            epoch_learning_rate: Math.fround(learningRate),
          },
        ]),
      );
      expect(validation).toEqual(
        epochs.map(({ epoch, validationLoss, validationAccuracy }) => [
          epoch,
          { epoch_loss: Math.fround(validationLoss!), epoch_accuracy: Math.fround(validationAccuracy!) },
        ]),
      );
    });

    it.each([
      ['batch', [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
      [1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]],
      [4, [4, 8, 12]],
    ] as const)('with updateFrequency %s, steps over two fits', async (updateFrequency, expected) => {
      const { train, steps } = await record(updateFrequency, 2);
      const batches = train.filter(([, scalars]) => 'batch_loss' in scalars);
      expect(steps).toHaveLength(12);
      expect(batches.map(([step]) => step)).toEqual(expected);
      for (const [step, scalars] of batches) {
        expect(Object.keys(scalars)).toEqual(['batch_loss', 'batch_accuracy', 'batch_learning_rate']);
        expect(scalars.batch_loss).toBe(Math.fround(steps[step - 1]));
      }
      expect(train.filter(([, scalars]) => 'epoch_loss' in scalars).map(([step]) => step)).toEqual([1, 2, 3, 4]);
    });

    it('an aborted fit has the steps it did', async () => {
      const logDirectory = place();
      const controller = new AbortController();
      const callback = tensorBoard({ logDirectory, updateFrequency: 'batch' });
      const abort = { onTrainBatchEnd: (batch: number) => (batch === 2 ? controller.abort() : undefined) };
      const { signal } = controller;
      const fit = classifier({ backend }).fit(separable(40), { batchSize: 10, signal, callbacks: [callback, abort] });
      await expect(fit).rejects.toThrow('aborted');
      expect(runOf(logDirectory, 'train').map(([step]) => step)).toEqual([1, 2]);
    });
  },
);
