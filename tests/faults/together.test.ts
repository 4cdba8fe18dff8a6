import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { downloadDataset } from '../../src/data/download.js';
import { clockWrongBy, runWork, type WorkResult } from '../helpers/faults.js';
import { serve, smallDataset, startServer, temporaryFolder } from '../helpers/small-dataset.js';

/** Processes that fill one cache at once, with the same clock and with clocks that are days apart. */
const small = smallDataset(300, 20);
const [images] = small.files;

/** Processes that are all in the middle of the first file at the same time. */
async function downloadTogether(clocks: readonly number[]) {
  let waiting: ServerResponse[] = [];
  const server = await startServer('Only', small.files, (file, request, response) => {
    if (file !== images) return serve(file, request, response);
    response.writeHead(200, { 'content-length': file.gzip.length });
    response.write(file.gzip.subarray(0, file.gzip.length >> 1));
    waiting.push(response);
    if (waiting.length < clocks.length) return;
    for (const each of waiting) each.end(file.gzip.subarray(file.gzip.length >> 1));
    waiting = [];
  });
  const entry = join(temporaryFolder(), 'entry.json');
  writeFileSync(entry, JSON.stringify(small.entry([server.source])));
  const root = temporaryFolder();
  const running: Promise<WorkResult>[] = [];
  for (const days of clocks) {
    running.push(runWork(['download', root, entry], clockWrongBy(days)));
    // The next one begins beside what all before it have half-written.
    await vi.waitUntil(() => server.requests.length >= running.length, { timeout: 20_000, interval: 1 });
  }
  const results = await Promise.all(running);
  return { results, folder: join(root, 'small'), requests: server.requests };
}

describe('processes that download at once', () => {
  it.each([
    ['two', [0, 0]],
    ['four', [0, 0, 0, 0]],
    ['four whose clocks are days apart', [0, 400, -400, 3]],
  ])('%s: all end well with whole files', async (_name, clocks) => {
    const { results, folder, requests } = await downloadTogether(clocks);
    for (const result of results) {
      expect(result).toMatchObject({ code: 0, error: null });
      expect(result.notices).toEqual([expect.stringMatching(/^Small is now in .*, from Only /)]);
    }
    expect(readdirSync(folder).sort()).toEqual(small.files.map(({ name }) => name).sort());
    for (const { name, raw } of small.files) expect(readFileSync(join(folder, name)).equals(raw)).toBe(true);
    expect(requests.filter((path) => path.includes(images.name))).toHaveLength(clocks.length);
  });

  it('somebody else removes what is half-written: the next source is asked', async () => {
    const root = temporaryFolder();
    const folder = join(root, 'small');
    const careless = await startServer('Careless', small.files, async (file, _request, response) => {
      response.writeHead(200, { 'content-length': file.gzip.length });
      response.write(file.gzip.subarray(0, file.gzip.length >> 1));
      const parts = () => (existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.part')) : []);
      await vi.waitUntil(() => parts().length > 0, { timeout: 20_000, interval: 1 });
      for (const name of parts()) rmSync(join(folder, name));
      response.end(file.gzip.subarray(file.gzip.length >> 1));
    });
    const good = await startServer('Good', small.files, serve);
    const reasons: string[] = [];
    const { files } = await downloadDataset(small.entry([careless.source, good.source]), {
      dataDir: root,
      onSourceFailed: ({ reason }) => reasons.push(reason),
    });
    expect(reasons).toEqual(Array.from(files, () => 'was removed before it was complete'));
    expect(files.map(({ source }) => source?.split(' ')[0])).toEqual(Array.from(files, () => 'Good'));
    expect(readdirSync(folder).sort()).toEqual(small.files.map(({ name }) => name).sort());
  });
});
