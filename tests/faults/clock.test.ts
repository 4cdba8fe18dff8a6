import { readdirSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCheckpoint } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { eventsOf, runCli } from '../helpers/cli-run.js';
import { clockWrongBy, runWork } from '../helpers/faults.js';
import { temporaryFolder } from '../helpers/small-dataset.js';

/**
 * Clocks that are put days forward and back: times that are measured stay small and positive, and what was written last
 * stays what is newest.
 */
const numbersOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('a training', () => {
  it.each([400, -400])('with a clock that jumps %i days to and fro measures time as it passes', async (days) => {
    const folder = temporaryFolder();
    const { error } = await runWork(['train', 'jsonl', folder], clockWrongBy(days, { jumps: true }));
    expect(error).toBe(null);
    const results = numbersOf(join(folder, 'log.jsonl'));
    expect(results).toHaveLength(6);
    for (const { seconds } of results) {
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThan(20);
    }
  });

  it('resumed after the clock was put back goes on from the checkpoint written last, and keeps the newest', async () => {
    const folder = temporaryFolder();
    for (const [round, days] of [0, -400, 400].entries()) {
      const { flags, env } = clockWrongBy(days, { jumps: round > 0 });
      const last = 2 + round;
      const { error, notices } = await runWork(['train', 'checkpoint', folder], {
        flags,
        env: { ...env, EPOCHS: '8', STOP_AFTER: String(last) },
      });
      expect(error).toBe(null);
      expect(notices).toEqual(round === 0 ? ['epoch 1', 'epoch 2'] : [`epoch ${last}`]);
      const newest = await readCheckpoint(folder);
      expect(newest).toMatchObject({ epochs: last, step: 2 * last });
      expect(readdirSync(folder)).toHaveLength(2);
      // As the file system has it after the clock was put back: what was written last looks old.
      utimesSync(newest!.path, 0, 0);
    }
  });

  it('that begins after the clock was put back comes behind those before it in TensorBoard', async () => {
    const folder = temporaryFolder();
    const written: string[] = [];
    for (const days of [0, -400, 400, 0]) {
      expect((await runWork(['train', 'tensorboard', folder], clockWrongBy(days))).error).toBe(null);
      const files = readdirSync(join(folder, 'train'));
      written.push(...files.filter((name) => !written.includes(name)));
      expect(files.sort()).toEqual(written);
    }
    expect(written).toHaveLength(4);
  });

  it('of the command line measures its time, and its resumed part too', async () => {
    const cwd = temporaryFolder();
    const data = writeDataset(join(cwd, 'data'));
    const train = async (words: string[], days: number) => {
      const { flags, env } = clockWrongBy(days, { jumps: true });
      const options = { cwd, env: { ...env, NODE_OPTIONS: flags.join(' ') } };
      const result = await runCli([...words, '--data-dir', data, '--json'], options);
      expect(result.status, result.stderr).toBe(0);
      return eventsOf(result);
    };
    const events = await train(['train', '--hidden', '16', '--epochs', '2', '--checkpoint', 'points'], 30);
    for (const { event, seconds, trainSeconds } of events) {
      if (event === 'epoch') expect(seconds).toBeLessThan(20);
      if (event === 'done') expect(trainSeconds).toBeLessThan(20);
    }
    const done = (await train(['train', '--resume', 'points'], -30)).at(-1);
    expect(done).toMatchObject({ event: 'done', weightsSha256: events.at(-1)?.weightsSha256 });
    expect(done?.trainSeconds).toBeGreaterThanOrEqual(0);
    expect(done?.trainSeconds).toBeLessThan(20);
  });
});
