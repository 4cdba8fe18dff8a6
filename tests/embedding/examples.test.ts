import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/index.js';
import { blockImage } from '../helpers/cli-idx.js';
import { installPackage } from '../helpers/installed-package.js';

/** The examples as they stand, in processes of their own, with the built package and a small data set. */

const examples = join(import.meta.dirname, '..', '..', 'examples');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-examples-'));
beforeAll(async () => {
  cpSync(examples, join(folder, 'examples'), { recursive: true });
  await installPackage(folder, 4000, ['fastify', 'csv-parse']);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(file: string, args: string[] = []) {
  const child = spawn(process.execPath, [join(folder, 'examples', file), ...args], { cwd: folder });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
    });
  }
  const ended = once(child, 'close').then(([code]) => ({ code, ...output }));
  return { child, output, ended };
}

describe('csv-classifier.mjs', () => {
  it('learns the fruits, and leaves a model that loads', async () => {
    const { code, stdout, stderr } = await start('csv-classifier.mjs').ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // Four kinds: guessing gives 25 %.
    expect(Number(/accuracy ([\d.]+) %/.exec(stdout)?.[1])).toBeGreaterThan(85);
    const model = await loadModel(join(folder, 'fruits.safetensors'));
    expect(model.classNames).toEqual(['apple', 'lemon', 'orange', 'plum']);
    expect(JSON.parse(model.metadata.standardisation).means).toHaveLength(4);
  });

  it('takes a file of the same form', async () => {
    const rows = Array.from(
      { length: 60 },
      (_, index) => `${index % 2},${(index % 2) * 5 + (index % 7)},k${index % 2}`,
    );
    writeFileSync(join(folder, 'own.csv'), ['a,b,kind', ...rows, ''].join('\n'));
    const { code, stdout } = await start('csv-classifier.mjs', ['own.csv', 'own.safetensors']).ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/accuracy 100\.0 % on 12 rows\n0, \d+: k0, \d/);
  });
});

describe('worker-pool.mjs', () => {
  it('answers by the new model once it was swapped in', async () => {
    const { code, stdout, stderr } = await start('worker-pool.mjs', ['2']).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [untrained, trained] = [...stdout.matchAll(/([\d.]+) % right/g)].map(([, percent]) => Number(percent));
    expect(untrained).toBeLessThan(30);
    expect(trained).toBeGreaterThan(90);
  });
});

describe('background-training.mjs', () => {
  it('answers while it trains, by newer and newer models, and ends on SIGTERM', async () => {
    const { child, output, ended } = start('background-training.mjs', ['0', '300']);
    while (!output.stdout.includes('listening on')) {
      expect(child.exitCode, output.stderr).toBeNull();
      await sleep(20);
    }
    const url = /listening on (\S+)/.exec(output.stdout)![1];
    const ask = async (body: Uint8Array<ArrayBuffer>) => {
      const headers = { 'content-type': 'application/octet-stream' };
      const response = await fetch(`${url}/predict`, { method: 'POST', headers, body });
      return { status: response.status, ...((await response.json()) as { version: number; digit: number }) };
    };
    const versions = new Set<number>();
    const status = async () => (await (await fetch(`${url}/status`)).json()) as { state: string; version: number };
    while ((await status()).state === 'training') {
      const { status, version } = await ask(Uint8Array.from(blockImage(3)));
      expect(status).toBe(200);
      versions.add(version);
    }
    expect(await status()).toMatchObject({ state: 'trained', epoch: 300, version: 300 });
    expect(versions.size).toBeGreaterThan(1);
    for (let digit = 0; digit < 10; digit++) {
      expect(await ask(Uint8Array.from(blockImage(digit, 7)))).toMatchObject({ version: 300, digit });
    }
    expect(await ask(new Uint8Array(3))).toMatchObject({ status: 400 });
    child.kill('SIGTERM');
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });
});

it('the list of examples names every file', async () => {
  const text = await readFile(join(examples, 'README.md'), 'utf8');
  for (const file of await readdir(examples)) if (file !== 'README.md') expect(text).toContain(`[${file}](${file})`);
});
