import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Run } from '../../src/cli/context.js';
import { createProgram } from '../../src/cli/program.js';
import type { CatalogueEntry } from '../../src/data/catalogue.js';
import { eventsOf } from '../helpers/cli-run.js';
import { serve, smallDataset, startServer, temporaryFolder } from '../helpers/small-dataset.js';

/**
 * Downloads that succeed. The digests in the catalogue are those of the real files, which no test can serve, so the
 * commands run in this process, with a small data set in the catalogue's place.
 */
const catalogue = vi.hoisted(() => ({ entry: null as CatalogueEntry | null }));
vi.mock('../../src/data/catalogue.js', async (importActual) => ({
  ...(await importActual<object>()),
  findCatalogueEntry: () => catalogue.entry,
}));

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const small = smallDataset();
let before: Map<NodeJS.Signals, unknown[]>;

beforeEach(() => {
  before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  for (const signal of SIGNALS) {
    for (const listener of process.listeners(signal)) {
      if (!before.get(signal)?.includes(listener)) process.off(signal, listener);
    }
  }
});

async function run(words: string[]): Promise<{ stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      output[name] += text;
      return true;
    });
  }
  const program = await createProgram(new Run(), '0.0.0', words);
  await program.parseAsync(words, { from: 'user' });
  vi.restoreAllMocks();
  return output;
}

describe('download from a server that delivers', () => {
  it('stores every file, says where from, and asks nobody the next time', async () => {
    const server = await startServer('Unused', small.files, serve);
    catalogue.entry = small.entry([]);
    const folder = temporaryFolder();
    const words = ['download', 'mnist', '--mirror', server.url, '--data-dir', folder, '--json'];
    const first = await run(words);
    const source = `mirror (${new URL(server.url).host})`;
    const directory = join(folder, 'small');
    const files = small.files.map(({ name }) => ({ name, path: join(directory, name), source }));
    expect(eventsOf(first)).toEqual([{ event: 'downloaded', dataset: 'small', directory, files }]);
    expect(first.stderr).toBe(`small is complete in ${directory}, from ${source}.\n`);
    for (const { name, raw } of small.files) expect(readFileSync(join(directory, name)).equals(raw)).toBe(true);

    const second = await run(words);
    const there = files.map((file) => ({ ...file, source: null }));
    expect(eventsOf(second)).toEqual([{ event: 'downloaded', dataset: 'small', directory, files: there }]);
    expect(second.stderr).toBe(`small is complete in ${directory}; nothing to fetch.\n`);
    expect(server.requests).toHaveLength(4);
  });

  it('train fetches what is missing, says where it went, and trains on it', async () => {
    const server = await startServer('Good', small.files, serve);
    catalogue.entry = small.entry([server.source]);
    const folder = temporaryFolder();
    vi.stubEnv('MNIST_TRAIN_DATA', folder);
    const out = join(folder, 'model.safetensors');
    const result = await run(['train', '--epochs', '1', '--backend', 'js', '--out', out, '--json']);
    const [start, , done] = eventsOf(result);
    expect(start).toMatchObject({ event: 'start', trainCount: 30, testCount: 20 });
    expect(done).toMatchObject({ event: 'done', model: out });
    const host = new URL(server.url).host;
    expect(result.stderr).toContain(`Small is now in ${join(folder, 'small')}, from Good (${host}).\n`);
  });
});
