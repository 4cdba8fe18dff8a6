import { describe, expect, it } from 'vitest';
import { runFixture } from '../helpers/fixtures.js';

describe('worker threads', () => {
  it('train side by side, may be terminated in mid-run, and leave the main thread working', async () => {
    const { code, signal, stdout, stderr } = await runFixture('workers.mjs');
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ stopped: 'aborted', length: 30 });
  });
});

describe('the thread budget', () => {
  it('is shared by the workers of a process, in which no more threads are at work than it has', async () => {
    const { code, stdout, stderr } = await runFixture('budget.mjs', ['4', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { results, most } = JSON.parse(stdout);
    expect(most).toBe(2);
    expect(results.map(({ budget }: { budget: number }) => budget)).toEqual([2, 2, 2, 2]);
    expect(new Set(results.map(({ sha256 }: { sha256: string }) => sha256)).size).toBe(1);
  });

  it('outlives the workers that set it, also where nobody else has the addon', async () => {
    const { code, stdout, stderr } = await runFixture('budget-kept.mjs');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ budgets: [7, 7] });
  });

  it('is what MNIST_TRAIN_THREADS says, and an error where that says nothing', async () => {
    const { stdout } = await runFixture('budget.mjs', ['1'], [], { MNIST_TRAIN_THREADS: '3' });
    const { initial, results } = JSON.parse(stdout);
    expect({ initial, inWorker: results[0].budget }).toEqual({ initial: 3, inWorker: 3 });
    const { code, stderr } = await runFixture('budget.mjs', ['1'], [], { MNIST_TRAIN_THREADS: 'two' });
    expect(code).toBe(1);
    expect(stderr).toContain('Expected a whole number from 1 to 256 for MNIST_TRAIN_THREADS, received "two"');
  });
});

describe.runIf(process.platform === 'linux')('a system without another thread', () => {
  it('makes a call fail, until there is one', async () => {
    const { code, stdout, stderr } = await runFixture('no-threads.mjs');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { outcome, limited, unlimited } = JSON.parse(stdout);
    expect(outcome).toMatch(/^No thread could be started/);
    expect({ limited, unlimited }).toEqual({ limited: 0, unlimited: 3 });
  });

  it('leaves a model with the threads that it has', async () => {
    const { code, stdout, stderr } = await runFixture('no-threads.mjs', ['team']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ outcome: 'trained', limited: 0, unlimited: 2 });
  });
});

describe('many worker threads', () => {
  it('may be terminated at any moment: nothing crashes, and no thread is left over', async () => {
    const seed = '3';
    const { code, signal, stdout, stderr } = await runFixture('terminations.mjs', ['48', '16', seed]);
    expect({ seed, code, signal, stderr }).toEqual({ seed, code: 0, signal: null, stderr: '' });
    const { terminations, before, after } = JSON.parse(stdout);
    expect(terminations).toBe(48);
    expect(after.threads).toBeLessThanOrEqual(before.threads);
    // Sixteen workers have some 200 MB; the allocator keeps part of it for a while.
    expect(after.megabytes - before.megabytes).toBeLessThan(250);
  });
});

describe('sessions', () => {
  it('may be disposed of and collected while the ends of their jobs are still to be reported', async () => {
    const { code, signal, stdout, stderr } = await runFixture('disposed.mjs', [], ['--expose-gc']);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    const { settled, calls } = JSON.parse(stdout);
    expect(settled).toBe(calls);
  });
});

describe('the event loop', () => {
  it('serves timers, the thread pool and predictions while a native run is in flight', async () => {
    const { code, stdout, stderr } = await runFixture('event-loop.mjs');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { stillRunning, stopped, total, batch } = JSON.parse(stdout);
    expect({ stillRunning, stopped, batch }).toEqual({ stillRunning: true, stopped: 'aborted', batch: 1000 });
    expect(total).toBeCloseTo(1, 5);
  });
});

describe('memory', () => {
  it('stays as it is while a stream of 500 MB is trained on', async () => {
    const { code, stdout, stderr } = await runFixture('stream.mjs', ['500']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { steps, epochs, peaks } = JSON.parse(stdout);
    expect({ steps, epochs }).toEqual({ steps: 4982, epochs: 1 });
    // Garbage comes and goes; a stream that was kept would add 125 MB in each quarter.
    expect(Math.max(...peaks) - peaks[0]).toBeLessThan(60);
  });

  it('does not grow when models are created, trained and dropped', async () => {
    const { code, stdout, stderr } = await runFixture('churn.mjs', [], ['--expose-gc']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // A cycle holds about 3 MB in the addon: 400 leaked ones would be over 1,000 MB.
    expect(JSON.parse(stdout).growth).toBeLessThan(100);
  });
});
