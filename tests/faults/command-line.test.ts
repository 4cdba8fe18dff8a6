import type { ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readCheckpoint } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { type CliResult, errorLines, eventsOf, runCli, runShell } from '../helpers/cli-run.js';
import { AS_NOBODY, IS_ROOT_ON_LINUX, mountDisk, occupy, openFolder } from '../helpers/faults.js';

/** The command line on full and protected disks: exit statuses as docs/cli.md has them, one line of error, nothing lost. */
const FULL = 'the disk is full. Free some space or choose another place.';
const quick = (data: string) => ['train', '--data-dir', data, '--hidden', '64', '--json'];

/** A folder to work in, with a small data set. */
function prepare() {
  const cwd = openFolder();
  return { cwd, data: writeDataset(join(cwd, 'data')) };
}

/** The model that was put elsewhere, and predicts as it should. */
async function expectRescued(result: CliResult, temporary: string, cwd: string, data: string): Promise<void> {
  const path = /^The model trained so far is in (.*)\.$/m.exec(result.stderr)?.[1] ?? '';
  expect(path.startsWith(join(temporary, 'mnist-train-rescued-')), result.stderr).toBe(true);
  const evaluation = await runCli(['evaluate', path, '--data-dir', data, '--json'], { cwd });
  expect(eventsOf(evaluation)[0]).toMatchObject({ event: 'evaluation', accuracy: expect.any(Number) });
}

describe.runIf(IS_ROOT_ON_LINUX)('train on a full disk', () => {
  it.each([true, false])('where its model should go (another place to put it: %j)', async (elsewhere) => {
    const { cwd, data } = prepare();
    const { folder } = mountDisk(256);
    const out = join(folder, 'model.safetensors');
    writeFileSync(out, 'the old model');
    occupy(folder, 100);
    const temporary = elsewhere ? openFolder() : join(folder, 'tmp');
    mkdirSync(temporary, { recursive: true });
    const options = { cwd, env: { TMPDIR: temporary } };
    const result = await runCli([...quick(data), '--epochs', '2', '--out', out], options);
    expect(result.status).toBe(1);
    expect(errorLines(result).at(-1)).toBe(`mnist-train: Could not write ${out}: ${FULL}`);
    expect(readFileSync(out, 'utf8')).toBe('the old model');
    expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
    if (elsewhere) await expectRescued(result, temporary, cwd, data);
    else expect(readdirSync(temporary)).toEqual([]);
  });

  it('where its log goes', async () => {
    const { cwd, data } = prepare();
    const { folder } = mountDisk(64);
    occupy(folder, 60);
    const log = join(folder, 'log.csv');
    const temporary = openFolder();
    const options = { cwd, env: { TMPDIR: temporary } };
    const result = await runCli([...quick(data), '--epochs', '5', '--csv', log], options);
    expect(result.status).toBe(1);
    expect(errorLines(result).at(-1)).toBe(`mnist-train: Could not write ${log}: ${FULL}`);
    expect(readFileSync(log, 'utf8').trimEnd().split('\n')).toHaveLength(2); // there is room for one file, not for two
    expect(readdirSync(folder).sort()).toEqual(['log.csv', 'occupied']);
    await expectRescued(result, temporary, cwd, data);
  });

  it('where its checkpoints go: the newest stays, and is gone on from', async () => {
    const { cwd, data } = prepare();
    const { folder } = mountDisk(2048);
    const leave = occupy(folder, 500);
    const points = join(folder, 'points');
    const words = ['--epochs', '400', '--checkpoint', points, '--checkpoint-every', '0.01'];
    const options = { cwd, env: { TMPDIR: openFolder() } };
    const result = await runCli([...quick(data), ...words], options);
    expect(result.status).toBe(1);
    expect(errorLines(result).at(-1)).toContain(`mnist-train: Could not write ${points}`);
    expect(errorLines(result).at(-1)).toContain(FULL);
    expect(readdirSync(points).filter((name) => name.endsWith('.part'))).toEqual([]);
    const newest = await readCheckpoint(points, { onWarning: (text) => expect.unreachable(text) });
    expect(newest?.step).toBeGreaterThan(0);
    leave();
    const stop = (child: ChildProcess, { stdout }: { stdout: string }) =>
      void (stdout.includes('"event":"epoch"') && child.kill('SIGINT'));
    const resumed = await runCli(['train', '--resume', points, '--json'], { ...options, onOutput: stop });
    expect(resumed.status).toBe(130);
    expect(eventsOf(resumed)[0]).toMatchObject({ event: 'start', resumed: { step: newest?.step } });
  });
});

describe.runIf(process.platform === 'linux')('output into a file on a full disk', () => {
  const linesOf = (result: CliResult) => errorLines(result).filter((line) => line.startsWith('mnist-train:'));

  it.each(['info', 'info --json', 'info --program'])('%s ends with one line of error', async (words) => {
    const result = await runShell(`"$NODE" "$CLI" ${words} > /dev/full`, { cwd: openFolder() });
    expect(result.status).toBe(1);
    expect(linesOf(result)).toEqual([`mnist-train: Could not write stdout: ${FULL}`]);
    expect(result.stderr).not.toContain('    at ');
  });

  it('train keeps the model trained so far', async () => {
    const { cwd, data } = prepare();
    const result = await runShell(`"$NODE" "$CLI" ${quick(data).join(' ')} --epochs 100000 > /dev/full`, { cwd });
    expect(result.status).toBe(1);
    expect(linesOf(result)).toEqual([`mnist-train: Could not write stdout: ${FULL}`]);
    expect(result.stderr).toContain('The model trained so far is in mnist-model.safetensors.');
    expect(existsSync(join(cwd, 'mnist-model.safetensors'))).toBe(true);
  });

  it('remarks that find no room are no reason to give up', async () => {
    const result = await runShell('"$NODE" "$CLI" info --json 2> /dev/full', { cwd: openFolder() });
    expect(result.status).toBe(0);
    expect(eventsOf(result)[0]).toMatchObject({ event: 'info' });
  });
});

describe.runIf(IS_ROOT_ON_LINUX)('download to a full disk', () => {
  it('leaves nothing of a file that does not fit', async () => {
    const { folder } = mountDisk(1024);
    const server = createServer((_, response) => {
      response.writeHead(200, { 'content-length': 9_912_422 }).end(Buffer.alloc(9_912_422)); // MNIST's training images
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const mirror = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const result = await runCli(['download', '--mirror', mirror], { cwd: folder, env: { MNIST_TRAIN_DATA: folder } });
    expect(result.status).toBe(1);
    const path = join(folder, 'mnist', 'train-images-idx3-ubyte');
    expect(errorLines(result)).toEqual([`mnist-train: Could not write ${path}: ${FULL}`]);
    expect(readdirSync(join(folder, 'mnist'))).toEqual([]);
  });
});

describe.runIf(process.platform !== 'win32')('train where it may not write', () => {
  /** As somebody whom permissions count for. */
  const run = (words: string[], cwd: string) =>
    runShell(`exec ${AS_NOBODY.join(' ')} "$NODE" "$CLI" ${words.join(' ')}`, { cwd });

  it.each(['--out', '--csv'])('says so before it trains: %s', async (flag) => {
    const { cwd, data } = prepare();
    const folder = join(cwd, 'protected');
    mkdirSync(folder);
    writeFileSync(join(folder, 'file'), 'old');
    symlinkSync(join(folder, 'file'), join(cwd, 'link'));
    chmodSync(folder, 0o555);
    for (const file of [join(folder, 'file'), join(cwd, 'link')]) {
      const result = await run([...quick(data), flag, file], cwd);
      expect(result.status).toBe(2);
      expect(result.stdout).toBe('');
      expect(errorLines(result)).toEqual([
        expect.stringMatching(
          `^mnist-train: ${flag}: Could not write ${file}: permission denied\\. Choose another place`,
        ),
      ]);
      expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('old');
    }
  });

  it('says so before it trains: --checkpoint', async () => {
    const { cwd, data } = prepare();
    chmodSync(cwd, 0o555);
    const points = join(cwd, 'points');
    const result = await run([...quick(data), '--out', '/dev/null', '--checkpoint', points], cwd);
    expect(result.status).toBe(1);
    expect(eventsOf(result).filter(({ event }) => event === 'epoch')).toEqual([]);
    expect(errorLines(result).at(-1)).toMatch(`mnist-train: Could not write ${points}: permission denied`);
  });
});
