import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeSafetensors, encodeSafetensors } from '../../src/formats/safetensors.js';
import { dense, loadModel, sequential, sgd } from '../../src/index.js';
import { atOnce } from '../../src/pieces.js';
import { backend, backendWith, classifier, failure, separable } from '../helpers/toy.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mnist-train-save-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const path = (name: string) => join(folder, `${name}.safetensors`);

describe('save and loadModel', () => {
  it('restore a model to the bit', async () => {
    const classNames = ['a', 'b', 'c'];
    const model = classifier({ seed: 9 });
    await model.fit({ ...separable(50), classNames });
    await model.save(path('whole'), { metadata: { author: 'somebody' } });

    const loaded = await loadModel(path('whole'), { backend });
    expect(loaded.weightsSha256()).toBe(model.weightsSha256());
    expect(loaded.toConfig()).toEqual(model.toConfig());
    expect(loaded.classNames).toEqual(classNames);
    expect(loaded.metadata).toEqual({ author: 'somebody' });
    expect(loaded.seed).toBe(9);
    const data = separable(20);
    expect(await loaded.predict(data)).toEqual(await model.predict(data));
    expect(loaded.predictSync(data)).toEqual(model.predictSync(data));
  });

  it('a loaded model trains on, and keeps its metadata when it is saved again', async () => {
    await classifier().save(path('first'), { metadata: { author: 'somebody', note: 'one' } });
    const loaded = await loadModel(path('first'), { backend });
    loaded.compile({ optimizer: sgd({ learningRate: 0.5 }), loss: 'categoricalCrossentropy' });
    await loaded.fit(separable(50));
    await loaded.save(path('second'), { metadata: { note: 'two' } });
    const again = await loadModel(path('second'), { backend });
    expect(again.metadata).toEqual({ author: 'somebody', note: 'two' });
    expect(again.weightsSha256()).toBe(loaded.weightsSha256());
  });

  it('files hold weights as PyTorch does: <layer>.weight as [out, in]', async () => {
    const model = sequential([dense({ units: 2 }), dense({ units: 1, useBias: false })], { inputShape: [3] });
    model.setWeights([Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(7, 8), Float32Array.of(9, 10)]);
    await model.save(path('layout'));
    const { tensors, metadata } = atOnce(decodeSafetensors(await readFile(path('layout')), 'layout'));
    const plain = [...tensors].map(([name, { shape, data }]) => [name, shape, [...data]]);
    expect(plain.toSorted()).toEqual([
      ['0.bias', [2], [7, 8]],
      ['0.weight', [2, 3], [1, 3, 5, 2, 4, 6]],
      ['1.weight', [1, 2], [9, 10]],
    ]);
    expect(metadata.format).toBe('pt');
    expect(JSON.parse(metadata['mnist_train.model'])).toEqual(JSON.parse(JSON.stringify(model.toConfig())));
  });

  it('files of the first version load: without options that came later', async () => {
    const layer = '{"type":"dense","units":2,"activation":"linear","useBias":true,"kernelInitializer":"glorotUniform"}';
    const architecture = `{"formatVersion":1,"name":"first","inputShape":[3],"seed":7,"layers":[${layer}]}`;
    const contents = [
      { name: '0.weight', shape: [2, 3], data: Float32Array.of(1, 3, 5, 2, 4, 6) },
      { name: '0.bias', shape: [2], data: Float32Array.of(7, 8) },
    ];
    await writeFile(path('first version'), atOnce(encodeSafetensors(contents, { 'mnist_train.model': architecture })));
    const model = await loadModel(path('first version'), { backend });
    expect(model.getWeights()).toEqual([Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(7, 8)]);
    expect(JSON.stringify(model.toConfig())).toBe(architecture);
  });

  it('save during a fit writes the weights of a whole epoch', async () => {
    const model = classifier();
    const hashes = new Set<string>();
    const running = model.fit(separable(200), {
      epochs: 3,
      onEpochEnd: () => {
        hashes.add(model.weightsSha256());
      },
    });
    await model.save(path('during'));
    await running;
    hashes.add(classifier().weightsSha256());
    expect(hashes).toContain((await loadModel(path('during'))).weightsSha256());
  });

  it.each<[unknown, unknown, RegExp]>([
    ['', {}, /a file name for path, received ""/],
    [3, {}, /a file name for path/],
    ['x', { metadata: { count: 3 } }, /text for metadata\.count, received 3/],
    ['x', { metadata: { format: 'np' } }, /"format".*used by mnist-train/],
    ['x', { metadata: { 'mnist_train.model': '' } }, /"mnist_train\.model"/],
    ['x', { metadata: 'text' }, /for metadata/],
    ['x', { overwrite: true }, /"overwrite"/],
  ])('save(%j, %j) is refused', async (file, options, message) => {
    await expect(classifier().save(file as never, options as never)).rejects.toEqual(failure('ERR_ARGUMENT', message));
  });

  it('a model that diverged is not written', async () => {
    const diverged = backendWith((session) => {
      const { read } = session;
      session.read = function* (name) {
        return (yield* read.call(session, name)).fill(name === '0.weight' ? Number.NaN : 0);
      };
    });
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend: diverged });
    model.predictSync([1]);
    await expect(model.save(path('diverged'))).rejects.toEqual(
      failure('ERR_NON_FINITE', /0\.weight.*nothing was written/),
    );
    expect(await readdir(folder)).not.toContain('diverged.safetensors');
  });

  it('failures of the system name the file', async () => {
    await expect(classifier().save(join(folder, 'missing', 'x'))).rejects.toEqual(failure('ERR_FILE', /missing/));
    await expect(loadModel(path('absent'))).rejects.toEqual(failure('ERR_FILE', /absent\.safetensors/));
    await expect(loadModel(path('absent'), { device: 'js' } as never)).rejects.toEqual(
      failure('ERR_ARGUMENT', /"device"/),
    );
  });
});

describe('damaged files', () => {
  type Tensor = Parameters<typeof encodeSafetensors>[0][number];
  const config = sequential([dense({ units: 2 })], { inputShape: [3] }).toConfig();
  const tensors: Tensor[] = [
    { name: '0.weight', shape: [2, 3], data: new Float32Array(6) },
    { name: '0.bias', shape: [2], data: new Float32Array(2) },
  ];
  const changed = (changes: object) => JSON.stringify({ ...config, ...changes });

  it.each<[string, readonly Tensor[], string | null, RegExp]>([
    ['no architecture', tensors, null, /found none.*model\.save/],
    ['no JSON', tensors, '{', /architecture.*not valid/],
    ['not an object', tensors, '[]', /an object/],
    ['a newer format', tensors, changed({ formatVersion: 2 }), /formatVersion.*received 2/],
    ['an unknown field', tensors, changed({ optimizer: 'adam' }), /"optimizer"/],
    ['no layers', tensors, changed({ layers: undefined }), /a list for layers, received undefined/],
    ['an unknown layer', tensors, changed({ layers: [{ type: 'lambda' }] }), /type of a layer, received "lambda"/],
    ['an unknown option', tensors, changed({ layers: [{ type: 'dense', units: 2, rate: 1 }] }), /"rate"/],
    ['a wrong option', tensors, changed({ layers: [{ type: 'dense', units: -2 }] }), /for units, received -2/],
    ['a wrong seed', tensors, changed({ seed: 'x' }), /for seed/],
    ['a wrong name', tensors, changed({ name: 5 }), /for name/],
    ['wrong class names', tensors, changed({ classNames: ['a'] }), /2 words/],
    [
      'huge layers',
      tensors,
      changed({ layers: [{ type: 'dense', units: 6e8 }] }),
      /F32 \[600000000, 3\] for tensor 0\.weight/,
    ],
    [
      'a shape turned over',
      [{ ...tensors[0], shape: [3, 2] }, tensors[1]],
      changed({}),
      /F32 \[2, 3\] for tensor 0\.weight, received F32 \[3, 2\]/,
    ],
    ['a missing tensor', [tensors[0]], changed({}), /tensor 0\.bias, found no such tensor/],
    ['a tensor too many', [...tensors, { ...tensors[1], name: '1.bias' }], changed({}), /received tensor "1\.bias"/],
    [
      'a number not finite',
      [tensors[0], { ...tensors[1], data: Float32Array.of(0, Infinity) }],
      changed({}),
      /tensor 0\.bias, received Infinity at element 1/,
    ],
  ])('%s: refused with the name of the file', async (name, contents, architecture, message) => {
    const file = path(`damaged ${name}`);
    await writeFile(
      file,
      atOnce(encodeSafetensors(contents, architecture === null ? {} : { 'mnist_train.model': architecture })),
    );
    const named = new RegExp(`${name}\\.safetensors.*${message.source}`);
    await expect(loadModel(file)).rejects.toEqual(failure('ERR_FORMAT', named));
  });

  it('other element types are refused', async () => {
    const bytes = Buffer.from(atOnce(encodeSafetensors(tensors, { 'mnist_train.model': changed({}) })));
    const text = bytes.toString('latin1').replaceAll('"dtype":"F32"', '"dtype":"I32"');
    await writeFile(path('integers'), Buffer.from(text, 'latin1'));
    await expect(loadModel(path('integers'))).rejects.toEqual(failure('ERR_FORMAT', /integers\.safetensors/));
  });
});
