import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { encode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import type { App } from '../../src/server/app.js';
import { readJson } from '../../src/server/inputs.js';
import { openApp } from '../helpers/server-app.js';
import { allocatedBy } from './helpers/allocation.js';
import { replay } from './helpers/corpus.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { changedJson } from './helpers/json.js';
import { mutated } from './helpers/mutations.js';
import { repairPng } from './helpers/png.js';

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-server-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BATCH = 20;
const SIZE = 784;
let opened: Awaited<ReturnType<typeof openApp>>;
let app: App;
beforeAll(async () => {
  const path = join(folder, 'digits.safetensors');
  const layers = [dense({ units: 4, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  await sequential(layers, { inputShape: [28, 28, 1], seed: 1, backend: 'js' }).save(path);
  opened = await openApp(path, { bodyLimit: 2 ** 20, batchLimit: BATCH, maxConcurrent: 10 });
  app = opened.app;
  // What is made once for all requests is not counted to one of them.
  await app.server.inject({
    method: 'POST',
    url: '/predict',
    body: Buffer.alloc(SIZE),
    headers: { 'content-type': BYTES },
  });
});
afterAll(() => opened.close());

const BYTES = 'application/octet-stream';
const image = Uint8Array.from({ length: SIZE }, (_, i) => (i * 37) % 256);
const png = Buffer.from(encode({ width: 28, height: 28, data: image, channels: 1 }));
const large = Buffer.from(
  encode({ width: 56, height: 40, data: new Uint8Array(2240).fill(255, 500, 900), channels: 1 }),
);

const MISTAKES = [400, 404, 405, 408, 411, 413, 414, 415, 422, 431];

/** The answer to a request: predictions, or a mistake of the client's that it is told of. Never 500. */
async function answerTo(body: Uint8Array, type: string, url = '/predict') {
  const { value: reply, bytes } = await allocatedBy(() =>
    app.server.inject({ method: 'POST', url, headers: { 'content-type': type }, body: Buffer.from(body) }),
  );
  // A PNG is decoded first; every sample then takes what the model has for one.
  expect(bytes).toBeLessThanOrEqual(2 ** 20 + 200 * body.length);
  expect(reply.headers['content-type']).toMatch(/^application\/json/);
  const answer = reply.json();
  if (reply.statusCode === 200) return answer;
  expect(MISTAKES).toContain(reply.statusCode);
  expect(answer).toEqual({ error: { code: expect.any(String), message: expect.any(String) } });
  expect(answer.error.message.length).toBeLessThan(1000);
  return null;
}

/** What the answer has to be, worked out from the model itself. */
function expectPredictions(
  answer: Record<string, unknown>,
  samples: (Uint8Array | Float32Array)[],
  single: boolean,
): void {
  const list = single ? [answer] : (answer.predictions as Record<string, unknown>[]);
  expect(list).toHaveLength(samples.length);
  samples.forEach((sample, index) => {
    const wanted = opened.service.current.predictor.predictSync(sample);
    expect(Float32Array.from(list[index].probabilities as number[])).toEqual(wanted);
  });
}

async function checkBytes(body: Uint8Array): Promise<Verdict> {
  const answer = await answerTo(body, BYTES);
  expect(answer !== null).toBe(body.length > 0 && body.length % SIZE === 0 && body.length <= BATCH * SIZE);
  if (answer === null) return 'refused';
  const count = body.length / SIZE;
  const samples = Array.from({ length: count }, (_, i) => body.slice(i * SIZE, (i + 1) * SIZE));
  expectPredictions(answer, samples, count === 1);
  return 'accepted';
}

async function checkJson(body: Uint8Array): Promise<Verdict> {
  const answer = await answerTo(body, 'application/json');
  if (answer === null) return 'refused';
  const [[kind, value]] = Object.entries<unknown>(JSON.parse(Buffer.from(body).toString()));
  if (kind.startsWith('png')) return 'accepted';
  const single = !kind.endsWith('s');
  const samples = (single ? [value] : (value as unknown[])).map((sample) => (sample as number[]).flat(3));
  const type = kind.startsWith('input') ? Float32Array : Uint8Array;
  expectPredictions(
    answer,
    samples.map((sample) => type.from(sample)),
    single,
  );
  return 'accepted';
}

const rows = Array.from({ length: 28 }, (_, row) => [...image.subarray(row * 28, row * 28 + 28)]);
const encoded = png.toString('base64');
const BODIES = [
  { image: [...image] },
  { images: [rows, rows] },
  { input: [...image] },
  { png: encoded },
  { pngs: [encoded] },
];
const texts = BODIES.map((body) => Buffer.from(JSON.stringify(body)));
const WORDS = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  'null',
  '-1',
  '1e999',
  '0.5',
  '256',
  '"__proto__":{},',
  '"constructor":',
].concat(['"image":', '"inputs":', '\\u0000', '\u0000', '[[[[[[[[[[[[', '{"toString":1}', 'true', '""', '\uFEFF']);

const PATHS = [
  '/predict',
  '/explain',
  '/weights/0/0',
  '/page/model.json',
  '/page/index.html',
  '/healthz',
  '/metrics',
  '/',
];
const piece = fc.oneof(
  fc.constantFrom(
    '..',
    '%2e%2e',
    '%',
    '%00',
    '%E0%A4%A',
    '0',
    '-1',
    '1e3',
    '99999999999',
    '?width=0',
    '?width=5&width=5',
    '#',
    '//',
    '*',
  ),
  fc.string({ maxLength: 10 }).map((text) => encodeURI(text)),
);
const address = fc
  .tuple(fc.constantFrom(...PATHS), fc.array(piece, { maxLength: 3 }))
  .map(([path, pieces]) => path + pieces.join('/'));

describe('HTTP bodies', () => {
  fuzz(
    'http-bytes',
    fc
      .constantFrom(0, 1, SIZE, SIZE - 1, 2 * SIZE, BATCH * SIZE, (BATCH + 1) * SIZE, 17 * SIZE)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length })),
    checkBytes,
    { runs: 60 },
  );
  fuzz('http-json', mutated(texts, { words: WORDS }), ({ bytes }) => checkJson(bytes), { runs: 200 });
  fuzz(
    'http-json-values',
    changedJson(() => BODIES).map((value) => JSON.stringify(value)),
    (text) => checkJson(Buffer.from(text)),
    { runs: 200 },
  );
  fuzz('http-png', mutated([png, large], { words: ['IHDR', 'IDAT'], repair: repairPng }), async ({ bytes }) =>
    (await answerTo(bytes, 'image/png')) === null ? 'refused' : 'accepted',
  );
  fuzz(
    'http-drawing',
    fc.tuple(
      fc.uint8Array({ maxLength: 40 }),
      fc.integer({ min: -1, max: 9 }),
      fc.integer({ min: 0, max: 9 }),
      fc.boolean(),
    ),
    async ([values, width, height, fits]): Promise<Verdict> => {
      const body = fits && width > 0 ? Buffer.alloc(width * height, values.length > 0 ? values : 0) : values;
      const answer = await answerTo(body, BYTES, `/explain?width=${width}&height=${height}`);
      if (answer === null) return 'refused';
      expect(width * height).toBe(body.length);
      expect(answer.image).toHaveLength(SIZE);
      return 'accepted';
    },
  );
  fuzz(
    'http-requests',
    fc.record({
      url: address,
      method: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'OPTIONS'),
      type: fc.oneof(fc.constantFrom(BYTES, 'image/png', 'application/json', 'text/plain', ''), fc.string()),
    }),
    async ({ url, method, type }): Promise<Verdict> => {
      fc.pre(!/[^\t\x20-\x7e]/.test(type));
      const reply = await app.server.inject({
        method: method as 'GET',
        url,
        headers: { 'content-type': type },
        body: 'x',
      });
      if (reply.statusCode === 200) return 'accepted';
      expect(MISTAKES).toContain(reply.statusCode);
      if (method !== 'HEAD') expect(reply.json().error.message).toEqual(expect.any(String));
      return 'refused';
    },
  );

  replay('http-json', checkJson);

  it('makes no room for samples that are not there', async () => {
    const wanted = { size: 2 ** 20, shape: [2 ** 20], batchLimit: 1000, pixelLimit: 1e6 };
    for (const kind of ['inputs', 'images']) {
      const { bytes } = await allocatedBy(() =>
        expect(() => readJson({ [kind]: new Array(1000).fill(0) }, wanted)).toThrow(/Expected 1048576 numbers/),
      );
      expect(bytes).toBeLessThan(1000);
    }
  });

  it('refuses a million brackets', async () => {
    const deep = '['.repeat(2 ** 19) + ']'.repeat(2 ** 19);
    expect(await checkJson(Buffer.from(deep))).toBe('refused');
    expect(await checkJson(Buffer.from(`{"image":${deep.slice(10, -10)}}`))).toBe('refused');
  });
});
