import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode } from 'fast-png';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import { runCli } from '../helpers/cli-run.js';
import { closing, head, killServers, raw, type ServeProcess, startServe, statusOf } from '../helpers/serve-process.js';

/** `mnist-train serve` as a process of its own, with real connections. */

const cwd = mkdtempSync(join(tmpdir(), 'mnist-train-serve-'));
const model = join(cwd, 'model.safetensors');
const image = Buffer.from(Uint8Array.from({ length: 784 }, (_, i) => (i * 37) % 256));

const write = (path: string, seed: number) =>
  sequential([dense({ units: 16, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })], {
    inputShape: [28, 28, 1],
    seed,
    backend: 'js',
  }).save(path);

beforeAll(() => write(model, 1));
afterEach(killServers);
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

const serve = (...options: string[]) => startServe(model, ...options);

describe('serve', () => {
  it('answers, and ends with status 0 when it is told to', async () => {
    const server = await serve();
    const reply = await server.post(image);
    expect(reply.status).toBe(200);
    expect(((await reply.json()) as { probabilities: number[] }).probabilities).toHaveLength(10);
    const { status, events, stderr } = await server.end();
    expect(status).toBe(0);
    expect(events.map(({ event }) => event)).toEqual(['listening', 'draining', 'stopped']);
    expect(events.at(-2)).toEqual({ event: 'draining', inFlight: 0 });
    expect(events.at(-1)).toEqual({ event: 'stopped', drained: true });
    expect(stderr).toMatch(/Serving .* on http:\/\/127\.0\.0\.1:\d+\./);
  });

  it.each(['close', 'keep-alive'])(
    'finishes a request in flight (connection: %s), and takes no new ones',
    async (connection) => {
      const server = await serve();
      const socket = connect(server.port, '127.0.0.1');
      let reply = '';
      socket.setEncoding('latin1').on('data', (text) => {
        reply += text;
      });
      socket.write(head(784, undefined, connection));
      socket.write(image.subarray(0, 400));
      await sleep(200);
      const ended = server.end();
      while (!server.output.stderr.includes('Stopping')) await sleep(10);
      await sleep(100);
      await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
      socket.write(image.subarray(400));
      await once(socket, 'close');
      expect(statusOf(reply)).toBe(200);
      const { status, events } = await ended;
      expect(status).toBe(0);
      expect(events.slice(-2)).toEqual([
        { event: 'draining', inFlight: 1 },
        { event: 'stopped', drained: true },
      ]);
    },
  );

  it('gives up on a request that does not end within the drain timeout', async () => {
    const server = await serve('--drain-timeout', '0.3', '--request-timeout', '60');
    const reply = raw(server.port, head(784), image.subarray(0, 10));
    await sleep(200);
    const { status, events } = await server.end();
    expect(status).toBe(0);
    expect(events.at(-1)).toEqual({ event: 'stopped', drained: false });
    await reply;
  });

  it('keeps the model with --no-reload', async () => {
    const server = await serve('--no-reload');
    await write(model, 3);
    await sleep(400);
    expect(server.events().map(({ event }) => event)).toEqual(['listening']);
    await server.end();
    await write(model, 1);
  });

  it('logs requests as JSON when asked to', async () => {
    const server = await serve('--log-level', 'info');
    await server.post(image);
    const { stderr } = await server.end();
    expect(stderr).toMatch(/"res":\{"statusCode":200\}/);
  });
});

describe('malformed requests', () => {
  const png = Buffer.from(encode({ width: 28, height: 28, data: new Uint8Array(image), channels: 1 }));
  const huge = Buffer.alloc(3 * 2 ** 20);
  type Kind = [name: string, statuses: number[], pieces: (index: number) => (string | Buffer)[]];
  const body = (content: Buffer | string, type?: string) => [head(Buffer.byteLength(content), type), content];
  const kinds: Kind[] = [
    ['a truncated PNG', [400], (i) => body(png.subarray(0, 8 + (i % (png.length - 9))), 'image/png')],
    [
      'a PNG of flipped bits',
      [400],
      (i) => body(Buffer.from(png.map((b, at) => (at === 33 + i ? b ^ 0x55 : b))), 'image/png'),
    ],
    ['the wrong size', [400], (i) => body(Buffer.alloc(1 + (i % 783)))],
    ['a huge body', [413], () => body(huge)],
    ['a body that is said to be huge', [413], () => [head(1e12), 'x']],
    ['a slow body', [408], () => [head(784), 'x']],
    ['a slow head', [408], () => ['POST /predict HTTP/1.1\r\nhost: x\r\n']],
    ['bad JSON', [400], (i) => body('{"image":[1,2,3'.slice(0, 1 + (i % 15)), 'application/json')],
    [
      'the wrong JSON',
      [400],
      (i) => body(JSON.stringify([null, 7, {}, { image: 'x' }, { images: [[1]] }][i % 5]), 'application/json'),
    ],
    ['another type', [415], () => body('a=b', 'application/x-www-form-urlencoded')],
    ['no HTTP', [400], (i) => [`${'GARBAGE '.repeat(1 + i)}\r\n\r\n`]],
    ['a bad length', [400], () => [head('many')]],
    [
      'a bad chunk',
      [400],
      () => [
        'POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: application/json\r\n\r\nzz\r\n',
      ],
    ],
    ['too long a head', [431], () => [`GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(20_000)}\r\n`]],
    ['a tunnel', [405], () => ['CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n']],
    ['an expectation', [417], () => ['GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: much\r\n\r\n']],
    ['no host', [400], () => ['GET /healthz HTTP/1.1\r\n\r\n']],
    ['another method', [405], () => ['DELETE /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n']],
    ['a bad path', [400], (i) => [`GET /${'x'.repeat(i)}%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`]],
    [
      'another path',
      [404],
      (i) => [`GET /${i % 2 ? 'x' : '..'}/y${i} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`],
    ],
  ];
  const COUNT = 221;

  it(`are answered with a 4xx that says why, ${COUNT} of them, while good ones go on`, async () => {
    const server = await serve('--body-limit', String(2 ** 20), '--request-timeout', '1');
    const wanted = await (await server.post(image)).text();
    let done = false;
    let good = 0;
    const load = async () => {
      while (!done) {
        const reply = await server.post(image);
        expect(reply.status).toBe(200);
        expect(await reply.text()).toBe(wanted);
        good++;
      }
    };
    const loads = Promise.all(Array.from({ length: 4 }, load));
    const replies = await Promise.all(
      Array.from({ length: COUNT }, async (_, index) => {
        const [name, statuses, pieces] = kinds[index % kinds.length];
        return { name, statuses, reply: await raw(server.port, ...pieces(Math.floor(index / kinds.length))) };
      }),
    );
    done = true;
    await loads;
    for (const { name, statuses, reply } of replies) {
      expect(statuses, `${name}: ${reply.slice(0, 300)}`).toContain(statusOf(reply));
      const { error } = JSON.parse(/\{.*\}/.exec(reply)?.[0] ?? '{}');
      expect(error.message, name).toMatch(/\w{3,}/);
    }
    expect(good).toBeGreaterThan(100);
    expect(await (await server.post(image)).text()).toBe(wanted);
    expect(await server.end()).toMatchObject({ status: 0 });
  });
});

describe('clients that misbehave on one connection', () => {
  const request = (body: Buffer) => Buffer.concat([Buffer.from(head(body.length, undefined, 'keep-alive')), body]);
  const answer = async ({ post }: ServeProcess) => (await post(image)).status;

  it.each([1, 100])('get the answer to a request of %i images before the refusal of what follows', async (count) => {
    const server = await serve();
    const good = request(Buffer.concat(Array.from({ length: count }, () => image)));
    const reply = await raw(server.port, Buffer.concat([good, Buffer.from('GARBAGE GARBAGE\r\n\r\n')]));
    expect(reply.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    expect(metrics).toContain('{method="unknown",route="unknown",status="400"} 1');
    await server.end();
  });

  it('leave no request behind when they go away before the answers', async () => {
    const server = await serve('--max-concurrent', '8');
    const slow = request(Buffer.alloc(784 * 3000, 7));
    for (let client = 0; client < 12; client++) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      await new Promise((sent) => {
        socket.write(Buffer.concat([slow, request(image), request(image), request(image)]), sent);
      });
      await sleep(10);
      socket.destroy();
      await sleep(50);
    }
    while ((await answer(server)) !== 200) await sleep(20);
    // The one that asks. What the others sent is still being answered on a busy machine.
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text();
    await expect.poll(metrics, { timeout: 20_000 }).toContain('mnist_train_requests_in_flight 1\n');
    await server.end();
  });

  it('are cut off when they do not read', async () => {
    const server = await serve('--batch-limit', '10000', '--request-timeout', '1');
    const socket = connect(server.port, '127.0.0.1').pause();
    const closed = closing(socket);
    // Answers of 15 MB together: more than the buffers of a connection hold.
    const large = request(Buffer.alloc(784 * 10_000, 7));
    for (let each = 0; each < 10; each++) socket.write(large);
    const inFlight = async () => {
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      return Number(/requests_in_flight (\d+)/.exec(metrics)?.[1]) - 1;
    };
    while ((await inFlight()) === 0) await sleep(10);
    // Nobody reads, and still nothing is in flight for good.
    for (let quiet = 0; quiet < 20; quiet++) {
      if ((await inFlight()) > 0) quiet = 0;
      await sleep(20);
    }
    let received = '';
    socket.setEncoding('latin1').on('data', (text) => {
      received += text;
    });
    socket.resume();
    await closed;
    expect(received.match(/HTTP\/1\.1 200/g)?.length ?? 0).toBeLessThan(10);
    await server.end();
  });
});

describe('serve refuses', () => {
  it('a model that is not there, in one line', async () => {
    const { status, stderr } = await runCli(['serve', 'none.safetensors'], { cwd });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^mnist-train: .*none\.safetensors.*\n$/);
  });

  it('a port that is taken', async () => {
    const other: Server = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const { status, stderr } = await runCli(['serve', model, '--port', String(port)], { cwd });
    other.close();
    expect(status).toBe(1);
    expect(stderr).toMatch(
      new RegExp(`^mnist-train: Cannot listen on 127\\.0\\.0\\.1 port ${port}: something else listens there\\.`),
    );
  });

  it.each([
    [['--port', '70000'], /--port/],
    [['--request-timeout', '0'], /--request-timeout/],
    [['--log-level', 'loud'], /--log-level/],
    [['--max-concurrent', 'many'], /--max-concurrent/],
    [['--batch-limit', '0'], /--batch-limit/],
    [['--pixel-limit', '0'], /--pixel-limit/],
  ])('%s', async (options, message) => {
    const { status, stderr } = await runCli(['serve', model, ...options], { cwd });
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
