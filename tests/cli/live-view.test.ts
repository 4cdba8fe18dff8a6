import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { type CliOptions, eventsOf, makeWorkspace, runCli, runOnTerminal } from '../helpers/cli-run.js';
import { Screen } from '../helpers/screen.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
const TRAIN = `"$NODE" "$CLI" --data-dir '${data}' --hidden 16 --live`;
const CURVES = '  loss  ━';
/** The same among colour codes: the corner of an axis, which only curves have. */
const DRAWN = '└';
const SHOW_CURSOR = '\x1b[?25h';
/** Colours and bold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal codes begin with one.
const COLORS = /\x1b\[[0-9;]*m/;

afterAll(() => workspace.remove());

/** Runs a line on a terminal of 100 x 30, and reads it there. */
async function watch(line: string, options: CliOptions & { size?: [columns: number, rows: number] }) {
  const [columns, rows] = options.size ?? [100, 30];
  const result = await runOnTerminal(`stty cols ${columns} rows ${rows}; ${line}`, options);
  const screen = new Screen(columns, rows).write(result.stdout);
  expect(screen.unknown).toEqual([]);
  expect(screen.cursorShown).toBe(true);
  return { ...result, screen };
}

/** Types something as soon as the view is on the screen. */
const type = (text: string): CliOptions['onOutput'] => {
  let typed = false;
  return (child, { stdout }) => {
    if (typed || !stdout.includes(DRAWN)) return;
    typed = true;
    child.stdin?.write(text);
  };
};

describe('the live view of a training', () => {
  it('goes at the end; the lines of epochs, the curves and the result stay', async () => {
    const result = await watch(`${TRAIN} --epochs 30 --validation-split 0.2`, { cwd: workspace.make('whole') });
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/epoch \d+\/30 {2}[\d,-]+ images\/s {2}[\d:-]+ left/);
    const { text } = result.screen;
    expect(text.match(/^Epoch {1,2}\d+\/30 {2}loss/gm)).toHaveLength(30);
    expect(text).not.toContain('images/s');
    expect(text.split(CURVES)).toHaveLength(2);
    expect(text).toMatch(/Epoch 30\/30 .*\n\n {2}loss {2}━/);
    expect(text).toMatch(/of 80 validation images \d+ wrong.*\n\nTest accuracy/);
    expect(text).toMatch(/Next: npx mnist-train evaluate .*$/);
  });

  it('changes no bit of what is trained', async () => {
    const flags = `--data-dir ${data} --hidden 16 --epochs 30 --validation-split 0.2`;
    const plain = await runCli([...flags.split(' '), '--json'], { cwd: workspace.make('piped') });
    const { weightsSha256 } = eventsOf(plain).at(-1)!;
    expect(weightsSha256).toMatch(/^[0-9a-f]{64}$/);
    const cwd = workspace.make('watched');
    const watched = await watch(`"$NODE" "$CLI" ${flags} --live --json > events.jsonl; cat events.jsonl`, { cwd });
    expect(watched.stdout).toContain(DRAWN);
    expect(watched.stdout).toContain(`"weightsSha256":"${weightsSha256}"`);
    const js = await watch(`"$NODE" "$CLI" ${flags} --live --backend js --json 2>&1`, { cwd: workspace.make('js') });
    expect(js.stdout).toMatch(/of 80 validation images \d+ wrong/);
    expect(js.stdout).toContain(`"weightsSha256":"${weightsSha256}"`);
  });

  it('goes with Ctrl-C, and says where the model is', async () => {
    const cwd = workspace.make('interrupted');
    const result = await watch(`${TRAIN} --epochs 20000`, { cwd, onOutput: type('\x03') });
    expect(result.status).toBe(130);
    expect(result.screen.text).not.toContain('images/s');
    expect(result.screen.text).toMatch(/of 400 training images \d+ wrong.*\nStopped after \d[\d,]* whole epochs?\./);
  });

  it('goes with two of them, which end the program at once', async () => {
    const cwd = workspace.make('ended');
    let signals = 0;
    const result = await watch(`exec ${TRAIN} --epochs 20000 --backend js`, {
      cwd,
      onOutput: (child, { stdout }) => {
        if (stdout.includes(DRAWN) && signals++ === 0) child.stdin?.write('\x03\x03');
      },
    });
    expect(result.status).toBeGreaterThan(128);
    expect(result.screen.text).not.toContain('images/s');
  });

  it('goes when training fails, without curves', async () => {
    const cwd = workspace.make('failed');
    const result = await watch(`${TRAIN} --epochs 20000 --checkpoint run --checkpoint-every 0.05`, {
      cwd,
      onOutput: (_, { stdout }) => {
        if (!stdout.includes(DRAWN) || existsSync(join(cwd, 'gone'))) return;
        // From now on no checkpoint can be written.
        renameSync(join(cwd, 'run'), join(cwd, 'gone'));
        writeFileSync(join(cwd, 'run'), '');
      },
    });
    expect(result.status).toBe(1);
    expect(result.stdout).toContain(DRAWN);
    expect(result.screen.text).toMatch(/^mnist-train: Could not write/m);
    expect(result.screen.text).not.toContain(CURVES);
    expect(result.screen.text).not.toContain('images/s');
  });

  it.each([
    ['an exception that nobody catches', "throw new Error('on purpose')", 'Error: on purpose'],
    ['process.exit', 'process.exit(3)', ''],
  ])('goes with %s', async (name, code, said) => {
    const cwd = workspace.make(name.replaceAll(' ', '-'));
    // Ends the process when the view has been drawn a few times.
    const hook = `let drawn = 0;
      const write = process.stdout.write;
      process.stdout.write = function (text, ...rest) {
        if (String(text).includes('\\u2514') && ++drawn === 3) setImmediate(() => { ${code} });
        return write.call(this, text, ...rest);
      };`;
    writeFileSync(join(cwd, 'hook.cjs'), hook);
    const result = await watch(`${TRAIN} --epochs 20000`, { cwd, env: { NODE_OPTIONS: '--require ./hook.cjs' } });
    expect(result.status).not.toBe(0);
    expect(result.stdout).toContain(DRAWN);
    expect(result.screen.text).toContain(said);
    expect(result.screen.text).not.toContain('images/s');
    expect(result.screen.text).not.toContain(CURVES);
  });

  it('leaves the terminal to the shell on Ctrl-Z, and comes back', async () => {
    // A shell with job control: the program is stopped, then goes on, then is ended.
    const line = `set -m; ${TRAIN} --epochs 20000; echo "stopped: $?"; fg > /dev/null`;
    let state = 'running';
    const result = await watch(line, {
      cwd: workspace.make('suspended'),
      onOutput: (child, { stdout }) => {
        if (state === 'running' && stdout.includes(DRAWN)) {
          state = 'suspended';
          child.stdin?.write('\x1a');
        }
        const [before, after] = stdout.split('stopped: ');
        if (state !== 'suspended' || after === undefined || !after.includes(DRAWN)) return;
        state = 'ended';
        expect(before.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(before.lastIndexOf('\x1b[?25l'));
        child.stdin?.write('\x03');
      },
    });
    expect(state).toBe('ended');
    expect(result.screen.text).toContain('Stopped after');
  });

  it('has no colours with NO_COLOR', async () => {
    const cwd = workspace.make('plain');
    const plain = await watch(`${TRAIN} --epochs 10`, { cwd, env: { NO_COLOR: '1' } });
    expect(plain.stdout).toContain(DRAWN);
    expect(plain.stdout).not.toMatch(COLORS);
  });

  it('is the bar on a small terminal, with --no-live, and for a training that is over soon', async () => {
    const lines: [string, [number, number]][] = [
      [TRAIN, [58, 30]],
      [`${TRAIN} --no-live`, [100, 30]],
      [TRAIN.replace('--live', ''), [100, 30]],
    ];
    for (const [index, [line, size]] of lines.entries()) {
      const result = await watch(`${line} --epochs 10`, { cwd: workspace.make(`bar-${index}`), size });
      expect(result.stdout).toContain('images/s');
      expect(result.stdout).not.toContain(DRAWN);
    }
  });

  it('is not there in a pipe', async () => {
    const result = await runCli(['--data-dir', data, '--live', '--epochs', '2'], { cwd: workspace.make('pipe') });
    expect(result.status).toBe(0);
    expect(result.stdout).not.toContain('\x1b');
    expect(result.stdout).not.toContain(DRAWN);
  });

  it('begins where a resumed training does, and knows folds', async () => {
    const cwd = workspace.make('resumed');
    const flags = `--fold 1/4 --checkpoint run --checkpoint-every 0.05`;
    await watch(`${TRAIN} --epochs 20000 ${flags}`, { cwd, onOutput: type('\x03') });
    const again = await watch('"$NODE" "$CLI" --resume run --live', { cwd, onOutput: type('\x03') });
    expect(again.status).toBe(130);
    expect(again.screen.text).toMatch(/of 100 validation images \d+ wrong/);
  });
});
