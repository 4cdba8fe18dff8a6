import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import { killServers, type ServeProcess, startServe } from '../helpers/serve-process.js';

/** What `mnist-train serve` makes of changes of its model file. */

const cwd = mkdtempSync(join(tmpdir(), 'mnist-train-serve-reload-'));
const model = join(cwd, 'model.safetensors');
const image = Buffer.from(Uint8Array.from({ length: 784 }, (_, i) => (i * 37) % 256));

/** Writes a model file and returns the digest of its weights. */
async function write(path: string, seed: number, inputShape = [28, 28, 1], units = 16): Promise<string> {
  const layers = [dense({ units, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  const network = sequential(layers, { inputShape, seed, backend: 'js' });
  await network.save(path);
  return network.weightsSha256();
}

beforeEach(async () => {
  await write(model, 1);
});
afterEach(killServers);
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const next = join(cwd, 'next.safetensors');
const digestOf = async ({ post }: ServeProcess) => (await post(image)).headers.get('x-model-digest');
const metricsOf = async ({ url }: ServeProcess) => (await fetch(`${url}/metrics`)).text();
const until = async (condition: () => Promise<boolean>) => {
  while (!(await condition())) await sleep(20);
};

describe('the model file', () => {
  it('reads the model again when the file is replaced, written over or broken', async () => {
    const server = await startServe(model);
    const digest = () => digestOf(server);
    const first = await digest();
    await write(join(cwd, 'next.safetensors'), 2);
    renameSync(join(cwd, 'next.safetensors'), model);
    const { version, weightsSha256 } = await server.event('reloaded');
    expect(version).toBe(2);
    expect(await digest()).toBe(weightsSha256);
    expect(weightsSha256).not.toBe(first);
    writeFileSync(model, 'not a model');
    expect((await server.event('reloadFailed')).reason).toMatch(/model\.safetensors/);
    expect(await digest()).toBe(weightsSha256);
    await write(join(cwd, 'again.safetensors'), 1);
    copyFileSync(join(cwd, 'again.safetensors'), model);
    while ((await digest()) !== first) await sleep(20);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toMatch(/model_reloads_total\{result="failed"\} [1-9]/);
    const { stderr } = await server.end();
    expect(stderr).toMatch(/"level":40.*"reason":.*the model before stays/);
  });

  it('of another input shape: old requests get a 400 that says so, new ones an answer', async () => {
    const server = await startServe(model);
    const digest = await write(next, 2, [10, 10, 1]);
    renameSync(next, model);
    await server.event('reloaded');
    const refusals = [
      [
        await server.post(image),
        /^Expected 100 bytes, or a multiple, for samples of \[10, 10, 1\], received 784 bytes/,
      ],
      [
        await server.post(JSON.stringify({ image: [...image] }), 'application/json'),
        /^Expected 100 numbers for image, a sample of \[10, 10, 1\], received 784 of them/,
      ],
    ] as const;
    for (const [reply, message] of refusals) {
      expect(reply.status).toBe(400);
      expect(((await reply.json()) as { error: { message: string } }).error.message).toMatch(message);
    }
    const reply = await server.post(image.subarray(0, 100));
    expect([reply.status, reply.headers.get('x-model-digest')]).toEqual([200, digest]);
    expect(await (await fetch(`${server.url}/healthz`)).json()).toMatchObject({ model: { inputShape: [10, 10, 1] } });
    await server.end();
  });

  // 0: in one go. Then while the one before settles, and while it is read.
  it.each([0, 30, 105, 130, 250])(
    'replaced twice within %i ms: the last one is in service at the end',
    async (pause) => {
      const server = await startServe(model);
      // The first is larger: reading it takes longer.
      const first = await write(join(cwd, 'first.safetensors'), 2, [28, 28, 1], 2000);
      const last = await write(next, 3);
      renameSync(join(cwd, 'first.safetensors'), model);
      if (pause) await sleep(pause);
      renameSync(next, model);
      await until(async () => (await digestOf(server)) === last);
      // And stays so, whatever is read meanwhile.
      await sleep(500);
      expect(await digestOf(server)).toBe(last);
      const { events } = await server.end();
      const reloaded = events.filter(({ event }) => event === 'reloaded').map(({ weightsSha256 }) => weightsSha256);
      expect(reloaded.at(-1)).toBe(last);
      expect([[last], [first, last]]).toContainEqual(reloaded);
      expect(events.filter(({ event }) => event === 'reloadFailed')).toEqual([]);
    },
  );

  it('damaged and then good: every request is answered, by the old one and then by the new one', async () => {
    const server = await startServe(model);
    const old = await digestOf(server);
    const good = await write(next, 2);
    const damaged = readFileSync(next);
    writeFileSync(join(cwd, 'damaged.safetensors'), damaged.subarray(0, damaged.length - 100));
    const seen: (string | null)[] = [];
    let done = false;
    const load = (async () => {
      while (!done) {
        const reply = await server.post(image);
        expect(reply.status).toBe(200);
        seen.push(reply.headers.get('x-model-digest'));
      }
    })();
    renameSync(join(cwd, 'damaged.safetensors'), model);
    expect((await server.event('reloadFailed')).reason).toMatch(/model\.safetensors/);
    expect(await metricsOf(server)).toContain('mnist_train_model_reloads_total{result="failed"} 1\n');
    const before = seen.length;
    await until(async () => seen.length > before + 20);
    expect(new Set(seen)).toEqual(new Set([old]));
    renameSync(next, model);
    await until(async () => seen.at(-1) === good);
    done = true;
    await load;
    expect([...new Set(seen)]).toEqual([old, good]);
    const metrics = await metricsOf(server);
    expect(metrics).toContain('mnist_train_model_reloads_total{result="failed"} 1\n');
    expect(metrics).toContain('mnist_train_model_reloads_total{result="ok"} 1\n');
    expect(metrics).toContain('mnist_train_model_version 2\n');
    await server.end();
  });

  it('that is gone for a while: the old one is in service until there is another', async () => {
    const server = await startServe(model);
    const old = await digestOf(server);
    rmSync(model);
    expect((await server.event('reloadFailed')).reason).toMatch(/model\.safetensors/);
    expect(await digestOf(server)).toBe(old);
    const digest = await write(model, 2);
    await until(async () => (await digestOf(server)) === digest);
    await server.end();
  });
});
