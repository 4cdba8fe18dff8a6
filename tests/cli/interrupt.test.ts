import type { ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import {
  type CliOptions,
  errorLines,
  eventsOf,
  makeWorkspace,
  runCli,
  runOnTerminal,
  runShell,
} from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
/** More than could ever be done: only a signal ends it. */
const ENDLESS = ['train', '--data-dir', data, '--hidden', '16', '--epochs', '100000'];

afterAll(() => workspace.remove());

/** Does something once, when the child has said `marker`. */
function when(marker: string, act: (child: ChildProcess) => void): CliOptions['onOutput'] {
  let done = false;
  return (child, { stdout, stderr }) => {
    if (done || !(stdout + stderr).includes(marker)) return;
    done = true;
    act(child);
  };
}

describe('a signal during training', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s: saves what was trained so far and ends with status %i', async (signal, status) => {
    const cwd = workspace.make(signal);
    const onOutput = when('"epoch":2,', (child) => child.kill(signal));
    const result = await runCli([...ENDLESS, '--json'], { cwd, onOutput });
    expect(result.status).toBe(status);
    const last = eventsOf(result).at(-1);
    expect(last).toEqual({
      event: 'interrupted',
      epochs: expect.any(Number),
      trainSeconds: expect.any(Number),
      weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      model: 'mnist-model.safetensors',
    });
    expect(last?.epochs).toBeGreaterThanOrEqual(2);
    expect(last?.epochs).toBe(eventsOf(result).filter(({ event }) => event === 'epoch').length);
    expect(result.stderr).toContain('The model trained so far is in mnist-model.safetensors');
    expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
    const evaluation = await runCli(['evaluate', 'mnist-model.safetensors', '--data-dir', data, '--json'], { cwd });
    expect(eventsOf(evaluation)[0]).toMatchObject({ event: 'evaluation', count: 100 });
  });

  it('stops the TypeScript backend as well', async () => {
    const cwd = workspace.make('script');
    const onOutput = when('Epoch', (child) => child.kill('SIGINT'));
    const result = await runCli([...ENDLESS, '--backend', 'js'], { cwd, onOutput });
    expect(result.status).toBe(130);
    expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
  });

  it('Ctrl-C on a terminal: the bar goes, the cursor comes back', async () => {
    const cwd = workspace.make('terminal');
    const onOutput = when('images/s', (child) => child.stdin?.write('\x03'));
    const words = ENDLESS.map((word) => `'${word}'`).join(' ');
    const result = await runOnTerminal(`"$NODE" "$CLI" ${words}`, { cwd, onOutput });
    expect(result.status).toBe(130);
    expect(result.stdout).toContain('Stopping after the step in flight');
    expect(result.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(result.stdout.lastIndexOf('\x1b[?25l'));
    // Line wrapping, which the bar switches off, is on again.
    expect(result.stdout.lastIndexOf('\x1b[?7h')).toBeGreaterThan(result.stdout.lastIndexOf('\x1b[?7l'));
    expect(result.stdout.trimEnd()).toMatch(/The model trained so far is in mnist-model\.safetensors\.$/);
    expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
  });
});

describe('a second signal', () => {
  it('ends the process at once, even while the model is being written', async () => {
    const cwd = workspace.make('twice');
    // A pipe that nobody reads: opening it for writing never comes back.
    await runShell('mkfifo nobody-reads', { cwd });
    const first = when('"epoch":1,', (child) => child.kill('SIGINT'));
    const second = when('Stopping after', (child) => setTimeout(() => child.kill('SIGINT'), 300));
    const result = await runCli([...ENDLESS, '--out', 'nobody-reads', '--json'], {
      cwd,
      onOutput: (child, output) => {
        first?.(child, output);
        second?.(child, output);
      },
    });
    expect(result.status).toBe(130);
    expect(eventsOf(result).map(({ event }) => event)).not.toContain('interrupted');
  });

  it('gives the cursor back when it comes in the middle of a long step', async () => {
    const cwd = workspace.make('long-step');
    const first = when('images/s', (child) => child.stdin?.write('\x03'));
    const second = when('Stopping after', (child) => child.stdin?.write('\x03'));
    const flags = '--hidden 4096,2048 --batch-size 400 --optimizer sgd --epochs 1000';
    const result = await runOnTerminal(`"$NODE" "$CLI" --data-dir '${data}' ${flags}`, {
      cwd,
      onOutput: (child, output) => {
        first?.(child, output);
        second?.(child, output);
      },
    });
    expect(result.status).toBe(130);
    expect(result.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(result.stdout.lastIndexOf('\x1b[?25l'));
  });
});

it('a signal during bench ends it with status 130', async () => {
  const cwd = workspace.make('bench');
  const onOutput = when('"benchmark"', (child) => child.kill('SIGINT'));
  const result = await runCli(['bench', '--json'], { cwd, onOutput });
  expect(result.status).toBe(130);
  expect(errorLines(result).at(-1)).toBe('mnist-train: Interrupted.');
});
