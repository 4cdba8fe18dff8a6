import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { dense, loadModel, readCheckpoint, sequential } from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { runWork, startWork } from '../helpers/faults.js';
import { serve, smallDataset, startServer, temporaryFolder } from '../helpers/small-dataset.js';

/**
 * Processes that are killed while they write: a file is the old one or the new one, whole, and the next who writes it takes
 * away what was left. `tests/embedding` kills trainings and compares the weights that they end with.
 */
const KILLS = 6;
/** A busy machine may let none of them come while a file is written: then there are more. */
const goesOn = (kill: number, torn: number) => kill < KILLS || (torn === 0 && kill < 10 * KILLS);
const random = new RandomStream(23, RandomPurpose.augment);
const partsIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.part'));
const sizesOfParts = (folder: string) =>
  partsIn(folder).map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size);

async function killAfter(args: string[], begun: () => boolean, milliseconds: number): Promise<void> {
  const { child, ended } = startWork(args, { env: { EPOCHS: '100000', HIDDEN: '400' } });
  await vi.waitUntil(begun, { timeout: 50_000, interval: 1 });
  await delay(milliseconds);
  child.kill('SIGKILL');
  expect((await ended).signal).toBe('SIGKILL');
}

describe('a process killed', { timeout: 180_000 }, () => {
  it(`${KILLS} times while it saves a model`, async () => {
    const folder = temporaryFolder();
    const path = join(folder, 'model.safetensors');
    const models = [1, 2].map((seed) =>
      sequential([dense({ units: 1024 }), dense({ units: 10, activation: 'softmax' })], { inputShape: [784], seed }),
    );
    const digests = models.map((model) => model.weightsSha256());
    let torn = 0;
    for (let kill = 0; goesOn(kill, torn); kill++) {
      const before = existsSync(path) ? statSync(path).mtimeMs : 0;
      await killAfter(
        ['saveForEver', path],
        () => existsSync(path) && statSync(path).mtimeMs !== before,
        random.below(100),
      );
      expect(digests).toContain((await loadModel(path)).weightsSha256());
      torn += partsIn(folder).length;
      expect(partsIn(folder).length).toBeLessThanOrEqual(1); // each removes what the one before left
    }
    expect(torn).toBeGreaterThan(0); // or no kill came while a file was written
    await models[0].save(path);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  it(`${KILLS} times at bytes of a download, and after the last`, async () => {
    const small = smallDataset(300, 20);
    const [images] = small.files;
    let cutAt = 0;
    const server = await startServer('Only', small.files, (file, request, response) => {
      if (file !== images) return serve(file, request, response);
      response.writeHead(200, { 'content-length': file.gzip.length });
      response.write(file.gzip.subarray(0, cutAt));
      if (cutAt === file.gzip.length) response.end();
    });
    const entry = join(temporaryFolder(), 'entry.json');
    writeFileSync(entry, JSON.stringify(small.entry([server.source])));
    const root = temporaryFolder();
    const folder = join(root, 'small');
    let torn = 0;
    for (let kill = 0; goesOn(kill, torn); kill++) {
      // Behind the last byte are inflating, flushing and renaming: every third time, a moment of those.
      const complete = kill % 3 === 2;
      cutAt = complete ? images.gzip.length : 1 + random.below(images.gzip.length - 1);
      const asked = server.requests.length;
      const { child, ended } = startWork(['download', root, entry]);
      const received = () => existsSync(folder) && sizesOfParts(folder).includes(cutAt);
      if (complete) await vi.waitUntil(() => server.requests.length > asked, { timeout: 50_000, interval: 1 });
      else await vi.waitUntil(received, { timeout: 50_000, interval: 1 });
      await delay(complete ? 5 + random.below(10) : 0);
      child.kill('SIGKILL');
      await ended;
      for (const name of readdirSync(folder)) {
        const file = small.files.find((each) => each.name === name);
        if (file) expect(readFileSync(join(folder, name)).equals(file.raw)).toBe(true);
        else expect(name).toMatch(/\.part$/);
      }
      torn += partsIn(folder).length;
      expect(partsIn(folder).length).toBeLessThanOrEqual(complete ? 2 : 1); // each removes what the one before left
      rmSync(join(folder, images.name), { force: true }); // the next one begins with it again
    }
    expect(torn).toBeGreaterThan(0);
    cutAt = images.gzip.length;
    const healed = await runWork(['download', root, entry]);
    expect(healed).toMatchObject({ code: 0, notices: [expect.stringMatching(/^Small is now in .*, from Only /)] });
    expect(readdirSync(folder).sort()).toEqual(small.files.map(({ name }) => name).sort());
  });

  it('while it unpacks what npm brought: the next one removes its folder', async () => {
    const small = smallDataset();
    const temporary = temporaryFolder();
    const root = temporaryFolder();
    const entry = join(temporaryFolder(), 'entry.json');
    const npm = { kind: 'npm' as const, package: 'small', version: '1.0.0', folder: 'package/data' };
    writeFileSync(entry, JSON.stringify(small.entry([npm])));
    const write = `require('node:fs').writeFileSync(process.argv.at(-1) + '/half', '');`;
    const pack = (then: string) =>
      JSON.stringify([process.execPath, '-e', `process.argv.push(${destination}); ${write} ${then}`, '--']);
    const destination = `process.argv.find((word) => word.startsWith('--pack-destination=')).split('=')[1]`;
    const env = { TMPDIR: temporary, NPM_COMMAND: pack('setTimeout(() => {}, 3000);') };
    const { child, ended } = startWork(['download', root, entry], { env });
    const half = () => readdirSync(temporary, { recursive: true }).some((name) => String(name).endsWith('half'));
    await vi.waitUntil(half, { timeout: 50_000 });
    child.kill('SIGKILL');
    await ended;
    expect(readdirSync(temporary)).toHaveLength(1);
    const { error } = await runWork(['download', root, entry], {
      env: { ...env, NPM_COMMAND: pack('process.exit(1)') },
    });
    expect(error?.code).toBe('ERR_DOWNLOAD');
    expect(readdirSync(temporary)).toEqual([]);
  });

  it(`${KILLS} times while it writes checkpoints`, async () => {
    const folder = join(temporaryFolder(), 'work');
    let newest = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const before = newest;
      const whole = () => existsSync(folder) && readdirSync(folder).some((name) => stepOf(name) > before);
      await killAfter(['train', 'checkpoint', folder], whole, random.below(60));
      const found = await readCheckpoint(folder, { onWarning: (text) => expect.unreachable(text) });
      expect(found?.step).toBe(Math.max(...readdirSync(folder).map(stepOf)));
      newest = found!.step;
      expect(newest).toBeGreaterThan(before); // nothing is done twice, and nothing is lost
    }
  });
});

/** The steps in the name of a whole checkpoint; 0 for other names. */
const stepOf = (name: string) => Number(/^checkpoint-(\d+)\.safetensors$/.exec(name)?.[1] ?? 0);
