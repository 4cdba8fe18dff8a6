import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { resolveDataDir } from '../../src/data/cache.js';
import { DATASET_NAMES, findCatalogueEntry } from '../../src/data/catalogue.js';
import { loadDataset } from '../../src/data/load.js';
import { dataRoot } from '../../src/data/root.js';
import { encodeIdx } from '../helpers/idx.js';
import { serve, smallDataset, startServer, temporaryFolder, writeFiles } from '../helpers/small-dataset.js';

const small = smallDataset(30, 20);
const [trainImages, trainLabels] = small.files;
const entry = small.entry([]);

afterEach(() => vi.unstubAllEnvs());

/** A folder with the four files, in which a test replaces some. */
function ownFolder(replaced: Record<string, Uint8Array> = {}): string {
  const folder = writeFiles(temporaryFolder(), small.files);
  for (const [name, bytes] of Object.entries(replaced)) writeFileSync(join(folder, name), bytes);
  return folder;
}

describe('the data folder', () => {
  it('is $MNIST_TRAIN_DATA, else the cache folder of the platform', () => {
    vi.stubEnv('MNIST_TRAIN_DATA', 'some/where');
    expect(dataRoot()).toBe(resolve('some/where'));
    vi.stubEnv('MNIST_TRAIN_DATA', '');
    expect(isAbsolute(dataRoot())).toBe(true);
    expect(dataRoot()).toContain('mnist-train');
    expect(dataRoot()).not.toContain('nodejs');
  });

  it('is the named folder when it holds a file itself, under any of the names, else the one in it', async () => {
    const root = temporaryFolder();
    expect(await resolveDataDir(entry, root)).toEqual({ directory: join(root, 'small'), managed: false });
    expect(await resolveDataDir(entry, join(root, 'new'))).toMatchObject({ directory: join(root, 'new', 'small') });
    for (const name of ['t10k-labels-idx1-ubyte', 't10k-labels.idx1-ubyte']) {
      for (const suffix of ['', '.gz']) {
        const folder = temporaryFolder();
        writeFileSync(join(folder, name + suffix), '');
        expect(await resolveDataDir(entry, folder)).toEqual({ directory: folder, managed: false });
      }
    }
    vi.stubEnv('MNIST_TRAIN_DATA', root);
    expect(await resolveDataDir(entry)).toEqual({ directory: join(root, 'small'), managed: true });
  });

  it('is refused when it is a file', async () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    await expect(loadDataset(entry, { dataDir: file })).rejects.toMatchObject({ code: 'ERR_FILE' });
    await expect(loadDataset(entry, { dataDir: file })).rejects.toThrow(/Expected a folder for dataDir/);
  });
});

describe('the catalogue', () => {
  it.each(DATASET_NAMES)('describes %s consistently', (name) => {
    const { files, classNames, imageShape, sources } = findCatalogueEntry(name);
    const pixels = imageShape.reduce((product, size) => product * size);
    expect(files.trainImages.raw.bytes - 16).toBe(pixels * (files.trainLabels.raw.bytes - 8));
    expect(files.testImages.raw.bytes - 16).toBe(pixels * (files.testLabels.raw.bytes - 8));
    expect(new Set(classNames).size).toBe(10);
    const contents = Object.values(files).flatMap(({ raw, gzip }) => [raw, gzip]);
    for (const { algorithm, digest } of contents) {
      expect(digest).toMatch(algorithm === 'sha256' ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{32}$/);
    }
    expect(new Set(contents.map(({ digest }) => digest)).size).toBe(8);
    for (const source of sources) if (source.kind === 'http') expect(source.url).toMatch(/^https:.*\/$/);
  });
});

describe('loadDataset', () => {
  it('returns images, labels, shape and class names', async () => {
    const { train, test } = await loadDataset(entry, { dataDir: ownFolder() });
    expect(train).toMatchObject({ count: 30, shape: [28, 28, 1], classNames: entry.classNames });
    expect(test).toMatchObject({ count: 20, shape: [28, 28, 1], classNames: entry.classNames });
    expect(train.inputs).toEqual(trainImages.raw.subarray(16));
    expect(train.targets).toEqual(trainLabels.raw.subarray(8));
    expect(test.inputs).toHaveLength(20 * 784);
    expect(test.targets[3]).toBe(8);
  });

  it('reads gzipped files and files with a dot in the name', async () => {
    const folder = ownFolder();
    for (const { name, gzip } of small.files) {
      renameSync(join(folder, name), join(folder, name.replace('-idx', '.idx')));
      if (name.startsWith('t10k')) {
        renameSync(join(folder, name.replace('-idx', '.idx')), join(folder, `${name}.gz`));
        writeFileSync(join(folder, `${name}.gz`), gzip);
      }
    }
    const { train, test } = await loadDataset(entry, { dataDir: folder, offline: true });
    expect([train.count, test.count]).toEqual([30, 20]);
  });

  it('downloads what is missing, once', async () => {
    vi.stubEnv('MNIST_TRAIN_DATA', temporaryFolder());
    const server = await startServer('Good', small.files, serve);
    const online = small.entry([server.source]);
    expect((await loadDataset(online)).train.count).toBe(30);
    expect(server.requests).toHaveLength(4);
    expect((await loadDataset(online)).test.count).toBe(20);
    expect(server.requests).toHaveLength(4);
  });

  it.each([{ download: false }, { offline: true }])('does not touch the network with %j', async (options) => {
    const server = await startServer('Good', small.files, serve);
    const promise = loadDataset(small.entry([server.source]), { dataDir: temporaryFolder(), ...options });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_DOWNLOAD' });
    await expect(promise).rejects.toThrow(/missing: train-images-idx3-ubyte, .*--data-dir/);
    expect(server.requests).toEqual([]);
  });

  it('heals a damaged cache and says so; without the network it refuses', async () => {
    const root = temporaryFolder();
    vi.stubEnv('MNIST_TRAIN_DATA', root);
    writeFiles(join(root, 'small'), small.files);
    const path = join(root, 'small', trainImages.name);
    const damaged = Uint8Array.from(trainImages.raw);
    damaged[500] ^= 1; // still IDX: only the checksum tells
    writeFileSync(path, damaged);
    const server = await startServer('Good', small.files, serve);
    const online = small.entry([server.source]);

    await expect(loadDataset(online, { offline: true })).rejects.toMatchObject({ code: 'ERR_CHECKSUM' });
    await expect(loadDataset(online, { download: false })).rejects.toThrow(path);
    const notices: string[] = [];
    const { train } = await loadDataset(online, { onNotice: (message) => notices.push(message) });
    expect(train.inputs).toEqual(trainImages.raw.subarray(16));
    expect(notices).toEqual([
      `${path} is damaged and is replaced.`,
      `Small is now in ${join(root, 'small')}, from Good (${new URL(server.url).host}).`,
    ]);
    expect(server.requests).toHaveLength(1);
    expect(readFileSync(path).equals(trainImages.raw)).toBe(true);
  });

  it("takes a folder's own data of another size and content, with one notice", async () => {
    const folder = ownFolder({
      'train-images-idx3-ubyte': encodeIdx('u8', [3, 28, 28], new Uint8Array(3 * 784).fill(9)),
      'train-labels-idx1-ubyte': gzipSync(encodeIdx('u8', [3], [9, 0, 5])),
    });
    const server = await startServer('Good', small.files, serve);
    const notices: string[] = [];
    const { train, test } = await loadDataset(small.entry([server.source]), {
      dataDir: folder,
      onNotice: (message) => notices.push(message),
    });
    expect(Array.from(train.targets)).toEqual([9, 0, 5]);
    expect(train.inputs).toEqual(new Uint8Array(3 * 784).fill(9));
    expect(test.count).toBe(20);
    expect(notices).toEqual([
      `train-images-idx3-ubyte, train-labels-idx1-ubyte in ${folder}: not as published for Small, used as data of your own.`,
    ]);
    expect(server.requests).toEqual([]);
  });

  it.each<[string, Record<string, Uint8Array>, string, RegExp]>([
    [
      'counts that differ',
      { 'train-labels-idx1-ubyte': encodeIdx('u8', [29], new Uint8Array(29)) },
      'ERR_DATA',
      /Expected 30, one per image of .*train-images.* number of labels in .*train-labels.* received 29/,
    ],
    [
      'a label without a class',
      { 't10k-labels-idx1-ubyte': encodeIdx('u8', [20], new Uint8Array(20).fill(10, 7)) },
      'ERR_DATA',
      /class from 0 to 9 for label 7 of .*t10k-labels-idx1-ubyte, received 10/,
    ],
    [
      'images of another size',
      { 'train-images-idx3-ubyte': encodeIdx('u8', [30, 28, 27], new Uint8Array(30 * 28 * 27)) },
      'ERR_DATA',
      /shape count x 28 x 28 for .*train-images.* received type u8 and shape 30 x 28 x 27/,
    ],
    [
      'images of another type',
      { 'train-images-idx3-ubyte': encodeIdx('i8', [30, 28, 28], new Uint8Array(30 * 784)) },
      'ERR_DATA',
      /received type i8/,
    ],
    [
      'images in the place of labels',
      { 'train-labels-idx1-ubyte': trainImages.raw },
      'ERR_DATA',
      /labels of type u8 and shape count for .*train-labels/,
    ],
    [
      'a file cut off',
      { 'train-images-idx3-ubyte': trainImages.raw.subarray(0, 5000) },
      'ERR_FORMAT',
      /23520 bytes .*train-images-idx3-ubyte, received 4984\. The file is cut off/,
    ],
    [
      'a damaged gzip',
      { 't10k-images-idx3-ubyte': small.files[2].gzip.subarray(0, 300) },
      'ERR_FORMAT',
      /t10k-images-idx3-ubyte: the gzip data are damaged/,
    ],
  ])('refuses %s', async (_name, replaced, code, message) => {
    const server = await startServer('Good', small.files, serve);
    const promise = loadDataset(small.entry([server.source]), { dataDir: ownFolder(replaced) });
    await expect(promise).rejects.toMatchObject({ code });
    await expect(promise).rejects.toThrow(message);
    expect(server.requests).toEqual([]);
  });

  it("does not complete a folder's own data with the published files", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, trainImages.name), encodeIdx('u8', [3, 28, 28], new Uint8Array(3 * 784)));
    const server = await startServer('Good', small.files, serve);
    const promise = loadDataset(small.entry([server.source]), { dataDir: folder });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_DATA' });
    await expect(promise).rejects.toThrow(/lacks train-labels-idx1-ubyte, t10k-images/);
    expect(server.requests).toEqual([]);
  });

  it('completes a folder that holds some of the published files', async () => {
    const folder = writeFiles(temporaryFolder(), small.files.slice(1));
    const server = await startServer('Good', small.files, serve);
    expect((await loadDataset(small.entry([server.source]), { dataDir: folder })).train.count).toBe(30);
    expect(server.requests).toEqual([`/${trainImages.name}.gz`]);
    expect(existsSync(join(folder, trainImages.name))).toBe(true);
  });

  it('stops when aborted', async () => {
    const folder = ownFolder();
    const promise = loadDataset(entry, { dataDir: folder, signal: AbortSignal.abort() });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED' });
  });

  it('refuses unknown names and folders that are no names', async () => {
    for (const name of ['mnits', '', 'MNIST']) {
      await expect(loadDataset(name)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
      await expect(loadDataset(name)).rejects.toThrow('one of mnist, fashion-mnist');
    }
    await expect(loadDataset(null as unknown as string)).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
    await expect(loadDataset(entry, { dataDir: '' })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' });
  });

  it('does not take a folder for a file', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, trainImages.name));
    await expect(loadDataset(entry, { dataDir: folder, offline: true })).rejects.toMatchObject({
      code: 'ERR_DOWNLOAD',
    });
  });
});
