import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.js';
import {
  averagePooling2d,
  batchNormalization,
  conv2d,
  dense,
  dropout,
  globalAveragePooling2d,
  type Layer,
  loadModel,
  maxPooling2d,
  residual,
  sequential,
} from '../../src/index.js';
import { atOnce } from '../../src/pieces.js';
import { allocatedBy } from './helpers/allocation.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { changedJson } from './helpers/json.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

const folder = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'some.safetensors');

const NETWORKS: Layer[][] = [
  [
    dense({ units: 2, activation: 'leakyRelu', kernelRegularizer: { l2: 0.1 } }),
    dense({ units: 3, activation: 'softmax' }),
  ],
  [
    conv2d({ filters: 2, kernelSize: 2, padding: 'same', strides: [1, 2] }),
    batchNormalization(),
    maxPooling2d({ poolSize: 2, padding: 'same' }),
    dropout({ rate: 0.5 }),
    dense({ units: 2 }),
  ],
  [
    residual({ layers: [conv2d({ filters: 1, kernelSize: 3, padding: 'same' })] }),
    averagePooling2d({ poolSize: 2 }),
    globalAveragePooling2d(),
    dense({ units: 1, kernelConstraint: { maxNorm: 2 }, kernelInitializer: { constant: 1 } }),
  ],
];
const ARCHITECTURE = 'mnist_train.model';

interface ModelFile {
  bytes: Uint8Array;
  architecture: unknown;
  tensors: { name: string; shape: readonly number[]; data: Float32Array }[];
}
const files: ModelFile[] = [];
beforeAll(async () => {
  for (const layers of NETWORKS) {
    const model = sequential(layers, { inputShape: [4, 4, 1], seed: 3, backend: 'js', name: 'some' });
    await model.save(path);
    const bytes = readFileSync(path);
    const { tensors, metadata } = atOnce(decodeSafetensors(bytes, path));
    files.push({
      bytes,
      architecture: JSON.parse(metadata[ARCHITECTURE]),
      tensors: [...tensors].map(([name, { shape, data }]) => ({ name, shape, data })),
    });
  }
});

/** A model that is loaded can be used, and is saved as the same one. */
async function check(bytes: Uint8Array): Promise<Verdict> {
  writeFileSync(path, bytes);
  const { value: outcome, bytes: allocated } = await allocatedBy(() =>
    outcomeOf(() => loadModel(path, { backend: 'js' }), { codes: ['ERR_FORMAT'], source: path }),
  );
  expect(allocated).toBeLessThanOrEqual(16 * bytes.length + 2 ** 16);
  if ('refused' in outcome) return 'refused';
  const model = outcome.value;
  const size = model.inputShape.reduce((product, dimension) => product * dimension, 1);
  expect(model.countParameters()).toBeLessThanOrEqual(bytes.length / 4);
  const again = join(folder, 'again.safetensors');
  await model.save(again);
  const other = await loadModel(again, { backend: 'js' });
  expect(other.weightsSha256()).toBe(model.weightsSha256());
  if (size <= 4096) {
    const input = new Float32Array(size).fill(0.5);
    const outputs = await outcomeOf(() => model.predictSync(input), { codes: ['ERR_SHAPE', 'ERR_ARGUMENT'] });
    if ('value' in outputs) expect(other.predictSync(input)).toEqual(outputs.value);
  }
  model.dispose();
  other.dispose();
  return 'accepted';
}

const fileOf = (text: string, { tensors }: ModelFile) =>
  atOnce(encodeSafetensors(tensors, { format: 'pt', [ARCHITECTURE]: text }));

describe('model files', () => {
  fuzz(
    'model-file',
    fc.constant(null).chain(() => mutated(files.map(({ bytes }) => bytes))),
    ({ bytes }) => check(bytes),
  );
  fuzz(
    'model-architecture',
    fc.nat(NETWORKS.length - 1).chain((index) =>
      fc.tuple(
        changedJson(() => [files[index].architecture]),
        fc.constant(index),
      ),
    ),
    ([architecture, index]) => check(fileOf(JSON.stringify(architecture), files[index])),
    { runs: 300 },
  );

  it.each([
    ['no JSON', '{"formatVersion":'],
    ['layers within layers without end', nested(100_000)],
    ['a layer of two thousand million outputs', architectureOf({ type: 'dense', units: 2 ** 31 - 1 })],
    ['twenty thousand layers', architectureOf(...Array.from({ length: 20_000 }, () => ({ type: 'dense', units: 1 })))],
  ])('refuses an architecture of %s', async (_, text) => {
    expect(await check(fileOf(text, files[0]))).toBe('refused');
  });
});

function architectureOf(...layers: object[]): string {
  return JSON.stringify({ formatVersion: 1, name: 'some', seed: 1, inputShape: [1], layers });
}

function nested(depth: number): string {
  const inner = `${'{"type":"residual","layers":['.repeat(depth)}{"type":"dense","units":1}${']}'.repeat(depth)}`;
  return `{"formatVersion":1,"name":"some","seed":1,"inputShape":[1],"layers":[${inner}]}`;
}
