// Requests a second that `mnist-train serve` answers for single raw images, the server on one core and the load on
// another, in turns with what Node.js and fastify answer on the same machine when they predict nothing. Node.js compiles in
// the first seconds, on the server's core; they are not measured:
// node bench/serve.mjs [MODEL] [--seconds 10] [--warm-up 3] [--connections 50] [--rounds 3]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { dense, loadDataset, sequential } from '../dist/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '10' },
    'warm-up': { type: 'string', default: '3' },
    connections: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
  },
});

/** The first core is the server's, the second is for this process. Without taskset they share what there is. */
const pinned = process.platform === 'linux' && availableParallelism() > 1;

const mnistTrain = fileURLToPath(new URL('../bin/mnist-train.js', import.meta.url));
const bareServer = fileURLToPath(new URL('bare-server.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-bench-'));
try {
  const { test } = await loadDataset('mnist');
  const [file = await untrainedModel()] = positionals;
  const servers = {
    'mnist-train serve': [mnistTrain, 'serve', file, '--port', '0', '--threads', '1', '--json'],
    'bare fastify': [bareServer, 'fastify'],
    'bare node:http': [bareServer, 'http'],
  };
  if (pinned) await once(spawn('taskset', ['-a', '-p', '2', String(process.pid)]), 'close');
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const [name, words] of Object.entries(servers)) {
      const server = start(words);
      try {
        await measure({ round, server: name }, await server.listening, test.inputs);
      } finally {
        server.child.kill('SIGTERM');
        await once(server.child, 'close');
      }
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** 784-128-10: what weights it has does not matter to its speed. */
async function untrainedModel() {
  const path = join(folder, 'model.safetensors');
  const layers = [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })];
  await sequential(layers, { inputShape: [28, 28, 1], seed: 1 }).save(path);
  return path;
}

function start(words) {
  const [command, ...rest] = [...(pinned ? ['taskset', '1'] : []), process.execPath, ...words];
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  const listening = once(createInterface(child.stdout), 'line').then(([line]) => JSON.parse(line).url);
  return { child, listening };
}

async function measure(row, url, images) {
  const bodies = Array.from({ length: 100 }, (_, index) =>
    Buffer.from(images.subarray(index * 784, index * 784 + 784)),
  );
  const load = (seconds) => ({
    url: `${url}/predict`,
    connections: Number(values.connections),
    duration: Number(seconds),
    requests: bodies.map((body) => ({ method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body })),
  });
  if (Number(values['warm-up'])) await autocannon(load(values['warm-up']));
  const result = await autocannon(load(values.seconds));
  const { requests, latency, non2xx, errors } = result;
  console.log(
    JSON.stringify({
      ...row,
      requestsPerSecond: Math.round(requests.average),
      p50: latency.p50,
      p99: latency.p99,
      max: latency.max,
      non2xx,
      errors,
      connections: Number(values.connections),
    }),
  );
}
