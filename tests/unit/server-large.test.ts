import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import { DECODE_WORKER, threadOf } from '../helpers/decode-worker.js';
import { openAppInTest } from '../helpers/server-app.js';

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-server-large-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'model.safetensors');

const save = (seed: number, inputShape: number[]) =>
  sequential([dense({ units: 10, activation: 'softmax' })], { inputShape, seed, backend: 'js' }).save(path);

async function start(decodeWorker: URL, requestTimeoutMilliseconds = 30_000) {
  await save(1, [28, 28, 1]);
  const { server, service } = await openAppInTest(path, { decodeWorker, requestTimeoutMilliseconds });
  const post = (value: unknown, url = '/predict', method: 'POST' | 'PUT' = 'POST') =>
    server.inject({
      method,
      url,
      headers: { 'content-type': 'application/json' },
      body: typeof value === 'string' ? value : JSON.stringify(value),
    });
  return { server, service, post };
}

const image = Array.from({ length: 784 }, (_, i) => (i * 37) % 256);
const large = { images: Array(20).fill(image) };

describe('a large body', () => {
  it('is answered as smaller ones are', async () => {
    const { post } = await start(DECODE_WORKER);
    const one = (await post({ image })).json();
    expect((await post(large)).json()).toEqual({ predictions: Array(20).fill(one) });
  });

  // 2 samples are predicted at once, 20 on other threads.
  it.each([2, 20])('of %i samples is answered by the model that was in service when it came', async (count) => {
    const { post, service } = await start(
      threadOf(`parentPort.on('message', () => setTimeout(() => parentPort.postMessage(
        { samples: { values: new Uint8Array(784 * ${count}), count: ${count}, single: false } }), 500))`),
    );
    const old = service.current;
    const replies = Promise.all([post(large), post(large)]);
    await sleep(100);
    await save(2, [10, 10, 1]);
    expect(await service.reload()).toBe(true);
    for (const reply of await replies) {
      expect([reply.statusCode, reply.headers['x-model-digest']]).toEqual([200, old.digest]);
      expect(reply.json().predictions).toHaveLength(count);
    }
    expect((await post({ image: image.slice(0, 100) })).headers['x-model-digest']).toBe(service.current.digest);
    // Nobody holds it any more.
    expect(() => old.predictor.predictSync(Uint8Array.from(image))).toThrow(/disposed/);
  });

  it('whose thread dies gets a 500, the next ones an answer', async () => {
    const { post } = await start(threadOf('parentPort.on("message", () => process.exit(3))'));
    for (let each = 0; each < 2; each++) {
      const reply = await post(large);
      expect([reply.statusCode, reply.json().error]).toEqual([
        500,
        { code: 'internal_server_error', message: 'The server failed; its log says why.' },
      ]);
    }
    expect((await post({ image })).statusCode).toBe(200);
  });

  it('that is not decoded in time gets a 503', async () => {
    const { post } = await start(threadOf('parentPort.on("message", () => { for (;;); })'), 500);
    const replies = await Promise.all([post(large), post(large)]);
    for (const reply of replies) {
      expect([reply.statusCode, reply.headers['retry-after']]).toEqual([503, '1']);
      expect(reply.json().error.message).toMatch(/^Decoding the body took more than 0\.5 s\./);
    }
    expect((await post({ image })).statusCode).toBe(200);
  });

  it('for another path or method is not read', async () => {
    const { post } = await start(threadOf('throw new Error("started")'));
    const broken = '[{},'.repeat(1e5);
    expect((await post(broken, '/nothing')).statusCode).toBe(404);
    expect((await post(broken, '/predict', 'PUT')).statusCode).toBe(405);
    expect((await post('{"image":', '/healthz')).statusCode).toBe(405);
  });
});
