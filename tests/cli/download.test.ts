import { existsSync, readdirSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => workspace.remove());

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mnist/`;
}

/** Every file below a folder that may not exist. */
const filesIn = (folder: string) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    : [];

describe('download', () => {
  it('says which source failed why, as events and in one line', async () => {
    const cwd = workspace.make('absent');
    const mirror = await serve((_, response) => response.writeHead(404).end());
    const result = await runCli(['download', '--mirror', mirror, '--data-dir', 'here', '--json'], { cwd });
    expect(result.status).toBe(1);
    const events = eventsOf(result);
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) {
      expect(event).toEqual({
        event: 'sourceFailed',
        source: expect.stringContaining('127.0.0.1'),
        file: expect.any(String),
        reason: expect.stringContaining('404'),
      });
    }
    expect(errorLines(result).at(-1)).toMatch(/^mnist-train: Could not download MNIST .*404.*--mirror.*--data-dir/);
    expect(filesIn(cwd)).toEqual([]);
  });

  it('keeps no file with wrong bytes', async () => {
    const cwd = workspace.make('wrong');
    const mirror = await serve((_, response) => response.end('this is not MNIST'));
    const result = await runCli(['download', '--mirror', mirror, '--data-dir', 'here'], { cwd });
    expect(result.status).toBe(1);
    expect(errorLines(result).at(-1)).toContain('Could not download MNIST');
    expect(result.stderr).not.toContain('\x1b');
    expect(filesIn(cwd)).toEqual([]);
  });

  it('stops on Ctrl-C while a server is silent', async () => {
    const cwd = workspace.make('silent');
    let interrupt = () => {};
    const mirror = await serve(() => interrupt());
    const result = await runCli(['download', '--mirror', mirror, '--data-dir', 'here'], {
      cwd,
      onStart: (child) => {
        interrupt = () => child.kill('SIGINT');
      },
    });
    expect(result.status).toBe(130);
    expect(errorLines(result).at(-1)).toBe('mnist-train: Interrupted.');
    expect(filesIn(cwd)).toEqual([]);
  });

  it('--offline touches no network and says what is missing', async () => {
    const cwd = workspace.make('offline');
    const result = await runCli(['download', '--offline', '--data-dir', 'here'], { cwd });
    expect(result.status).toBe(1);
    expect(errorLines(result)).toEqual([expect.stringMatching(/missing: train-images-idx3-ubyte.*switched off/)]);
    expect(filesIn(cwd)).toEqual([]);
  });

  it("leaves a person's own files alone", async () => {
    const cwd = workspace.make('own');
    writeDataset(join(cwd, 'here'));
    const result = await runCli(['download', '--data-dir', 'here'], { cwd });
    expect(result.status).toBe(1);
    expect(errorLines(result)).toEqual([expect.stringMatching(/is not the published file of MNIST.*--force/)]);
    expect(filesIn(cwd)).toHaveLength(4);
  });
});
