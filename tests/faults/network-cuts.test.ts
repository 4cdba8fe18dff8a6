import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { downloadDataset, type FailedSource } from '../../src/data/download.js';
import { loadDataset } from '../../src/data/load.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import {
  type Answer,
  type SmallFile,
  serve,
  smallDataset,
  startServer,
  temporaryFolder,
  writeFiles,
} from '../helpers/small-dataset.js';

/**
 * A connection that ends at any byte of a download: afterwards the cache has a file whole or not at all, and the next
 * run brings what is missing.
 */
const small = smallDataset(300, 20);
const [images, labels] = small.files;
const names = small.files.map(({ name }) => name).sort();
const SEED = 17;

/** Places at which to cut `length` bytes: both ends with their neighbours, and random ones between. */
function positions(length: number, count: number): number[] {
  const random = new RandomStream(SEED, RandomPurpose.augment);
  const drawn = Array.from({ length: count }, () => random.below(length));
  const ends = [0, 1, 2, 9, 10, 11, length >> 1, length - 9, length - 8, length - 2, length - 1];
  return [...new Set([...ends, ...drawn])].filter((place) => place < length).sort((a, b) => a - b);
}

/** Hands bytes to the system and then does something to the connection. */
function write(response: ServerResponse, bytes: Uint8Array, then: () => void): void {
  response.flushHeaders();
  if (bytes.length === 0) setImmediate(then);
  else response.write(bytes, then);
}

type Cut = (response: ServerResponse, bytes: Uint8Array, whole: SmallFile) => void;

const cutEncoding: Cut = (response, bytes) => {
  response.writeHead(200, { 'content-encoding': 'gzip' }).end(bytes);
};

/** The line is dead, and nobody says so: the only fault that takes its time. */
const fallSilent: Cut = (response, bytes, { gzip }) => {
  response.writeHead(200, { 'content-length': gzip.length });
  write(response, bytes, () => {});
};

const CUTS: [name: string, cut: Cut, reason: RegExp][] = [
  [
    'closed, with a content-length',
    (response, bytes, { gzip }) => {
      response.writeHead(200, { 'content-length': gzip.length });
      write(response, bytes, () => response.socket?.end());
    },
    /broke off after \d+ bytes/,
  ],
  [
    'reset, with a content-length',
    (response, bytes, { gzip }) => {
      response.writeHead(200, { 'content-length': gzip.length });
      write(response, bytes, () => response.socket?.resetAndDestroy());
    },
    /broke off after \d+ bytes|connection closed by the other side/, // the answer's head may go with the connection
  ],
  [
    'closed within chunks, without a length',
    (response, bytes) => {
      response.writeHead(200);
      write(response, bytes, () => response.socket?.destroy());
    },
    /broke off after \d+ bytes|connection closed by the other side/,
  ],
  [
    'closed where the end of the connection is the end of the file',
    (response, bytes) => {
      response.socket?.write('HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n');
      response.socket?.end(bytes);
    },
    /sent \d+ bytes where \d+ were expected/,
  ],
  [
    'a body whose length says nothing of the cut',
    (response, bytes) => void response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
    /offered \d+ bytes where \d+ were expected/,
  ],
  [
    'a transfer encoding that is cut',
    cutEncoding,
    /sent \d+ bytes where \d+ were expected|broke off after \d+ bytes|wrong checksum/,
  ],
  ['silence', fallSilent, /no byte for 0.1 s/],
];

/** The data set's folder; throws when a file in it is not one of the published, whole. */
function expectWholeFiles(folder: string): string[] {
  const found = existsSync(folder) ? readdirSync(folder).sort() : [];
  for (const name of found) {
    const file = small.files.find((each) => each.name === name);
    expect(file, `${name} in ${folder}`).toBeDefined();
    expect(readFileSync(join(folder, name)).equals(file!.raw), name).toBe(true);
  }
  return found;
}

describe('a download cut off', () => {
  it.each(CUTS)('%s: leaves nothing of the file, and the next run heals', async (_name, cut, reason) => {
    const places = [
      ...positions(images.gzip.length, 24).map((place) => [images, place] as const),
      ...positions(labels.gzip.length, 12).map((place) => [labels, place] as const),
    ];
    expect(places.length).toBeGreaterThan(40);
    let at: readonly [SmallFile, number] | null = null;
    const answer: Answer = (file, request, response) => {
      if (file === at?.[0]) cut(response, file.gzip.subarray(0, at[1]), file);
      else serve(file, request, response);
    };
    const server = await startServer('Only', small.files, answer);
    const entry = small.entry([server.source]);
    for (const place of cut === fallSilent ? places.filter((_, index) => index % 5 === 0) : places) {
      const root = temporaryFolder();
      const [file, position] = place;
      const others = small.files.filter((each) => each !== file);
      const folder = writeFiles(join(root, 'small'), others);
      const where = `${file.name} cut at ${position} of ${file.gzip.length}`;
      at = place;
      const failed: FailedSource[] = [];
      const outcome = downloadDataset(entry, {
        dataDir: root,
        onSourceFailed: (each) => failed.push(each),
        ...(cut === fallSilent && { stallTimeout: 100 }),
      });
      const error = await outcome.catch((error) => error);
      // What inflates on the way may have every byte before the checksum at the end of its encoding.
      if (cut === cutEncoding && position >= file.gzip.length - 9 && failed.length === 0) {
        expect(expectWholeFiles(folder), where).toEqual(names);
        continue;
      }
      expect(error.code, where).toBe('ERR_DOWNLOAD');
      expect(failed, where).toMatchObject([{ reason: expect.stringMatching(reason) }]);
      expect(expectWholeFiles(folder), where).toEqual(others.map(({ name }) => name).sort());

      at = null;
      const { files } = await downloadDataset(entry, { dataDir: root });
      expect(files.find(({ name }) => name === file.name)?.source, where).toMatch(/^Only /);
      expect(expectWholeFiles(folder), where).toEqual(names);
    }
  });

  it('loses nothing of a damaged file in the cache either, and says what is wrong with it until it is healed', async () => {
    const root = temporaryFolder();
    vi.stubEnv('MNIST_TRAIN_DATA', root);
    const folder = writeFiles(join(root, 'small'), small.files);
    const random = new RandomStream(SEED, RandomPurpose.dropout);
    let cutAt = -1;
    const server = await startServer('Only', small.files, (file, request, response) => {
      if (cutAt < 0) return serve(file, request, response);
      response.writeHead(200, { 'content-length': file.gzip.length });
      write(response, file.gzip.subarray(0, cutAt), () => response.socket?.destroy());
    });
    const entry = small.entry([server.source]);
    const path = join(folder, images.name);
    try {
      for (let round = 0; round < 20; round++) {
        // Every other time a bit flips, otherwise the file loses its end.
        const damaged = Buffer.from(images.raw);
        const place = random.below(damaged.length);
        damaged[place] ^= 1 << random.below(8);
        const content = round % 2 === 0 ? damaged : damaged.subarray(0, place);
        writeFileSync(path, content);
        const notices: string[] = [];
        const onNotice = (text: string) => notices.push(text);

        cutAt = random.below(images.gzip.length);
        await expect(loadDataset(entry, { onNotice })).rejects.toMatchObject({ code: 'ERR_DOWNLOAD' });
        expect(readFileSync(path).equals(content)).toBe(true);
        expect(readdirSync(folder).sort()).toEqual(names);

        cutAt = -1;
        const { train } = await loadDataset(entry, { onNotice });
        expect(Buffer.from(train.inputs).equals(images.raw.subarray(16))).toBe(true);
        expect(expectWholeFiles(folder)).toEqual(names);
        expect(notices.filter((text) => text === `${path} is damaged and is replaced.`)).toHaveLength(2);
        expect(notices.at(-1)).toMatch(/^Small is now in .*, from Only /);
      }
    } finally {
      vi.unstubAllEnvs();
    }
  });
});
