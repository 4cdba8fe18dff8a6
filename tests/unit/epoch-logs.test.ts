import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Callback, type CsvLoggerOptions, csvLogger, jsonLinesLogger } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { epochsOf, type Numbers, PlayedFit } from '../helpers/callbacks.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { classifier, errorOf, failure, separable } from '../helpers/toy.js';

const newFile = () => join(temporaryFolder(), 'log');
const textOf = (path: string) => readFileSync(path, 'utf8');

/** What a fit through these numbers leaves in a file that had `before`. */
async function written(log: (path: string) => Callback, numbers: readonly Numbers[], before?: string): Promise<string> {
  const path = newFile();
  if (before !== undefined) writeFileSync(path, before);
  await new PlayedFit(log(path), numbers).run();
  return textOf(path);
}

const csv = (options?: CsvLoggerOptions) => (path: string) => csvLogger(path, options);
const LOSSES = epochsOf('loss', [0.5, 0.25, 0.125]);

describe('csvLogger', () => {
  it('writes a line with the names, then one for each epoch', async () => {
    expect(await written(csv(), LOSSES)).toBe(
      'epoch,loss,learningRate,seconds\n1,0.5,0.5,2\n2,0.25,0.5,2\n3,0.125,0.5,2\n',
    );
    const numbers = [{ loss: Number.NaN, learningRate: 1e-7, validationLoss: 1 / 3 }];
    expect(await written(csv({ separator: '\t' }), numbers)).toBe(
      'epoch\tloss\tlearningRate\tseconds\tvalidationLoss\n1\tNaN\t1e-7\t2\t0.3333333333333333\n',
    );
  });

  it('quotes what has a separator, a quote or the end of a line in it', async () => {
    const numbers = [{ 'a,b': 1, 'the "c"': 2, 'd\ne': 3, 'f;g': 4 }];
    const comma = 'epoch,loss,learningRate,seconds,"a,b","the ""c""","d\ne",f;g\n1,1,0.5,2,1,2,3,4\n';
    const semicolon = 'epoch;loss;learningRate;seconds;a,b;"the ""c""";"d\ne";"f;g"\n1;1;0.5;2;1;2;3;4\n';
    expect(await written(csv(), numbers)).toBe(comma);
    expect(await written(csv({ separator: ';' }), numbers)).toBe(semicolon);
    // And reads it again.
    expect(await written(csv({ append: true }), numbers, comma)).toBe(`${comma}1,1,0.5,2,1,2,3,4\n`);
    expect(await written(csv({ append: true, separator: ';' }), numbers, semicolon)).toBe(
      `${semicolon}1;1;0.5;2;1;2;3;4\n`,
    );
  });

  it.each(['|', '^', ']', '-', '\\', '*', ' ', '→'])('separates by %j as well', async (separator) => {
    const log = csv({ separator, append: true });
    const head = ['epoch', 'loss', 'learningRate', 'seconds'].join(separator);
    const first = `${head}\n${['1', '0.75', '0.5', '2'].join(separator)}\n`;
    expect(await written(log, [{ loss: 0.75 }])).toBe(first);
    expect(await written(log, [{ loss: 0.75 }], first)).toBe(`${first}${first.split('\n')[1]}\n`);
  });

  it('gives a number that comes later a column of its own', async () => {
    expect(await written(csv(), [{}, { validationLoss: 3 }, { loss: undefined }])).toBe(
      'epoch,loss,learningRate,seconds,validationLoss\n1,1,0.5,2,\n2,1,0.5,2,3\n3,,0.5,2,\n',
    );
  });

  it('replaces a file, or appends in the columns that it has', async () => {
    const before = 'seconds,epoch,note\r\n7,1,"a, b"\r\n8,2';
    expect(await written(csv(), LOSSES.slice(0, 1), before)).toBe('epoch,loss,learningRate,seconds\n1,0.5,0.5,2\n');
    expect(await written(csv({ append: true }), LOSSES.slice(0, 1), before)).toBe(
      'seconds,epoch,note,loss,learningRate\n7,1,"a, b",,\n8,2,,,\n2,1,,0.5,0.5\n',
    );
    expect(await written(csv({ append: true }), LOSSES.slice(0, 1), 'epoch,loss\n1,\n2,')).toBe(
      'epoch,loss,learningRate,seconds\n1,,,\n2,,,\n1,0.5,0.5,2\n',
    );
    expect(await written(csv({ append: true }), LOSSES.slice(0, 1))).toMatch(/^epoch,loss.*\n1,.*\n$/);
  });

  it('refuses to append to another kind of file', async () => {
    await expect(written(csv({ append: true }), LOSSES, 'a photograph\n')).rejects.toEqual(
      failure('ERR_FORMAT', /a column epoch for the first line of .*log, received "a photograph"/),
    );
    await expect(written(csv({ append: true }), LOSSES, 'epoch,"loss\n1,2\n')).rejects.toEqual(
      failure('ERR_FORMAT', /log has quotes or ends of lines in line 1 that do not match/),
    );
  });

  it('refuses wrong options', () => {
    const refused: [() => unknown, RegExp][] = [
      [() => csvLogger(''), /a file name for path of csvLogger, received ""/],
      [() => csvLogger(undefined as never), /a file name for path of csvLogger/],
      [() => csvLogger('a', { separator: '' }), /one character .* for separator/],
      [() => csvLogger('a', { separator: ', ' }), /one character .* for separator/],
      [() => csvLogger('a', { separator: '"' }), /for separator/],
      [() => csvLogger('a', { separator: '\n' }), /for separator/],
      [() => csvLogger('a', { append: 1 as never }), /for append/],
      [() => csvLogger('a', { separtor: ';' } as never), /an option of csvLogger/],
      [() => jsonLinesLogger('a', { separator: ';' } as never), /an option of jsonLinesLogger/],
      [() => jsonLinesLogger(''), /a file name for path of jsonLinesLogger/],
    ];
    for (const [make, message] of refused) expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });
});

describe('jsonLinesLogger', () => {
  const json = (append?: boolean) => (path: string) => jsonLinesLogger(path, { append });
  const line = (epoch: number, loss: number | null) =>
    `${JSON.stringify({ epoch, loss, learningRate: 0.5, seconds: 2 })}\n`;

  it('writes an object for each epoch', async () => {
    expect(await written(json(), LOSSES)).toBe(line(1, 0.5) + line(2, 0.25) + line(3, 0.125));
    expect(await written(json(), [{ loss: Number.NaN }])).toBe(line(1, null));
  });

  it('replaces a file, or appends to it', async () => {
    const before = '{"epoch": 4}\r\n\n{"note": "no epoch"}';
    expect(await written(json(), LOSSES.slice(0, 1), before)).toBe(line(1, 0.5));
    const lines = `{"epoch": 4}\n{"note": "no epoch"}\n${line(1, 0.5)}`;
    expect(await written(json(true), LOSSES.slice(0, 1), before)).toBe(lines);
    for (const text of ['{"epoch": 4', '3', 'null', 'hello']) {
      await expect(written(json(true), LOSSES, text)).rejects.toEqual(
        failure('ERR_FORMAT', /a JSON object for a line of .*log, received/),
      );
    }
  });
});

describe.each([
  ['csvLogger', csvLogger],
  ['jsonLinesLogger', jsonLinesLogger],
] as const)('%s', (_, logger) => {
  const numbers = epochsOf('loss', [5, 4, 3, 2, 1]);
  const whole = async (append: boolean, before?: string) =>
    written((path) => logger(path, { append }), numbers, before);

  it('has the whole file after every epoch, and makes its folder', async () => {
    const path = join(newFile(), 'a', 'log');
    const log = logger(path);
    const lines: number[] = [];
    const watched: Callback = {
      onTrainBegin: (context) => log.onTrainBegin?.(context),
      onEpochEnd: async (epoch, result, context) => {
        await log.onEpochEnd?.(epoch, result, context);
        expect(textOf(path).endsWith('\n')).toBe(true);
        lines.push(textOf(path).split('\n').length);
      },
    };
    await new PlayedFit(watched, numbers).run();
    expect(lines.map((count) => count - lines[0])).toEqual([0, 1, 2, 3, 4]);
  });

  it.each([
    [1, 1],
    [2, 3],
    [2, 5],
    [4, 4],
  ])('resumed after epoch %i of %i that were written, has no line twice', async (done, came) => {
    for (const withState of [true, false]) {
      for (const append of [true, false]) {
        // Another run is in the file, with more epochs than the checkpoint has.
        const path = newFile();
        const before = append ? await whole(false) : undefined;
        if (before !== undefined) writeFileSync(path, before);
        const killed = logger(path, { append });
        const fit = new PlayedFit(killed, numbers);
        const state = await fit.run({ until: done, end: false });
        for (let epoch = done + 1; epoch <= came; epoch++) {
          await killed.onEpochEnd?.(epoch, { epoch, loss: -1, learningRate: 1, seconds: 1 }, fit.context);
        }
        const resumed = logger(path, { append });
        if (withState) resumed.setState!(state!);
        await new PlayedFit(resumed, numbers).run({ done });
        expect(textOf(path)).toBe(await whole(append, before));
      }
    }
  });

  it('resumed within the first epoch, takes away what came after it', async () => {
    const path = newFile();
    const before = await whole(false);
    writeFileSync(path, before);
    const killed = logger(path, { append: true });
    const fit = new PlayedFit(killed, numbers);
    const state = await fit.run({ until: 0, end: false });
    await killed.onEpochEnd?.(1, { epoch: 1, loss: -1, learningRate: 1, seconds: 1 }, fit.context);
    const resumed = logger(path, { append: true });
    resumed.setState!(state!);
    await new PlayedFit(resumed, numbers).run({ until: 0 });
    expect(textOf(path)).toBe(before);
  });

  it('resumed where the file is gone, begins another', async () => {
    const path = newFile();
    const resumed = logger(path);
    resumed.setState!({ values: { lines: 2 } });
    await new PlayedFit(resumed, numbers).run({ done: 2 });
    expect(textOf(path)).toMatch(/^(epoch,.*\n3,|\{"epoch":3,)/);
  });

  it('begins anew with every fit, and refuses the state of another callback', async () => {
    const path = newFile();
    const log = logger(path);
    await new PlayedFit(log, numbers).run();
    const first = textOf(path);
    await new PlayedFit(log, numbers).run();
    expect(textOf(path)).toBe(first);
    expect(errorOf(() => log.setState!({ values: { wait: 1 } }))).toEqual(failure('ERR_FORMAT', /a state with lines/));
  });

  it('ends the fit when the file cannot be read or written', async () => {
    const path = newFile();
    mkdirSync(path);
    await expect(new PlayedFit(logger(path), numbers).run()).rejects.toEqual(
      failure('ERR_FILE', /Could not write .*it is a folder/),
    );
    await expect(new PlayedFit(logger(path, { append: true }), numbers).run()).rejects.toEqual(
      failure('ERR_FILE', /Could not read .*it is a folder/),
    );
  });
});

it.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'logs of a fit have the numbers of its history, %s',
  async (_, backend) => {
    const [table, lines] = [newFile(), newFile()];
    const options = { epochs: 2, validationSplit: 0.25, callbacks: [csvLogger(table), jsonLinesLogger(lines)] };
    const { epochs } = await classifier({ backend }).fit(separable(40), options);
    const objects = textOf(lines).trimEnd().split('\n');
    expect(objects.map((line) => JSON.parse(line))).toEqual(epochs);
    const [head, ...rows] = textOf(table).trimEnd().split('\n');
    const names = head.split(',');
    expect([...names].sort()).toEqual(
      ['epoch', 'loss', 'accuracy', 'learningRate', 'seconds', 'validationLoss', 'validationAccuracy'].sort(),
    );
    for (const [index, row] of rows.entries()) {
      const values = row.split(',').map(Number);
      expect(Object.fromEntries(names.map((name, column) => [name, values[column]]))).toEqual(epochs[index]);
    }
  },
);
