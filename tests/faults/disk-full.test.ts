import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create } from 'tar';
import { describe, expect, it } from 'vitest';
import type { CatalogueEntry } from '../../src/data/catalogue.js';
import { downloadDataset } from '../../src/data/download.js';
import { dense, readCheckpoint, sequential } from '../../src/index.js';
import { IS_ROOT_ON_LINUX, limitedTo, mountDisk, occupy, runWork, type WorkResult } from '../helpers/faults.js';
import { serve, smallDataset, startServer, temporaryFolder } from '../helpers/small-dataset.js';
import { runOf } from '../helpers/tfevents.js';

/**
 * Disks on which there is no more room, at every stage of writing: what was there stays whole, nothing half-written is
 * left, the error says what to do, and with room the same work succeeds.
 */
const FULL = /: the disk is full\. Free some space or choose another place\.$/;
const TOO_LARGE =
  /: it would be larger than the system allows\. Raise the limit \(ulimit -f\) or choose another place\.$/;

function expectError({ code, error }: WorkResult, path: string, reason: RegExp): void {
  expect(error?.code).toBe('ERR_FILE');
  expect(error?.message).toContain(`Could not write ${path}`);
  expect(error?.message).toMatch(reason);
  expect(code).toBe(1);
}

describe('a download', () => {
  const small = smallDataset(300, 100);
  const names = small.files.map(({ name }) => name).sort();

  /** Whole files only; how many there are. */
  function countWhole(folder: string): number {
    const found = existsSync(folder) ? readdirSync(folder) : [];
    for (const name of found) {
      const file = small.files.find((each) => each.name === name);
      expect(file, name).toBeDefined();
      expect(readFileSync(join(folder, name)).equals(file!.raw)).toBe(true);
    }
    return found.length;
  }

  /** A file that describes a data set to another process. */
  function saved(entry: CatalogueEntry): string {
    const path = join(temporaryFolder(), 'entry.json');
    writeFileSync(path, JSON.stringify(entry));
    return path;
  }

  const prepare = async () => small.entry([(await startServer('Only', small.files, serve)).source]);

  // In KiB: nothing at all, no room for what the first .gz inflates to, for the second file.
  describe.runIf(IS_ROOT_ON_LINUX)('on a file system without room', () => {
    it.each([
      [0, 0],
      [100, 0],
      [236, 1],
    ])('of %i KiB', async (free, whole) => {
      const entry = await prepare();
      const { folder } = mountDisk(1024);
      const leave = occupy(folder, 1024 - free);
      const refused = await runWork(['download', folder, saved(entry)]);
      expectError(refused, join(folder, 'small'), FULL);
      expect(refused.notices).toEqual([]); // no source is to blame
      expect(countWhole(join(folder, 'small'))).toBe(whole);
      leave();
      await downloadDataset(entry, { dataDir: folder });
      expect(countWhole(join(folder, 'small'))).toBe(names.length);
    });

    it('of one more name', async () => {
      const entry = await prepare();
      const { folder } = mountDisk(1024, ',nr_inodes=3'); // itself, the data set's folder, one file
      expectError(await runWork(['download', folder, saved(entry)]), join(folder, 'small'), FULL);
      expect(readdirSync(join(folder, 'small'))).toEqual([]);
    });

    it('for what npm brings', async () => {
      const { folder } = mountDisk(64);
      const archive = join(temporaryFolder(), 'package.tgz');
      const npm = { kind: 'npm' as const, package: 'small', version: '1.0.0', folder: 'package/data' };
      const entry = small.entry([npm]);
      const source = temporaryFolder();
      mkdirSync(join(source, 'package', 'data'), { recursive: true });
      for (const { name, raw } of small.files) writeFileSync(join(source, 'package', 'data', name), raw);
      await create({ gzip: true, file: archive, cwd: source }, ['package']);
      const script = `const to = process.argv.find((word) => word.startsWith('--pack-destination=')).split('=')[1];
        require('node:fs').copyFileSync(${JSON.stringify(archive)}, to + '/small-1.0.0.tgz');`;
      const npmCommand = [process.execPath, '-e', script, '--'];
      const cache = temporaryFolder();
      const env = { TMPDIR: folder, NPM_COMMAND: JSON.stringify(npmCommand) };
      expectError(await runWork(['download', cache, saved(entry)], { env }), folder, FULL);
      expect(readdirSync(folder)).toEqual([]);
      await downloadDataset(entry, { dataDir: cache, npmCommand });
      expect(countWhole(join(cache, 'small'))).toBe(names.length);
    });
  });

  it.each([1, 229])('whose files may be %i KiB large at most', async (limit) => {
    const entry = await prepare();
    const folder = temporaryFolder();
    const refused = await runWork(['download', folder, saved(entry)], { under: limitedTo(limit) });
    expectError(refused, join(folder, 'small', names[2]), TOO_LARGE);
    expect(countWhole(join(folder, 'small'))).toBe(0);
    await downloadDataset(entry, { dataDir: folder });
    expect(countWhole(join(folder, 'small'))).toBe(names.length);
  });
});

describe('model.save', () => {
  const OLD = 'what was there before';

  async function expectKept(folder: string, path: string, work: () => Promise<WorkResult>, reason: RegExp) {
    writeFileSync(path, OLD);
    const before = readdirSync(folder);
    expectError(await work(), path, reason);
    expect(readdirSync(folder)).toEqual(before);
    expect(readFileSync(path, 'utf8')).toBe(OLD);
  }

  it.runIf(IS_ROOT_ON_LINUX).each([4, 396])('on a file system with %i KiB left', async (free) => {
    const { folder } = mountDisk(512);
    const path = join(folder, 'model.safetensors');
    const leave = occupy(folder, 512 - free);
    await expectKept(folder, path, () => runWork(['save', path, '1']), FULL);
    leave();
    await sequential([dense({ units: 128 })], { inputShape: [784], seed: 1 }).save(path);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  it.each([0, 200])('of files that may be %i KiB large at most', async (limit) => {
    const folder = temporaryFolder();
    const path = join(folder, 'model.safetensors');
    await expectKept(folder, path, () => runWork(['save', path, '1'], { under: limitedTo(limit) }), TOO_LARGE);
  });
});

describe('a training whose disk fills up after the third of six epochs', () => {
  /** What a piece of work writes, and how many of its epochs or files stand there whole. */
  const WORK = {
    csv: (folder: string) => readFileSync(join(folder, 'log.csv'), 'utf8').trimEnd().split('\n').length - 1,
    jsonl: (folder: string) =>
      readFileSync(join(folder, 'log.jsonl'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)).length,
    models: (folder: string) => readdirSync(folder).filter((name) => name.startsWith('model-')).length,
  };

  it.runIf(IS_ROOT_ON_LINUX).each(Object.entries(WORK))('%s: keeps what it has', async (what, count) => {
    const { folder } = mountDisk(512);
    const path = join(folder, 'work');
    mkdirSync(path);
    expectError(await runWork(['train', what, path], { env: { FILL: join(folder, 'fill') } }), path, FULL);
    expect(readdirSync(path).filter((name) => name.endsWith('.part'))).toEqual([]);
    expect(count(path)).toBe(3);
  });

  it.runIf(IS_ROOT_ON_LINUX)('checkpoint: goes on from the newest one when there is room', async () => {
    const { folder } = mountDisk(1024);
    const path = join(folder, 'work');
    expectError(await runWork(['train', 'checkpoint', path], { env: { FILL: join(folder, 'fill') } }), path, FULL);
    const newest = await readCheckpoint(path, { onWarning: (text) => expect.unreachable(text) });
    expect(newest?.step).toBeGreaterThanOrEqual(4);
    expect(readdirSync(path).filter((name) => name.endsWith('.part'))).toEqual([]);
    rmSync(join(folder, 'fill'));
    const resumed = await runWork(['train', 'checkpoint', path]);
    expect(resumed).toMatchObject({ error: null, notices: [] });
    expect((await readCheckpoint(path))?.epochs).toBe(6);
  });

  it('tensorboard: keeps whole records', async () => {
    const path = temporaryFolder();
    const refused = await runWork(['train', 'tensorboard', path], { under: limitedTo(0.5) });
    expectError(refused, join(path, 'train'), TOO_LARGE);
    const steps = runOf(path, 'train').map(([step]) => step);
    expect(steps.length).toBeGreaterThan(0);
    expect(steps).toEqual(steps.map((_, index) => index + 1));
  });
});
