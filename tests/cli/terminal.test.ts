import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { eventsOf, makeWorkspace, runOnTerminal } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
const TRAIN = `"$NODE" "$CLI" --data-dir '${data}' --hidden 16 --epochs 40`;
/** Colours and bold: what NO_COLOR switches off. Moving the cursor is something else. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal codes begin with one.
const COLORS = /\x1b\[[0-9;]*m/;

afterAll(() => workspace.remove());

describe('train on a terminal', () => {
  it('shows a bar that goes at the end, and keeps a line per epoch', async () => {
    const result = await runOnTerminal(TRAIN, { cwd: workspace.make('bar') });
    expect(result.status).toBe(0);
    const bar = /[█░]{8,}\s+epoch \d+\/40 {2}loss \d\.\d{4} {2}accuracy [\d.]+ % {2}[\d,-]+ images\/s {2}[\d:-]+ left/;
    expect(result.stdout).toMatch(bar);
    expect(result.stdout.match(/Epoch {1,2}\d+\/40 {2}loss/g)).toHaveLength(40);
    expect(result.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(result.stdout.lastIndexOf('\x1b[?25l'));
    // After the last bar the line is cleared, and only text follows.
    const end = result.stdout.slice(result.stdout.lastIndexOf('images/s'));
    expect(end).toContain('\x1b[2K');
    expect(end).toContain('Test accuracy');
    expect(result.stdout).toMatch(COLORS);
  });

  it('has no colours with NO_COLOR, and no bar on a terminal that cannot redraw', async () => {
    const plain = await runOnTerminal(TRAIN, { cwd: workspace.make('plain'), env: { NO_COLOR: '1' } });
    expect(plain.stdout).toContain('images/s');
    expect(plain.stdout).not.toMatch(COLORS);
    const dumb = await runOnTerminal(TRAIN, { cwd: workspace.make('dumb'), env: { TERM: 'dumb' } });
    expect(dumb.stdout).toContain('Test accuracy');
    expect(dumb.stdout).not.toContain('images/s');
    expect(dumb.stdout).not.toContain('\x1b');
  });

  it('with --json, shows the bar on stderr and keeps stdout clean', async () => {
    const cwd = workspace.make('json');
    const result = await runOnTerminal(`${TRAIN} --json > events.jsonl`, { cwd });
    expect(result.stdout).toContain('images/s');
    const events = eventsOf({ stdout: readFileSync(join(cwd, 'events.jsonl'), 'utf8') });
    expect(events).toHaveLength(42);
    expect(events.at(-1)?.event).toBe('done');
  });

  it('gives the cursor back when training fails', async () => {
    const cwd = workspace.make('failure');
    // The rate grows slowly enough for some epochs to be shown before the loss is not finite any more.
    const flags = '--epochs 4000 --optimizer sgd --schedule one-cycle --learning-rate 1e30';
    const result = await runOnTerminal(`${TRAIN} ${flags}`, { cwd });
    expect(result.status).toBe(1);
    expect(result.stdout).toContain('Expected a finite loss');
    expect(result.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThanOrEqual(result.stdout.lastIndexOf('\x1b[?25l'));
  });
});

describe('download on a terminal', () => {
  it('shows the file, how much of it is here, and the source', async () => {
    // The size of the published file, of which only the beginning ever comes.
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 9_912_422 }).write(new Uint8Array(64_000));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
      const wanted = `train-images-idx3-ubyte  64.0 kB of 9.9 MB  mirror (${host})`;
      const line = `"$NODE" "$CLI" download --data-dir here --mirror http://${host}/`;
      let typed = false;
      const result = await runOnTerminal(line, {
        cwd: workspace.make('download'),
        onOutput: (child, { stdout }) => {
          if (typed || !stdout.includes(wanted)) return;
          typed = true;
          child.stdin?.write('\x03');
        },
      });
      expect(result.stdout).toContain(wanted);
      expect(result.stdout).toContain('mnist-train: Interrupted.');
      expect(result.status).toBe(130);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
