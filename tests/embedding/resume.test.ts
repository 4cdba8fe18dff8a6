import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { RandomPurpose, RandomStream } from '../../src/random.js';

const FIXTURE = join(import.meta.dirname, 'fixtures', 'resumable.mjs');

/** Runs the fixture; with a number of milliseconds it is killed so long after its training began. */
async function run(args: string[], killAfter: number | null): Promise<{ killed: boolean; lines: string[] }> {
  const child = spawn(process.execPath, [FIXTURE, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  const begun = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      resolve();
    });
  });
  const closed = once(child, 'close');
  if (killAfter !== null) {
    await Promise.race([begun, closed]);
    await Promise.race([delay(killAfter), closed]);
    child.kill('SIGKILL');
  }
  const [code, signal] = await closed;
  expect(signal === 'SIGKILL' || code === 0).toBe(true);
  return { killed: signal === 'SIGKILL', lines: stdout.trim().split('\n') };
}

describe('a model in a process that is killed at random moments ends with the weights of a run in peace', () => {
  it.each([
    ['dense', 'native', 16, 250],
    ['dense', 'js', 8, 400],
    ['convolutional', 'native', 8, 250],
    ['convolutional', 'js', 8, 400],
  ])(
    '%s, %s: %i times',
    async (kind, backend, least, longest) => {
      const wanted = (await run(['none', kind, backend], null)).lines.at(-1);
      // The seed makes the moments the same ones every time, as far as a machine's pace allows.
      const random = new RandomStream(kind.length, RandomPurpose.augment);
      const root = await mkdtemp(join(tmpdir(), 'mnist-train-killed-'));
      try {
        let kills = 0;
        for (let folder = 0; kills < least; folder++) {
          const args = [join(root, String(folder)), kind, backend];
          for (;;) {
            const { killed, lines } = await run(args, kills < least ? random.below(longest) : null);
            // No file is ever left damaged.
            expect(lines.filter((line) => line.includes('damaged'))).toEqual([]);
            if (killed) {
              kills++;
              continue;
            }
            expect(lines.at(-1)).toBe(wanted);
            break;
          }
        }
        expect(kills).toBeGreaterThanOrEqual(least);
      } finally {
        await rm(root, { recursive: true, force: true });
      }
    },
    180_000,
  );
});
