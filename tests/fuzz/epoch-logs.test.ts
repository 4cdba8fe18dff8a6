import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { type Callback, type CallbackContext, csvLogger, jsonLinesLogger } from '../../src/index.js';
import { replay } from './helpers/corpus.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

/** Files that epochs go behind: whatever stands there, it stays as it is or is refused untouched. */

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-logs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'log');

const RESULT = { epoch: 7, loss: 0.5, learningRate: 0.01, seconds: 1 };

/** A fit of one epoch, resumed or not. */
async function append(callback: Callback, resumedAfter?: number): Promise<string> {
  const results = resumedAfter === undefined ? [] : [{ ...RESULT, epoch: resumedAfter }];
  const context = { results } as unknown as CallbackContext;
  await callback.onTrainBegin?.(context);
  await callback.onEpochEnd?.(RESULT.epoch, RESULT, context);
  return readFileSync(path, 'utf8');
}

async function tried(bytes: Uint8Array, callback: Callback): Promise<string | null> {
  writeFileSync(path, bytes);
  const outcome = await outcomeOf(() => append(callback), { codes: ['ERR_FORMAT'], source: path });
  if ('value' in outcome) return outcome.value;
  expect(readFileSync(path).equals(bytes)).toBe(true);
  return null;
}

/** The rows as another reader has them; short ones filled up. */
function tableOf(text: string, delimiter = ','): string[][] {
  const rows: string[][] = parse(text, {
    delimiter,
    record_delimiter: ['\r\n', '\n'],
    relax_column_count: true,
    skip_empty_lines: true,
    bom: true,
  });
  const width = Math.max(...rows.map((row) => row.length));
  return rows.map((row) => [...row, ...Array<string>(width - row.length).fill('')]);
}

const field = fc.oneof(fc.constantFrom('', '0', '1.5', 'NaN', '"', '""', 'a,b', '\n', '\r\n', ' x '), fc.string());
const name = fc.oneof(fc.constantFrom('loss', 'accuracy', 'a "b"', 'a;b', 'constructor'), fc.string({ minLength: 1 }));
const table = fc
  .tuple(fc.uniqueArray(name, { maxLength: 4 }), fc.constantFrom(',', ';', '\t', '|', ' ', '^', ']', '-', '\\', '😀'))
  .chain(([names, separator]) => {
    const columns = ['epoch', ...names.filter((each) => each !== 'epoch')];
    const row = fc.array(field, { minLength: columns.length, maxLength: columns.length });
    // A line with nothing in it is no row.
    const rows = fc.array(
      row.filter((fields) => fields.length > 1 || fields[0] !== ''),
      { maxLength: 4 },
    );
    return fc.record({ columns: fc.constant(columns), rows, separator: fc.constant(separator), crlf: fc.boolean() });
  });

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

async function checkCsv(bytes: Uint8Array): Promise<Verdict> {
  const text = await tried(bytes, csvLogger(path, { append: true }));
  if (text === null) return 'refused';
  const before = tableOf(Buffer.from(bytes).toString());
  const [columns, ...rows] = tableOf(text);
  expect(columns).toEqual(expect.arrayContaining(Object.keys(RESULT)));
  const kept = [columns, ...rows.slice(0, -1)].map((row) => row.slice(0, before[0]?.length));
  if (before.length > 0) expect(kept).toEqual(before);
  expect(rows.at(-1)![columns.indexOf('loss')]).toBe('0.5');
  return 'accepted';
}

async function checkJsonLines(bytes: Uint8Array): Promise<Verdict> {
  const callback = jsonLinesLogger(path, { append: true });
  const text = await tried(bytes, callback);
  if (text === null) return 'refused';
  const before = Buffer.from(bytes)
    .toString()
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .filter(Boolean);
  expect(text.split('\n')).toEqual([...before, JSON.stringify(RESULT), '']);
  for (const line of before) expect(JSON.parse(line)).toBeInstanceOf(Object);
  // A resumed fit takes away what it will write again, and no more.
  const epochs = before.map((line) => JSON.parse(line).epoch);
  const behind = epochs.toReversed().findIndex((epoch) => !(typeof epoch === 'number' && epoch > 3));
  writeFileSync(path, bytes);
  const resumed = await append(jsonLinesLogger(path), 3);
  const kept = behind < 0 ? 0 : before.length - behind;
  expect(resumed.split('\n')).toEqual([...before.slice(0, kept), JSON.stringify(RESULT), '']);
  return 'accepted';
}

const csvSeeds = ['epoch,loss\n1,0.5\n2,0.25\n', 'x,"epoch",loss\r\n"a ""b""",1,\r\n', ''].map((text) =>
  Buffer.from(text),
);
const jsonSeeds = ['{"epoch":1,"loss":0.5}\n{"epoch":4,"loss":null}\n', '', '{}\r\n\r\n{"epoch":5}'].map((text) =>
  Buffer.from(text),
);

describe('logs of epochs', () => {
  fuzz(
    'csv-round-trip',
    table,
    async ({ columns, rows, separator, crlf }): Promise<Verdict> => {
      const end = crlf ? '\r\n' : '\n';
      writeFileSync(path, [columns, ...rows].map((row) => row.map(quoted).join(separator) + end).join(''));
      const text = await append(csvLogger(path, { append: true, separator }));
      const all = [...new Set([...columns, ...Object.keys(RESULT)])];
      const filled = rows.map((row) => [...row, ...Array<string>(all.length - row.length).fill('')]);
      const own = all.map((column) => (Object.hasOwn(RESULT, column) ? String(RESULT[column as 'loss']) : ''));
      expect(tableOf(text, separator)).toEqual([all, ...filled, own]);
      return 'accepted';
    },
    { sees: ['accepted'] },
  );
  fuzz('csv', mutated(csvSeeds, { words: ['"', ',', '\n', '\r', '""', 'epoch', '\uFEFF'] }), ({ bytes }) =>
    checkCsv(bytes),
  );
  fuzz(
    'json-lines',
    mutated(jsonSeeds, { words: ['{', '}', '[', '"epoch":', '-1', '\n', '{"toString":1}', 'null'] }),
    ({ bytes }) => checkJsonLines(bytes),
  );
  replay('csv', checkCsv);
  replay('json-lines', checkJsonLines);

  it('takes a quoted field of many megabytes', async () => {
    const long = 'x'.repeat(2 ** 24);
    const text = await tried(Buffer.from(`epoch,"${long}"\n`), csvLogger(path, { append: true }));
    expect(text).toBe(`epoch,${long},loss,learningRate,seconds\n7,,0.5,0.01,1\n`);
  });

  it('refuses a quote of many megabytes that does not end', async () => {
    expect(await checkCsv(Buffer.from(`epoch,"${'x""'.repeat(2 ** 20)}`))).toBe('refused');
  });

  it('takes an epoch that is nested without end for none', async () => {
    const nested = `{"epoch":${'['.repeat(100_000)}${']'.repeat(100_000)}}\n`;
    expect(await checkJsonLines(Buffer.from(nested))).toBe('accepted');
  });
});
