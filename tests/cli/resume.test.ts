import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { type CliOptions, errorLines, eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
const TRAIN = ['train', '--data-dir', data, '--hidden', '16', '--epochs', '60', '--batch-size', '20', '--json'];
const CHECKPOINT = ['--checkpoint', 'run', '--checkpoint-every', '0'];
const OTHERS = ['--validation-split', '0.25', '--optimizer', 'adamw', '--ema', '0.9', '--csv', 'epochs.csv'];

afterAll(() => workspace.remove());

/** Sends a signal when the child has written `marker`. */
function signalAt(marker: string, signal: NodeJS.Signals): CliOptions['onOutput'] {
  let sent = false;
  return (child: ChildProcess, { stdout }) => {
    if (sent || !stdout.includes(marker)) return;
    sent = true;
    child.kill(signal);
  };
}

async function train(cwd: string, args: string[], onOutput?: CliOptions['onOutput']) {
  const result = await runCli(args, { cwd, onOutput });
  return { ...result, events: eventsOf(result), last: eventsOf(result).at(-1) };
}

describe('train --checkpoint and --resume', () => {
  it('end with the weights of a training in peace, after Ctrl-C and after a kill', async () => {
    const peace = await train(workspace.make('peace'), [...TRAIN, ...OTHERS]);
    expect(peace.last?.event).toBe('done');

    const cwd = workspace.make('interrupted');
    const first = await train(cwd, [...TRAIN, ...OTHERS, ...CHECKPOINT], signalAt('"epoch":10,', 'SIGINT'));
    expect(first.status).toBe(130);
    expect(first.last).toMatchObject({ event: 'interrupted', checkpoint: 'run' });
    expect(first.stderr).toContain('Go on: npx mnist-train --resume run');

    const second = await train(cwd, ['--resume', 'run', '--json'], signalAt('"epoch":30,', 'SIGKILL'));
    expect(second.status).toBe(137);
    const [start] = second.events;
    expect(start).toMatchObject({ event: 'start', optimizer: 'adamw', epochs: 60, batchSize: 20 });
    const resumed = start.resumed as { epochs: number; step: number };
    expect(resumed.epochs).toBe(first.last?.epochs);
    expect(resumed.step).toBeGreaterThanOrEqual(10 * 15);

    const last = await train(cwd, ['--resume', 'run', '--json']);
    expect(last.status, last.stderr).toBe(0);
    const { trainSeconds: _mine, ...done } = last.last!;
    const { trainSeconds: _its, ...wanted } = peace.last!;
    expect(done).toEqual(wanted);
    // Every epoch stands once in the table, with the numbers of the training in peace.
    const rows = (folder: string) => {
      const [head, ...lines] = readFileSync(join(workspace.folder, folder, 'epochs.csv'), 'utf8')
        .trim()
        .split('\n');
      const seconds = head.split(',').indexOf('seconds');
      return lines.map((line) => line.split(',').toSpliced(seconds, 1).join());
    };
    expect(rows('interrupted')).toEqual(rows('peace'));
  });

  it('say that a damaged checkpoint was passed over', async () => {
    const cwd = workspace.make('damaged');
    await train(cwd, [...TRAIN, ...CHECKPOINT, '--epochs', '2']);
    const newest = join(cwd, 'run', readdirSync(join(cwd, 'run')).toSorted().at(-1)!);
    writeFileSync(newest, readFileSync(newest).subarray(0, 1000));
    const { status, stderr } = await train(cwd, ['--resume', 'run', '--json']);
    expect(status).toBe(0);
    expect(stderr).toMatch(/Checkpoint run\/checkpoint-\d+\.safetensors is damaged, and the one before is taken/);
  });

  it('refuse what cannot be', async () => {
    const cwd = workspace.make('refused');
    await train(cwd, [...TRAIN, ...CHECKPOINT, '--epochs', '1']);
    writeFileSync(join(cwd, 'file'), '');
    const refused: [string[], number, RegExp][] = [
      [[...TRAIN, '--checkpoint', 'run'], 2, /without checkpoints.*Go on with --resume run/],
      [[...TRAIN, '--checkpoint', 'file'], 2, /the name of a folder for --checkpoint, received "file"/],
      [['--resume', 'nowhere'], 2, /found no checkpoint in nowhere/],
      [['--resume', 'run', '--checkpoint', 'other'], 2, /--checkpoint to begin or --resume to go on, received both/],
      [[...TRAIN, '--checkpoint-every', '3'], 2, /--checkpoint or --resume with --checkpoint-every/],
      [[...TRAIN, '--checkpoint', 'x', '--checkpoint-every', '-1'], 2, /of at least 0 for --checkpoint-every/],
      [['--resume', 'run', '--epochs', '7'], 2, /Expected --epochs 1 with --resume.*received 7/],
      [['--resume', 'run', '--seed', '7'], 2, /Expected --seed 42 with --resume.*received 7/],
      [['--resume', 'run', '--early-stopping', '2'], 2, /Expected no --early-stopping with --resume/],
      [[...TRAIN, '--csv', 'same', '--out', './same'], 2, /different files for --csv and --out/],
    ];
    for (const [args, status, message] of refused) {
      const result = await runCli(args, { cwd });
      expect(result.status, args.join(' ')).toBe(status);
      expect(errorLines(result)).toEqual([expect.stringMatching(message)]);
    }
  });
});
