import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Context } from '../../src/cli/context.js';
import { resumedOptions } from '../../src/cli/resume.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/formats/checkpoint.js';
import { type DecodedTensor, encodeSafetensors, type SafetensorsTensor } from '../../src/formats/safetensors.js';
import { adam, earlyStopping, jsonLinesLogger, readCheckpoint, type Sequential } from '../../src/index.js';
import type { JsonValue } from '../../src/json.js';
import type { SavedState } from '../../src/model/training/saved-state.js';
import { atOnce } from '../../src/pieces.js';
import { classifier, separable } from '../helpers/toy.js';
import { allocatedBy } from './helpers/allocation.js';
import { replay } from './helpers/corpus.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { changedJson } from './helpers/json.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

const root = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-checkpoint-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = join(root, 'some');
mkdirSync(folder);
const path = join(folder, 'checkpoint-000000000004.safetensors');

const data = separable(8);
const model = () => classifier({ optimizer: adam({ learningRate: 0.01 }) });

/** Two epochs of two steps. A resumed fit has one left. */
function run(trained: Sequential, directory: string, options: { resume?: boolean } = {}) {
  const log = jsonLinesLogger(join(root, 'log.jsonl'));
  return trained.fit(data, {
    epochs: 2,
    batchSize: 4,
    onWarning: () => {},
    callbacks: [log, earlyStopping({ monitor: 'loss', patience: 5, restoreBestWeights: true })],
    checkpoint: { directory, everySteps: 2, everySeconds: 1000, keep: 5, metadata: { note: 'some' }, ...options },
  });
}

let whole: Buffer;
let state: JsonValue;
let tensors: ReadonlyMap<string, DecodedTensor>;
let digest: string;
beforeAll(async () => {
  const made = join(root, 'made');
  const trained = model();
  await run(trained, made);
  digest = trained.weightsSha256();
  const names = readdirSync(made).sort();
  whole = readFileSync(join(made, names[1]));
  ({ state, tensors } = atOnce(decodeCheckpoint(whole, 'made')));
});

const REFUSALS = ['ERR_FORMAT', 'ERR_CHECKSUM', 'ERR_STATE'] as const;

/** What is read must be what was written: every bit of a file counts. */
async function checkFile(bytes: Uint8Array): Promise<Verdict> {
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => atOnce(decodeCheckpoint(bytes, path)), { codes: REFUSALS, source: path }),
  );
  expect(allocated).toBeLessThanOrEqual(8 * bytes.length + 4096);
  if ('refused' in outcome) return 'refused';
  expect(whole.equals(bytes)).toBe(true);
  return 'accepted';
}

/** A whole file whose state is no state: looked at, and resumed. It is refused, or training goes on to its end. */
async function checkState(text: string): Promise<Verdict> {
  const list = [...tensors].map(([name, { shape, data: values }]) => ({ name, shape, data: values }));
  writeFileSync(path, signed(list, text));
  const looked = await outcomeOf(() => readCheckpoint(folder, { onWarning: () => {} }), { codes: REFUSALS });
  if ('value' in looked)
    expect(looked.value).toMatchObject({ path, step: expect.any(Number), epochs: expect.any(Number) });
  const trained = model();
  const before = trained.weightsSha256();
  const outcome = await outcomeOf(() => run(trained, folder, { resume: true }), {
    codes: [...REFUSALS, 'ERR_NON_FINITE'],
  });
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  if ('value' in outcome) {
    expect(looked).toHaveProperty('value');
    if (text === JSON.stringify(state)) expect(trained.weightsSha256()).toBe(digest);
    return 'accepted';
  }
  if (outcome.refused.code !== 'ERR_NON_FINITE') expect(trained.weightsSha256()).toBe(before);
  return 'refused';
}

/** A checkpoint with any text for its state, digested rightly. */
function signed(list: readonly SafetensorsTensor[], text: string): Uint8Array {
  const metadata = { note: 'some', 'mnist_train.checkpoint': text, 'mnist_train.sha256': '0'.repeat(64) };
  return sign(Buffer.from(atOnce(encodeSafetensors(list, metadata))));
}

function sign(bytes: Buffer): Buffer {
  const field = Buffer.from('"mnist_train.sha256":"');
  const place = bytes.indexOf(field) + field.length;
  if (place < field.length || place + 64 > bytes.length) return bytes;
  bytes.fill('0', place, place + 64);
  bytes.write(createHash('sha256').update(bytes).digest('hex'), place);
  return bytes;
}

describe('checkpoints', () => {
  fuzz(
    'checkpoint-round-trip',
    fc.tuple(fc.jsonValue(), fc.dictionary(fc.string(), fc.string()), fc.float32Array({ maxLength: 5 })),
    ([json, metadata, values]) => {
      const given = {
        tensors: [{ name: 'x', shape: [values.length], data: values }],
        state: json as JsonValue,
        metadata,
      };
      fc.pre(Object.keys(metadata).every((key) => !key.startsWith('mnist_train.') && key !== '__proto__'));
      const decoded = atOnce(decodeCheckpoint(atOnce(encodeCheckpoint(given)), path));
      expect(decoded.metadata).toEqual({ ...metadata });
      // Compared as text, since JSON does not tell 0 from -0.
      expect(JSON.stringify(decoded.state)).toBe(JSON.stringify(json));
      expect(decoded.tensors.get('x')!.data).toEqual(values);
      return 'accepted';
    },
    { sees: ['accepted'] },
  );
  fuzz(
    'checkpoint-file',
    fc.constant(null).chain(() => mutated([whole])),
    ({ bytes }) => checkFile(bytes),
  );
  fuzz(
    'checkpoint-state',
    changedJson(() => [state]).map((changed) => JSON.stringify(changed)),
    checkState,
    { runs: 60 },
  );
  replay('checkpoint-state', (bytes) => checkState(Buffer.from(bytes).toString()));

  it('refuses a state that claims more weights of a callback than it has, and values of another size', async () => {
    const saved = state as unknown as SavedState;
    const callbacks = saved.callbacks.map((each) => ({ ...each, weights: 2 ** 53 - 1 }));
    expect(await checkState(JSON.stringify({ ...saved, callbacks }))).toBe('refused');
    const all = tensors;
    try {
      tensors = new Map([...all].map(([name, { dtype }]) => [name, { dtype, shape: [1], data: new Float32Array(1) }]));
      expect(await checkState(JSON.stringify(state))).toBe('refused');
    } finally {
      tensors = all;
    }
  });

  it.each(['', 'null', '[]', '{"options":[]}', '{"options":{}}', '{"options":{},"given":[1]}'])(
    'train --resume refuses options that it did not keep: %j',
    async (command) => {
      const directory = join(root, 'resumed');
      mkdirSync(directory, { recursive: true });
      const metadata = { note: 'some', command };
      const list = [...tensors].map(([name, { shape, data: values }]) => ({ name, shape, data: values }));
      writeFileSync(join(directory, basename(path)), atOnce(encodeCheckpoint({ tensors: list, state, metadata })));
      const context = { given: new Set<string>(), output: { note: () => {} } } as unknown as Context;
      const asked = () => resumedOptions(context, { resume: directory, checkpointEvery: 60 });
      const outcome = await outcomeOf(asked, { codes: ['ERR_FORMAT'], source: directory });
      expect(outcome).toHaveProperty('refused');
    },
  );

  it('refuses a state that is nested without end', async () => {
    expect(await checkState(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)).toBe('refused');
  });
});
