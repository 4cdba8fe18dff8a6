/**
 * Trains the same model on the same batches here and in PyTorch, and compares the loss of every step.
 *
 *   npm run build:ts
 *   node tests/golden/compare-pytorch.mjs DATA_DIR [--backend native|js|auto]
 *
 * DATA_DIR holds MNIST's training files, raw or as .gz. PYTHON names another interpreter than python3; it needs PyTorch.
 * Exit status: 0 when all losses are within 1e-4, 1 when not, 2 for wrong usage or without PyTorch.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readIdxFile } from '../../dist/data/idx.js';
import { adam, dense, sequential } from '../../dist/index.js';
import { RandomPurpose, shuffle } from '../../dist/random.js';

const SEED = 42;
const BATCH_SIZE = 128;
const LEARNING_RATE = 1e-3;
const STEPS = 50;

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { backend: { type: 'string', default: 'auto' } },
      allowPositionals: true,
    });
    if (positionals.length === 1) return { dataDirectory: positionals[0], backend: values.backend };
    throw new Error(`Expected one folder, received ${positionals.length}.`);
  } catch (error) {
    console.error(`${error.message}\nUsage: node tests/golden/compare-pytorch.mjs DATA_DIR [--backend native|js|auto]`);
    process.exit(2);
  }
}

/** Reads NAME or NAME.gz; Python gets the path of the same file. */
async function readTrainingFile(directory, name) {
  const raw = join(directory, name);
  const path = existsSync(raw) ? raw : `${raw}.gz`;
  return { path, data: (await readIdxFile(path)).data };
}

/** The order of the first epoch, which `fit` would take with this seed. */
function firstEpochOrder(count) {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  return shuffle(order, SEED, RandomPurpose.shuffle, 0);
}

/** Losses before each step: a fit of one batch as it stands is one step. */
async function trainSteps(model, images, labels, order) {
  const losses = [];
  for (let step = 0; step < STEPS; step++) {
    const batch = [...order.subarray(step * BATCH_SIZE, (step + 1) * BATCH_SIZE)];
    const inputs = new Uint8Array(BATCH_SIZE * 784);
    batch.forEach((sample, row) => {
      inputs.set(images.subarray(sample * 784, (sample + 1) * 784), row * 784);
    });
    const targets = Uint8Array.from(batch, (sample) => labels[sample]);
    const history = await model.fit({ inputs, targets }, { batchSize: BATCH_SIZE, shuffle: false, epochs: 1 });
    losses.push(history.epochs[0].loss);
  }
  return losses;
}

const { dataDirectory, backend } = readArguments();
const images = await readTrainingFile(dataDirectory, 'train-images-idx3-ubyte');
const labels = await readTrainingFile(dataDirectory, 'train-labels-idx1-ubyte');
const model = sequential([dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })], {
  inputShape: [28, 28, 1],
  seed: SEED,
  backend,
});
model.compile({ optimizer: adam({ learningRate: LEARNING_RATE }), loss: 'categoricalCrossentropy' });

const work = await mkdtemp(join(tmpdir(), 'compare-pytorch-'));
try {
  const weights = join(work, 'initial.safetensors');
  await model.save(weights);
  const order = firstEpochOrder(labels.data.length);
  const losses = await trainSteps(model, images.data, labels.data, order);
  const run = {
    weights,
    images: images.path,
    labels: labels.path,
    batchSize: BATCH_SIZE,
    learningRate: LEARNING_RATE,
    order: [...order.subarray(0, STEPS * BATCH_SIZE)],
    losses,
  };
  const runPath = join(work, 'run.json');
  await writeFile(runPath, JSON.stringify(run));
  const { name, isa, threads } = model.backend;
  console.log(`${STEPS} steps on backend ${name} (${isa ?? 'TypeScript'}, threads ${threads}), seed ${SEED}`);
  const script = fileURLToPath(new URL('compare-pytorch.py', import.meta.url));
  const python = spawnSync(process.env.PYTHON ?? 'python3', [script, runPath], { stdio: 'inherit' });
  if (python.error) throw python.error;
  process.exitCode = python.status ?? 1;
} finally {
  model.dispose();
  await rm(work, { recursive: true });
}
