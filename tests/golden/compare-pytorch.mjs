/**
 * Trains the same model on the same batches here and in PyTorch, and compares the losses.
 *
 *   npm run build:ts
 *   node tests/golden/compare-pytorch.mjs DATA_DIR [--network 784-128-10|lenet5] [--epochs N] [--backend native|js|auto]
 *
 * Without --epochs it compares the loss of each of 50 steps, with it the mean loss of each of N epochs: roundings grow
 * apart over a thousand steps (lenet5: 0.3 % of the loss in the second epoch).
 *
 * DATA_DIR holds MNIST's training files, raw or as .gz. PYTHON names another interpreter than python3; it needs PyTorch.
 * Exit status: 0 when all losses are within the limit (1e-4 of a step, 2 % of an epoch's loss), 1 when not, 2 for
 * wrong usage or without PyTorch.
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { readIdxFile } from '../../build-ts/data/idx.js';
import { adam, conv2d, dense, maxPooling2d, sequential } from '../../build-ts/index.js';
import { RandomPurpose, shuffle } from '../../build-ts/random.js';

const SEED = 42;
const BATCH_SIZE = 128;
const LEARNING_RATE = 1e-3;
const STEPS = 50;

const NETWORKS = {
  '784-128-10': [dense({ units: 128, activation: 'relu' }), dense({ units: 10, activation: 'softmax' })],
  lenet5: [
    conv2d({ filters: 6, kernelSize: 5, padding: 'same', activation: 'relu' }),
    maxPooling2d(),
    conv2d({ filters: 16, kernelSize: 5, activation: 'relu' }),
    maxPooling2d(),
    dense({ units: 120, activation: 'relu' }),
    dense({ units: 84, activation: 'relu' }),
    dense({ units: 10, activation: 'softmax' }),
  ],
};

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        network: { type: 'string', default: '784-128-10' },
        epochs: { type: 'string', default: '0' },
        backend: { type: 'string', default: 'auto' },
      },
      allowPositionals: true,
    });
    if (positionals.length !== 1) throw new Error(`Expected one folder, received ${positionals.length}.`);
    if (!Object.hasOwn(NETWORKS, values.network)) {
      throw new Error(`Expected one of ${Object.keys(NETWORKS).join(', ')} for --network, received ${values.network}.`);
    }
    const epochs = Number(values.epochs);
    if (!(Number.isInteger(epochs) && epochs >= 0)) {
      throw new Error(`Expected a whole number for --epochs, received ${values.epochs}.`);
    }
    return { dataDirectory: positionals[0], layers: NETWORKS[values.network], epochs, backend: values.backend };
  } catch (error) {
    console.error(`${error.message}\nUsage: see the head of tests/golden/compare-pytorch.mjs`);
    process.exit(2);
  }
}

/** Reads NAME or NAME.gz; Python gets the path of the same file. */
async function readTrainingFile(directory, name) {
  const raw = join(directory, name);
  const path = existsSync(raw) ? raw : `${raw}.gz`;
  return { path, data: (await readIdxFile(path)).data };
}

/** The order in which `fit` takes the samples of an epoch, counted from 0, with this seed. */
function epochOrder(count, epoch) {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  return shuffle(order, SEED, RandomPurpose.shuffle, epoch);
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

async function trainEpochs(model, inputs, targets, epochs) {
  const history = await model.fit({ inputs, targets }, { batchSize: BATCH_SIZE, epochs });
  return history.epochs.map(({ loss }) => loss);
}

const { dataDirectory, layers, epochs, backend } = readArguments();
const images = await readTrainingFile(dataDirectory, 'train-images-idx3-ubyte');
const labels = await readTrainingFile(dataDirectory, 'train-labels-idx1-ubyte');
const model = sequential(layers, { inputShape: [28, 28, 1], seed: SEED, backend });
model.compile({ optimizer: adam({ learningRate: LEARNING_RATE }), loss: 'categoricalCrossentropy' });

const work = await mkdtemp(join(tmpdir(), 'compare-pytorch-'));
try {
  const weights = join(work, 'initial.safetensors');
  await model.save(weights);
  const count = labels.data.length;
  const orders =
    epochs > 0
      ? Array.from({ length: epochs }, (_, epoch) => epochOrder(count, epoch))
      : [epochOrder(count, 0).subarray(0, STEPS * BATCH_SIZE)];
  const losses =
    epochs > 0
      ? await trainEpochs(model, images.data, labels.data, epochs)
      : await trainSteps(model, images.data, labels.data, orders[0]);
  const run = {
    layers: model.toConfig().layers,
    weights,
    images: images.path,
    labels: labels.path,
    batchSize: BATCH_SIZE,
    learningRate: LEARNING_RATE,
    orders: orders.map((order) => [...order]),
    per: epochs > 0 ? 'epoch' : 'step',
    losses,
  };
  const runPath = join(work, 'run.json');
  await writeFile(runPath, JSON.stringify(run));
  const { name, isa, threads } = model.backend;
  const length = epochs > 0 ? `${epochs} epochs` : `${STEPS} steps`;
  console.log(`${length} on backend ${name} (${isa ?? 'TypeScript'}, threads ${threads}), seed ${SEED}`);
  const script = fileURLToPath(new URL('compare-pytorch.py', import.meta.url));
  const python = spawnSync(process.env.PYTHON ?? 'python3', [script, runPath], { stdio: 'inherit' });
  if (python.error) throw python.error;
  process.exitCode = python.status ?? 1;
} finally {
  model.dispose();
  await rm(work, { recursive: true });
}
