import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadModel, type ModelCheckpointOptions, modelCheckpoint, sgd } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { epochsOf, type Numbers, PlayedFit } from '../helpers/callbacks.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { classifier, errorOf, failure, separable } from '../helpers/toy.js';

const place = () => join(temporaryFolder(), 'models');

/** What is in a folder: of each file, the epoch whose weights it has. */
const filesIn = (path: string) =>
  Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((name) => [name, Number(readFileSync(join(path, name), 'utf8'))]),
  );

/** Runs epochs with these values of validationLoss; options' files are in a folder of their own. */
async function play(options: ModelCheckpointOptions, numbers: readonly Numbers[]) {
  const path = place();
  const { saveLast } = options;
  const within = { ...options, path: join(path, options.path), ...(saveLast && { saveLast: join(path, saveLast) }) };
  await new PlayedFit(modelCheckpoint(within), numbers).run();
  return filesIn(path);
}

const LOSSES = epochsOf('validationLoss', [0.5, 0.25, 0.375, 0.125, 0.75]);

describe('modelCheckpoint', () => {
  it('writes every epoch', async () => {
    expect(await play({ path: 'model-{epoch}.safetensors' }, LOSSES)).toEqual({
      'model-0001.safetensors': 1,
      'model-0002.safetensors': 2,
      'model-0003.safetensors': 3,
      'model-0004.safetensors': 4,
      'model-0005.safetensors': 5,
    });
    expect(await play({ path: 'model.safetensors' }, LOSSES)).toEqual({ 'model.safetensors': 5 });
  });

  it('puts numbers of the epoch into the name, at the width that is asked for', async () => {
    const numbers = [{ validationLoss: 0.123456, accuracy: Number.NaN }];
    const path = '{epoch}-{epoch:2}-{epoch:0}-{validationLoss}-{validationLoss:1}-{accuracy}';
    expect(await play({ path }, numbers)).toEqual({ '0001-01-1-0.1235-0.1-NaN': 1 });
    const twelve = epochsOf('validationLoss', Array(12).fill(1));
    expect(await play({ path: '{epoch:1}' }, twelve)).toMatchObject({ 9: 9, 10: 10, 12: 12 });
  });

  it('saveBestOnly writes epochs that are better than all before', async () => {
    expect(await play({ path: 'best-{epoch:1}-{validationLoss:3}', saveBestOnly: true }, LOSSES)).toEqual({
      'best-1-0.500': 1,
      'best-2-0.250': 2,
      'best-4-0.125': 4,
    });
    expect(await play({ path: 'best', saveBestOnly: true }, LOSSES)).toEqual({ best: 4 });
    const accuracies = epochsOf('validationAccuracy', [0.5, 0.75, 0.25]);
    expect(await play({ path: 'best', saveBestOnly: true, monitor: 'validationAccuracy' }, accuracies)).toEqual({
      best: 2,
    });
    const mode = { mode: 'min', monitor: 'validationAccuracy' } as const;
    expect(await play({ path: 'best', saveBestOnly: true, ...mode }, accuracies)).toEqual({ best: 3 });
    const gaps = epochsOf('validationLoss', [Number.NaN, 2, Number.NaN]);
    expect(await play({ path: 'best', saveBestOnly: true }, gaps)).toEqual({ best: 2 });
  });

  it('makes folders', async () => {
    const path = join(place(), 'a', 'b');
    await new PlayedFit(modelCheckpoint({ path: join(path, 'c-{epoch}', 'model') }), LOSSES.slice(0, 1)).run();
    expect(filesIn(join(path, 'c-0001'))).toEqual({ model: 1 });
  });

  it('saveLast has the newest epoch besides', async () => {
    const options = { path: 'best', saveBestOnly: true, saveLast: 'last' };
    expect(await play(options, LOSSES)).toEqual({ best: 4, last: 5 });
    expect(await play({ ...options, everyEpochs: 3 }, LOSSES)).toEqual({ best: 3, last: 5 });
  });

  it('keep leaves the newest, and the best', async () => {
    expect(await play({ path: '{epoch:1}', keep: 2 }, LOSSES)).toEqual({ 4: 4, 5: 5 });
    const rising = epochsOf('validationLoss', [3, 1, 2, 4, 5, 6]);
    expect(await play({ path: '{epoch:1}', keep: 2 }, rising)).toEqual({ 2: 2, 5: 5, 6: 6 });
    expect(await play({ path: '{epoch:1}', keep: 1, saveBestOnly: true }, LOSSES)).toEqual({ 4: 4 });
    // Without validation no epoch is the best.
    expect(await play({ path: '{epoch:1}', keep: 1 }, epochsOf('loss', [1, 2, 3]))).toEqual({ 3: 3 });
    expect(await play({ path: '{epoch:1}', keep: 1, monitor: 'loss' }, epochsOf('loss', [1, 2, 3]))).toEqual({
      1: 1,
      3: 3,
    });
  });

  it('keep removes no file but its own', async () => {
    const path = place();
    mkdirSync(path);
    writeFileSync(join(path, 'model-0000'), '99');
    await new PlayedFit(modelCheckpoint({ path: join(path, 'model-{epoch}'), keep: 1 }), LOSSES.slice(0, 2)).run();
    expect(filesIn(path)).toEqual({ 'model-0000': 99, 'model-0002': 2 });
  });

  it('everyEpochs writes epochs that are multiples', async () => {
    expect(await play({ path: '{epoch:1}', everyEpochs: 2 }, LOSSES)).toEqual({ 2: 2, 4: 4 });
  });

  it.each([1, 2, 3, 4])('resumed after epoch %i, leaves the files of a fit without interruption', async (done) => {
    const rising = epochsOf('validationLoss', [3, 1, 2, 4, 5]);
    const path = place();
    const options = { path: join(path, '{epoch:1}'), keep: 2 };
    const state = await new PlayedFit(modelCheckpoint(options), rising).run({ until: done, end: false });
    // The killed process came further than its checkpoint.
    writeFileSync(join(path, String(done + 1)), 'a file of then');
    const callback = modelCheckpoint(options);
    callback.setState!(state!);
    await new PlayedFit(callback, rising).run({ done });
    expect(filesIn(path)).toEqual({ 2: 2, 4: 4, 5: 5 });
  });

  it('begins anew with every fit', async () => {
    const path = join(place(), 'best');
    const callback = modelCheckpoint({ path, saveBestOnly: true });
    await new PlayedFit(callback, epochsOf('validationLoss', [1, 2])).run();
    await new PlayedFit(callback, epochsOf('validationLoss', [4, 3])).run();
    expect(readFileSync(path, 'utf8')).toBe('2');
  });

  it('refuses wrong options', () => {
    const refused: [object, RegExp][] = [
      [{}, /a file name for path, received undefined/],
      [{ path: '' }, /a file name for path/],
      [{ path: 'a-{epoch' }, /closed braces for path/],
      [{ path: 'a-{epoch:x}' }, /closed braces for path/],
      [{ path: 'a-{epoch:21}' }, /a width up to 20 for path, received "\{epoch:21\}"/],
      [{ path: 'a', saveBestOnly: 'yes' }, /for saveBestOnly/],
      [{ path: 'a', saveLast: 'a' }, /another file than path for saveLast/],
      [{ path: 'a', saveLast: 'b-{epoch}' }, /without braces for saveLast/],
      [{ path: 'a', keep: 2 }, /\{epoch\} in it for path with keep, received "a"/],
      [{ path: '{epoch}', keep: 0 }, /for keep, received 0/],
      [{ path: 'a', everyEpochs: 0 }, /for everyEpochs/],
      [{ path: 'a', mode: 'up' }, /for mode/],
      [{ path: 'a', save_best_only: true }, /an option of modelCheckpoint/],
    ];
    for (const [options, message] of refused) {
      expect(errorOf(() => modelCheckpoint(options as ModelCheckpointOptions))).toEqual(
        failure('ERR_ARGUMENT', message),
      );
    }
    expect(errorOf(() => modelCheckpoint({ path: 'a' }).setState!({ values: { best: 1 } }))).toEqual(
      failure('ERR_FORMAT', /with bestFile for a resumed modelCheckpoint/),
    );
  });

  it('refuses numbers that the fit does not have', async () => {
    const run = (options: ModelCheckpointOptions) =>
      new PlayedFit(modelCheckpoint(options), epochsOf('loss', [1])).run().then(() => undefined);
    await expect(run({ path: 'a', saveBestOnly: true })).rejects.toEqual(
      failure(
        'ERR_ARGUMENT',
        /one of loss for monitor of modelCheckpoint, received "validationLoss"\. Give fit validation/,
      ),
    );
    await expect(run({ path: 'a', monitor: 'f1' })).rejects.toEqual(failure('ERR_ARGUMENT', /received "f1"/));
    await expect(run({ path: '{validationLoss}' })).rejects.toEqual(
      failure('ERR_ARGUMENT', /one of epoch, loss for a name in path of modelCheckpoint, received "validationLoss"/),
    );
    expect(existsSync('a')).toBe(false);
  });

  it('ends the fit when a file cannot be written or removed', async () => {
    const path = place();
    mkdirSync(path);
    writeFileSync(join(path, 'file'), '');
    const blocked = new PlayedFit(modelCheckpoint({ path: join(path, 'file', 'model') }), LOSSES);
    await expect(blocked.run()).rejects.toEqual(failure('ERR_FILE', /Could not write .*file/));
    const callback = modelCheckpoint({ path: join(path, '{epoch:1}'), keep: 1 });
    callback.setState!({ values: { best: null, bestFile: null, files: [path] } });
    const folderInTheWay = new PlayedFit(callback, LOSSES);
    await expect(folderInTheWay.run({ done: 1 })).rejects.toEqual(failure('ERR_FILE', /Could not remove .*/));
  });
});

it.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'modelCheckpoint in a fit, %s: files hold the models of their epochs',
  async (_, backend) => {
    const path = place();
    const model = classifier({ backend, optimizer: sgd({ learningRate: 0.1 }) });
    const hashes: string[] = [];
    const callback = modelCheckpoint({
      path: join(path, 'best-{epoch:1}-{validationLoss}.safetensors'),
      saveBestOnly: true,
      keep: 1,
      saveLast: join(path, 'last.safetensors'),
    });
    const values = [3, 1, 2];
    const history = await model.fit(separable(40), {
      epochs: 3,
      validationSplit: 0.25,
      onEpochEnd: (result) => {
        hashes.push(model.weightsSha256());
        result.validationLoss = values[result.epoch - 1];
      },
      callbacks: [callback],
    });
    expect(history.stopped).toBe('completed');
    expect(readdirSync(path).sort()).toEqual(['best-2-1.0000.safetensors', 'last.safetensors']);
    for (const [name, epoch] of [
      ['best-2-1.0000.safetensors', 2],
      ['last.safetensors', 3],
    ] as const) {
      const loaded = await loadModel(join(path, name), { backend });
      expect(loaded.weightsSha256()).toBe(hashes[epoch - 1]);
      loaded.dispose();
    }
  },
);
