import { describe, expect, it } from 'vitest';
import { runFixture, startFixture } from '../helpers/fixtures.js';

describe.each([
  { what: 'trains', flags: [] },
  { what: 'has jobs of every kind in flight and queued', flags: ['several'] },
])('a process that ends while it $what', ({ flags }) => {
  it('exits with its own status after process.exit()', async () => {
    expect(await runFixture('exit.mjs', ['exit', ...flags])).toMatchObject({ code: 7, signal: null, stderr: '' });
  });

  it.each(['throw', 'reject'])('reports an error that nobody caught as usual (%s)', async (way) => {
    const { code, signal, stderr } = await runFixture('exit.mjs', [way, ...flags]);
    expect({ code, signal }).toEqual({ code: 1, signal: null });
    expect(stderr).toContain('Error: on purpose');
  });

  it('dies of the signal that it was sent, and of no other', async () => {
    expect(await runFixture('exit.mjs', ['signal', ...flags])).toMatchObject({ code: null, signal: 'SIGTERM' });
  });
});

describe('a worker thread that ends while it trains', () => {
  it('has the exit code and the error of Node.js, and the main thread trains on', async () => {
    const { code, signal, stdout, stderr } = await runFixture('worker-ends.mjs');
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const { ended, ...main } = JSON.parse(stdout);
    expect(ended).toEqual({
      throw: { started: true, code: 1, error: 'thrown' },
      reject: { started: true, code: 1, error: 'rejected' },
      exit: { started: true, code: 3, error: null },
      exitInCallback: { started: true, code: 4, error: null },
      throwInCallback: { started: true, code: 1, error: 'thrown in a callback' },
    });
    expect(main).toEqual({ stopped: ['aborted', 'aborted'], length: 30 });
  });
});

describe.each(['SIGTERM', 'SIGINT'] as const)('%s to a process whose threads all train', (signal) => {
  it('ends it, where nobody listens', async () => {
    const { child, said, ended } = startFixture('signalled.mjs', ['3']);
    await said('training');
    child.kill(signal);
    expect(await ended).toMatchObject({ code: null, signal, stderr: '' });
  });

  it('aborts all fits where a handler does so, and the process ends by itself', async () => {
    const { child, said, ended } = startFixture('signalled.mjs', ['3', 'abort']);
    await said('training');
    child.kill(signal);
    const { stdout, ...end } = await ended;
    expect(end).toEqual({ code: 0, signal: null, stderr: '' });
    const stopped = ['aborted', 'aborted'];
    const worker = { stopped, code: 0 };
    expect(JSON.parse(stdout.replace('training\n', ''))).toEqual({ stopped, workers: [worker, worker, worker] });
  });
});

// Windows knows no signals: there, kill() ends a process in one way only.
describe.runIf(process.platform !== 'win32')('a cluster', () => {
  it('trains and answers on, whatever ends one of its workers', async () => {
    const { code, signal, stdout, stderr } = await runFixture('cluster.mjs');
    expect({ code, signal, stderr }).toMatchObject({ code: 0, signal: null });
    expect(JSON.parse(stdout)).toEqual({
      answering: 7,
      ended: {
        kill: { code: null, signal: 'SIGKILL' },
        terminate: { code: null, signal: 'SIGTERM' },
        disconnect: { code: 0, signal: null },
        loseChannel: { code: 0, signal: null },
        throw: { code: 1, signal: null },
        reject: { code: 1, signal: null },
        exit: { code: 7, signal: null },
        last: { code: 0, length: 30 },
      },
      stopped: 'aborted',
    });
    for (const message of ['thrown on purpose', 'rejected on purpose']) expect(stderr).toContain(`Error: ${message}`);
  });

  it('leaves no worker behind when its primary is killed', async () => {
    const { child, said, ended } = startFixture('cluster.mjs', ['orphans']);
    const pids: number[] = JSON.parse(await said('\n'));
    expect(pids).toHaveLength(7);
    child.kill('SIGKILL');
    // The workers hold the other ends of its pipes: those close when the last one has ended.
    expect(await ended).toMatchObject({ code: null, signal: 'SIGKILL', stderr: '' });
  });
});
