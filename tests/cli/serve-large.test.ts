import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from 'fast-png';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import { closing, head, killServers, raw, type ServeProcess, startServe, statusOf } from '../helpers/serve-process.js';

/** Bodies at the limits, which `mnist-train serve` decodes on a thread of their own. */

const cwd = mkdtempSync(join(tmpdir(), 'mnist-train-serve-large-'));
const model = join(cwd, 'model.safetensors');
const image = Buffer.from(Uint8Array.from({ length: 784 }, (_, i) => (i * 37) % 256));
const SIDE = 1024;
const drawing = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => (i % SIDE > 300 && i % SIDE < 500 ? 255 : 0));
const png = Buffer.from(encode({ width: SIDE, height: SIDE, data: drawing, channels: 1 }));
/** 8 MB: half a second or more. */
const json = Buffer.from(JSON.stringify({ images: Array(2800).fill([...image]) }));
const JSON_TYPE = 'application/json';

beforeAll(() =>
  sequential([dense({ units: 10, activation: 'softmax' })], { inputShape: [28, 28, 1], seed: 1, backend: 'js' }).save(
    model,
  ),
);
afterEach(killServers);
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const request = (body: Buffer, type: string) =>
  Buffer.concat([Buffer.from(head(body.length, type, 'keep-alive')), body]);
const inFlight = async ({ url }: ServeProcess) => {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  return Number(/requests_in_flight (\d+)/.exec(metrics)?.[1]) - 1;
};

describe('large bodies', () => {
  it('let smaller requests pass', async () => {
    const server = await startServe(model);
    await server.post(image);
    let answered = false;
    const large = raw(server.port, head(json.length, JSON_TYPE), json).then((reply) => {
      answered = true;
      return reply;
    });
    while ((await inFlight(server)) === 0);
    let passed = 0;
    while (!answered) {
      expect((await server.post(image)).status).toBe(200);
      passed++;
    }
    expect(statusOf(await large)).toBe(200);
    // On the same thread it would be one or two.
    expect(passed).toBeGreaterThan(10);
    await server.end();
  });

  it('in flight at the end are answered', async () => {
    const server = await startServe(model);
    const replies = [
      raw(server.port, head(json.length, JSON_TYPE), json),
      raw(server.port, head(png.length, 'image/png'), png),
    ];
    while ((await inFlight(server)) < 2);
    const { status, events } = await server.end();
    expect(status).toBe(0);
    expect(events.at(-1)).toEqual({ event: 'stopped', drained: true });
    for (const reply of replies) expect(statusOf(await reply)).toBe(200);
  });

  it('in flight that take longer than the drain timeout do not hold up the end', async () => {
    const server = await startServe(model, '--drain-timeout', '0.3', '--request-timeout', '60');
    const replies = Array.from({ length: 20 }, () => raw(server.port, head(json.length, JSON_TYPE), json));
    while ((await inFlight(server)) < 20);
    const begin = performance.now();
    const { status, events } = await server.end();
    expect(status).toBe(0);
    expect(events.at(-1)).toEqual({ event: 'stopped', drained: false });
    // The body that is being decoded may go to its end; all of them would take ten seconds or more.
    expect(performance.now() - begin).toBeLessThan(5000);
    await Promise.all(replies);
  });

  it('of clients that went away are left', async () => {
    const server = await startServe(model, '--max-concurrent', '60');
    for (let each = 0; each < 10; each++) {
      const socket = connect(server.port, '127.0.0.1');
      const closed = closing(socket);
      const requests = Buffer.concat(Array(5).fill(request(png, 'image/png')));
      await new Promise((sent) => socket.write(requests, sent));
      await sleep(20);
      socket.destroy();
      await closed;
    }
    while ((await inFlight(server)) > 0) await sleep(20);
    const { status } = await server.post(png, 'image/png');
    expect(status).toBe(200);
    await server.end();
  });
});
