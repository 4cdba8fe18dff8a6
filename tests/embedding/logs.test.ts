import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { runOf } from '../helpers/tfevents.js';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'logged.mjs');
const KILLS = 10;

/** Runs the fixture; with a number of milliseconds it is killed so long after an epoch of its own. */
async function run(folder: string, killAfter: number | null): Promise<boolean> {
  const child = spawn(process.execPath, [FIXTURE, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const epoch = once(child.stdout, 'data');
  child.stdout.resume();
  if (killAfter !== null) {
    await Promise.race([epoch, closed]);
    await Promise.race([delay(killAfter), closed]);
    child.kill('SIGKILL');
  }
  const [code, signal] = await closed;
  expect(signal === 'SIGKILL' || code === 0).toBe(true);
  return signal === 'SIGKILL';
}

const linesOf = (path: string) => {
  const text = readFileSync(path, 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text.trimEnd().split('\n');
};

it(`a process killed ${KILLS} times leaves whole lines, in the end each epoch once, and nothing else`, async () => {
  const root = temporaryFolder();
  const random = new RandomStream(5, RandomPurpose.augment);
  for (let kills = 0, place = 0; kills < KILLS; place++) {
    const folder = join(root, String(place));
    for (let killed = true; killed; ) {
      killed = await run(folder, kills < KILLS ? random.below(80) : null);
      if (killed) kills++;
      const [names, ...rows] = linesOf(join(folder, 'log.csv'));
      const epochs = Array.from({ length: rows.length }, (_, index) => index + 1);
      expect(names.split(',')[0]).toBe('epoch');
      for (const row of rows) expect(row.split(',')).toHaveLength(names.split(',').length);
      expect(rows.map((row) => Number(row.split(',')[0]))).toEqual(epochs);
      const objects = linesOf(join(folder, 'log.jsonl')).map((line) => JSON.parse(line));
      expect(objects.map(({ epoch }) => epoch)).toEqual(Array.from(objects, (_, index) => index + 1));
    }
    expect(readdirSync(folder).sort()).toEqual(['checkpoints', 'log.csv', 'log.jsonl', 'logs', 'models']);
    const models = readdirSync(join(folder, 'models')).sort();
    expect(models.slice(-3)).toEqual(['0039', '0040', 'last']);
    expect(models.length).toBeLessThanOrEqual(4); // the best one, if it is another
    const all = Array.from({ length: 40 }, (_, index) => index + 1);
    expect(linesOf(join(folder, 'log.csv'))).toHaveLength(41);
    expect(linesOf(join(folder, 'log.jsonl'))).toHaveLength(40);
    for (const name of ['train', 'validation']) {
      expect(runOf(join(folder, 'logs'), name).map(([step]) => step)).toEqual(all);
    }
  }
}, 120_000);
