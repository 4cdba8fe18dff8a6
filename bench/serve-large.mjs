// How long the largest bodies that `mnist-train serve` takes hold up other requests: single raw images, one after the other,
// while clients send large bodies without a pause. `hold` is how late the server's event loop was at most, by its own
// metrics; `p50`, `p99` and `max` are the times of the single images. All in milliseconds.
// node bench/serve-large.mjs [--seconds 5] [--clients 2]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { encode } from 'fast-png';
import { dense, sequential } from '../dist/index.js';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, clients: { type: 'string', default: '2' } },
});

const BODY_LIMIT = 8 * 2 ** 20;
const SIDE = 1024;
const BYTES = 'application/octet-stream';
const JSON_TYPE = 'application/json';
const image = Uint8Array.from({ length: 784 }, (_, index) => (index * 37) % 256);

/** A drawing of light on dark. */
const drawing = Uint8Array.from({ length: SIDE * SIDE }, (_, index) =>
  Math.hypot((index % SIDE) - 500, Math.floor(index / SIDE) - 500) < 300 ? 255 - (index % 7) : 0,
);
const noise = Uint16Array.from({ length: SIDE * SIDE * 4 }, (_, index) => Math.imul(index, 0x9e3779b1) >>> 16);
const listOf = (count, sample) => JSON.stringify({ [sample.kind]: Array(count).fill(sample.numbers) });

const bodies = {
  nothing: null,
  'PNG of 1024 x 1024, a drawing': ['image/png', encode({ width: SIDE, height: SIDE, data: drawing, channels: 1 })],
  'PNG of 1024 x 1024, 8 MiB': [
    'image/png',
    encode({ width: SIDE, height: SIDE, data: noise, channels: 4, depth: 16 }),
  ],
  'JSON of images': [JSON_TYPE, listOf(2900, { kind: 'images', numbers: [...image] })],
  'JSON of inputs': [JSON_TYPE, listOf(560, { kind: 'inputs', numbers: [...image].map((v) => Math.fround(v / 255)) })],
  'JSON of empty objects': [JSON_TYPE, `{"images":[${'{},'.repeat(BODY_LIMIT / 3 - 8)}0]}`],
  '4096 raw images': [BYTES, Buffer.alloc(784 * 4096, image)],
};

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-bench-'));
try {
  const path = join(folder, 'model.safetensors');
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  await sequential(layers, { inputShape: [28, 28, 1], seed: 1 }).save(path);
  for (const [name, body] of Object.entries(bodies)) await withServer(path, (url) => measure(url, name, body));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function withServer(path, action) {
  const cli = fileURLToPath(new URL('../bin/mnist-train.js', import.meta.url));
  const child = spawn(process.execPath, [cli, 'serve', path, '--port', '0', '--json', '--body-limit', '8400000'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  try {
    const [line] = await once(createInterface(child.stdout), 'line');
    await action(JSON.parse(line).url);
  } finally {
    child.kill('SIGTERM');
    await once(child, 'close');
  }
}

async function measure(url, name, large) {
  const singles = new Agent({ keepAlive: true });
  const single = () => send(singles, `${url}/predict`, BYTES, image);
  for (let each = 0; each < 2000; each++) await single();
  const statuses = {};
  const sendLarge = async (agent) => {
    const { status } = await send(agent, `${url}/predict`, ...large);
    statuses[status] = (statuses[status] ?? 0) + 1;
  };
  if (large) await sendLarge(new Agent());
  await send(singles, `${url}/metrics`); // begins the measuring of the event loop anew
  const end = performance.now() + Number(values.seconds) * 1000;
  const clients = Array.from({ length: large ? Number(values.clients) : 0 }, async () => {
    const agent = new Agent({ keepAlive: true });
    while (performance.now() < end) await sendLarge(agent);
  });
  const times = [];
  while (performance.now() < end) {
    const begin = performance.now();
    await single();
    times.push(performance.now() - begin);
    await sleep(2);
  }
  const metrics = (await send(singles, `${url}/metrics`)).text;
  await Promise.all(clients);
  times.sort((a, b) => a - b);
  const at = (share) => Math.round(times[Math.floor((times.length - 1) * share)] * 10) / 10;
  const hold = Math.round(Number(/^nodejs_eventloop_lag_max_seconds (\S+)/m.exec(metrics)[1]) * 1000);
  const bytes = large ? Buffer.byteLength(large[1]) : 0;
  console.log(
    JSON.stringify({ name, bytes, statuses, hold, p50: at(0.5), p99: at(0.99), max: at(1), singles: times.length }),
  );
}

function send(agent, url, type, body) {
  return new Promise((resolve, reject) => {
    const headers = type ? { 'content-type': type, 'content-length': Buffer.byteLength(body) } : {};
    const sent = request(url, { agent, method: type ? 'POST' : 'GET', headers }, (reply) => {
      let text = '';
      reply.setEncoding('latin1').on('data', (part) => {
        text += part;
      });
      reply.once('end', () => resolve({ status: reply.statusCode, text }));
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
