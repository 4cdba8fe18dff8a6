import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { afterAll, describe, expect, it } from 'vitest';
import { dense, type Layer, loadModel, sequential } from '../../src/index.js';
import type { AppOptions } from '../../src/server/app.js';
import { openAppInTest } from '../helpers/server-app.js';

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-server-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const digits = (): Layer[] => [dense({ units: 8, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];

async function saved(name: string, seed = 1, layers = digits(), inputShape: number[] = [28, 28, 1]): Promise<string> {
  const path = join(folder, name);
  await sequential(layers, { inputShape, seed, backend: 'js' }).save(path);
  return path;
}

async function start(path: string, limits?: Partial<AppOptions>) {
  const { server, service } = await openAppInTest(path, limits);
  const post = (body: Buffer | string, type: string | undefined) =>
    server.inject({ method: 'POST', url: '/predict', headers: type ? { 'content-type': type } : {}, body });
  const json = (value: unknown) => post(JSON.stringify(value), 'application/json');
  return { server, service, post, json };
}

const BYTES = 'application/octet-stream';
const image = Buffer.from(Uint8Array.from({ length: 784 }, (_, i) => (i * 37) % 256));

describe('POST /predict', () => {
  it('answers bytes, JSON and PNG alike, as the model predicts', async () => {
    const path = await saved('digits.safetensors');
    const wanted = (await loadModel(path, { backend: 'js' })).predictSync(new Uint8Array(image));
    const best = wanted.indexOf(Math.max(...wanted));
    const { post, json, service } = await start(path);
    const rows = Array.from({ length: 28 }, (_, row) => [...image.subarray(row * 28, row * 28 + 28)]);
    const png = Buffer.from(encode({ width: 28, height: 28, data: new Uint8Array(image), channels: 1 }));
    const replies = [
      await post(image, BYTES),
      await json({ image: [...image] }),
      await json({ image: rows }),
      await json({ input: [...image].map((pixel) => Math.fround(pixel / 255)) }),
    ];
    for (const reply of replies) {
      expect(reply.statusCode).toBe(200);
      expect(reply.headers).toMatchObject({
        'content-type': 'application/json; charset=utf-8',
        'x-model-digest': service.current.digest,
      });
      const { class: label, label: name, probability, probabilities } = reply.json();
      expect(Float32Array.from(probabilities)).toEqual(wanted);
      expect({ label, name, probability }).toEqual({ label: best, name: String(best), probability: wanted[best] });
    }
    const fromPng = [await post(png, 'image/png'), await json({ png: png.toString('base64') })];
    for (const reply of fromPng) expect(Float32Array.from(reply.json().probabilities)).toEqual(wanted);
  });

  it('answers batches with lists, small and large ones', async () => {
    const path = await saved('digits.safetensors');
    const model = await loadModel(path, { backend: 'js' });
    const { post, json } = await start(path);
    for (const count of [2, 16, 17, 100]) {
      const bytes = Buffer.concat(
        Array.from({ length: count }, (_, index) => Buffer.from(image.map((p) => p ^ index))),
      );
      const wanted = model.predictSync(new Uint8Array(bytes));
      const { predictions } = (await post(bytes, BYTES)).json();
      expect(predictions).toHaveLength(count);
      expect(Float32Array.from(predictions.flatMap((each: { probabilities: number[] }) => each.probabilities))).toEqual(
        wanted,
      );
    }
    const one = await json({ images: [[...image]] });
    expect(one.json().predictions).toHaveLength(1);
    const png = Buffer.from(encode({ width: 28, height: 28, data: new Uint8Array(image), channels: 1 })).toString(
      'base64',
    );
    expect((await json({ pngs: [png, png] })).json().predictions).toHaveLength(2);
  });

  it('serves models of other inputs and outputs', async () => {
    const path = await saved('numbers.safetensors', 1, [dense({ units: 2 })], [3]);
    const wanted = (await loadModel(path, { backend: 'js' })).predictSync([1, -2, 0.5]);
    const { json, post } = await start(path);
    expect(Float32Array.from((await json({ input: [1, -2, 0.5] })).json().outputs)).toEqual(wanted);
    expect(
      (
        await json({
          inputs: [
            [1, -2, 0.5],
            [0, 0, 0],
          ],
        })
      ).json().predictions,
    ).toHaveLength(2);
    const png = Buffer.from(encode({ width: 2, height: 2, data: new Uint8Array(4), channels: 1 }));
    const refused = await post(png, 'image/png');
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error.message).toMatch(/Expected numbers, since the model takes samples of \[3\]/);
  });
});

describe('wrong requests', () => {
  const png = Buffer.from(encode({ width: 28, height: 28, data: new Uint8Array(image), channels: 1 }));
  const huge = Buffer.from(png);
  huge.writeUInt32BE(1e9, 16);
  const large = Buffer.from(encode({ width: 200, height: 200, data: new Uint8Array(40_000), channels: 1 })).toString(
    'base64',
  );
  const manyPixels = JSON.stringify({ pngs: [large, large, large] });
  const wrong: [string, Buffer | string, string | undefined, number, RegExp][] = [
    ['too few bytes', Buffer.alloc(783), BYTES, 400, /Expected 784 bytes, or a multiple.*received 783 bytes/],
    ['no bytes', Buffer.alloc(0), BYTES, 400, /received 0 bytes/],
    ['too many samples', Buffer.alloc(784 * 101), BYTES, 413, /at most 100 samples, received 101/],
    ['a body beyond the limit', Buffer.alloc(1e6 + 1), BYTES, 413, /at most 1000000 bytes/],
    ['another type', 'x', 'text/plain', 415, /Expected application\/octet-stream.*received text\/plain/],
    ['a form', 'a=b', 'application/x-www-form-urlencoded', 415, /received application\/x-www-form-urlencoded/],
    ['nothing', '', undefined, 400, /received undefined/],
    ['a truncated PNG', png.subarray(0, png.length >> 1), 'image/png', 400, /PNG/],
    ['a PNG of a flipped bit', Buffer.from(png.map((b, i) => (i === 60 ? b ^ 1 : b))), 'image/png', 400, /the PNG/],
    ['a PNG that promises to be vast', huge, 'image/png', 413, /at most 100000 pixels in PNGs, received 28000000000/],
    ['PNGs of too many pixels together', manyPixels, 'application/json', 413, /received 120000/],
    ['no PNG', image, 'image/png', 400, /Expected a PNG image/],
    ['bad JSON', '{"image":[', 'application/json', 400, /JSON/],
    ['a list', '[]', 'application/json', 400, /Expected an object/],
    ['null', 'null', 'application/json', 400, /received null/],
    ['an unknown member', '{"picture":[]}', 'application/json', 400, /one of image, images.*picture/],
    ['two members', '{"image":[],"png":""}', 'application/json', 400, /received an array \[image, png\]/],
    ['the name of a method', '{"constructor":[]}', 'application/json', 400, /./],
    ['too few numbers', '{"image":[1,2]}', 'application/json', 400, /Expected 784 numbers for image.*received 2/],
    ['a word in place of numbers', '{"image":"x"}', 'application/json', 400, /received "x"/],
    ['no list', '{"images":{}}', 'application/json', 400, /a list of one or more for images/],
    ['an empty list', '{"inputs":[]}', 'application/json', 400, /a list of one or more for inputs/],
    [
      'what is no byte',
      JSON.stringify({ images: [[...image], [256, ...image.subarray(1)]] }),
      'application/json',
      400,
      /from 0 to 255 for images\[1\]\[0\], received 256/,
    ],
    [
      'what is no number',
      JSON.stringify({ image: [null, ...image.subarray(1)] }),
      'application/json',
      400,
      /received null/,
    ],
    [
      'what float32 cannot hold',
      JSON.stringify({ input: [1e39, ...image.subarray(1)] }),
      'application/json',
      400,
      /finite float32 number for input\[0\]/,
    ],
    ['what is no base64', '{"png":"!!"}', 'application/json', 400, /PNG in base64 for png, received "!!"/],
    ['base64 of no PNG', '{"pngs":["AAAA"]}', 'application/json', 400, /pngs\[0\]/],
  ];

  it.each(wrong)('%s', async (_name, body, type, status, message) => {
    const { post, server } = await start(await saved('digits.safetensors'));
    const reply = await post(body, type);
    expect(reply.statusCode).toBe(status);
    expect(reply.headers['content-type']).toMatch(/^application\/json/);
    const { error } = reply.json();
    expect(error.message).toMatch(message);
    expect(error.code).toMatch(/^[a-z_]+$/);
    expect((await post(image, BYTES)).statusCode).toBe(200);
    expect((await server.inject('/metrics')).body).toContain(`status="${status}"`);
  });

  it('numbers whose outputs are not finite', async () => {
    const { json } = await start(await saved('numbers.safetensors', 1, [dense({ units: 2 })], [3]));
    const reply = await json({
      inputs: [
        [1, 2, 3],
        [3e38, 3e38, -3e38],
      ],
    });
    expect([reply.statusCode, reply.json().error.code]).toEqual([422, 'unprocessable_entity']);
  });

  it('compressed bodies', async () => {
    const { server } = await start(await saved('digits.safetensors'));
    const headers = { 'content-type': BYTES, 'content-encoding': 'gzip' };
    const reply = await server.inject({ method: 'POST', url: '/predict', headers, body: image });
    expect([reply.statusCode, reply.json().error.message]).toEqual([
      415,
      'Expected a body without content-encoding, received gzip.',
    ]);
  });

  it('counts only what was predicted', async () => {
    const { json, server } = await start(await saved('numbers.safetensors', 1, [dense({ units: 2 })], [3]));
    await json({ input: [1, 2, 3] });
    await json({ input: [3e38, 3e38, -3e38] });
    expect((await server.inject('/metrics')).body).toContain('mnist_train_predictions_total 1\n');
  });

  it('other paths and methods', async () => {
    const { server } = await start(await saved('digits.safetensors'));
    const lost = await server.inject('/nothing?x=1');
    expect(lost.statusCode).toBe(404);
    expect(lost.json().error.message).toMatch(/\/predict.*received \/nothing\./);
    const put = await server.inject({ method: 'PUT', url: '/predict', body: 'x' });
    expect([put.statusCode, put.headers.allow]).toEqual([405, 'POST']);
    expect((await server.inject({ method: 'POST', url: '/healthz' })).statusCode).toBe(405);
    const file = await server.inject({ method: 'POST', url: '/page/page.js?v=1' });
    expect([file.statusCode, file.headers.allow]).toEqual([405, 'GET, HEAD']);
    for (const url of ['/page/', '/page/a/b', '/pages/page.js']) {
      expect((await server.inject({ method: 'POST', url })).statusCode, url).toBe(404);
    }
  });

  it('more at a time than allowed', async () => {
    const { post, server } = await start(await saved('digits.safetensors'), { maxConcurrent: 2 });
    const batch = Buffer.alloc(784 * 100);
    const replies = await Promise.all(Array.from({ length: 8 }, () => post(batch, BYTES)));
    const refused = replies.filter(({ statusCode }) => statusCode === 503);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0].headers['retry-after']).toBe('1');
    expect(refused[0].json().error).toMatchObject({ code: 'service_unavailable' });
    expect(replies.some(({ statusCode }) => statusCode === 200)).toBe(true);
    expect((await post(image, BYTES)).statusCode).toBe(200);
    expect((await server.inject('/metrics')).body).toMatch(/requests_in_flight 1\n/);
  });
});

describe('a new model file', () => {
  it('goes into service at once, and requests in flight end on the old one', async () => {
    const path = await saved('swap.safetensors', 1);
    const { post, service, server } = await start(path);
    const batch = Buffer.concat(Array.from({ length: 100 }, () => image));
    const before = (await post(batch, BYTES)).body;
    const { digest } = service.current;
    await saved('swap.safetensors', 2);
    const running = post(batch, BYTES);
    expect(await service.reload()).toBe(true);
    const after = await post(batch, BYTES);
    expect((await running).body).toBe(before);
    expect(after.body).not.toBe(before);
    expect(after.headers['x-model-digest']).not.toBe(digest);
    expect((await server.inject('/healthz')).json()).toMatchObject({ status: 'ok', model: { version: 2 } });
    expect((await server.inject('/metrics')).body).toContain('mnist_train_model_version 2');
    expect(await service.reload()).toBe(false);
  });

  it('that cannot be used leaves the old one in service', async () => {
    const path = await saved('broken.safetensors', 1);
    const { post, service } = await start(path);
    const before = (await post(image, BYTES)).body;
    writeFileSync(path, 'half a fi');
    await expect(service.reload()).rejects.toThrow(/broken\.safetensors/);
    expect((await post(image, BYTES)).body).toBe(before);
    expect(service.current.version).toBe(1);
  });

  it('of another architecture is served as it is', async () => {
    const path = await saved('other.safetensors', 1);
    const { json, service } = await start(path);
    await saved('other.safetensors', 1, [dense({ units: 1 })], [2]);
    expect(await service.reload()).toBe(true);
    expect((await json({ input: [1, 2] })).json().outputs).toHaveLength(1);
  });
});
