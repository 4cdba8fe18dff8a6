import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { syntheticImages } from '../../src/cli/bench/data.js';
import { measure, median } from '../../src/cli/bench/measure.js';
import { errorLines, eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const cwd = workspace.make('work');
const NO_ADDON = { MNIST_TRAIN_ADDON: join(workspace.folder, 'missing.node') };

afterAll(() => workspace.remove());

describe('info', () => {
  it('emits one info with the backend and every place that was tried', async () => {
    const result = await runCli(['info', '--json'], { cwd });
    expect(result.status).toBe(0);
    const events = eventsOf(result);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      event: 'info',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      backend: expect.stringMatching(/^(native|js)$/),
      threads: expect.any(Number),
      dataDirectory: join(cwd, 'no-data'),
      node: process.version,
    });
    expect(events[0].candidates[0]).toMatchObject({ path: expect.any(String), source: expect.any(String) });
  });

  it('gives the reason where the addon did not load', async () => {
    const result = await runCli(['info', '--json'], { cwd, env: NO_ADDON });
    const [{ backend, isa, candidates }] = eventsOf(result);
    expect({ backend, isa }).toEqual({ backend: 'js', isa: null });
    expect(candidates).toEqual([
      expect.objectContaining({ status: 'missing', reason: expect.stringContaining('missing.node') }),
    ]);
    const people = await runCli(['info'], { cwd, env: NO_ADDON });
    expect(people.stdout).toMatch(/^backend +TypeScript$/m);
    expect(people.stdout).toMatch(/^native addon +missing: .*missing\.node/m);
  });

  it('--program lists the default model: operations, buffers with shapes, memory', async () => {
    const result = await runCli(['info', '--program'], { cwd });
    expect(result.stdout).toContain('Section train, up to 128 samples a step');
    expect(result.stdout).toMatch(/dense {2}activation=relu/);
    expect(result.stdout).toMatch(/reads .*train\/inputs \[128, 28, 28, 1\], 0\.weight \[784, 128\]/);
    expect(result.stdout).toMatch(/^parameters +\d+\.\d kB$/m);
    const events = eventsOf(await runCli(['info', '--program', '--json'], { cwd }));
    const operations = events.filter(({ event }) => event === 'operation');
    expect(operations[0]).toMatchObject({ section: 'train', step: 0, op: 'gather', fields: { source: 'inputs' } });
    expect(events.at(-1)).toMatchObject({ event: 'memory', regions: { parameters: expect.any(Number) } });
  });
});

describe('bench', () => {
  it('measures both backends on every kind of work', async () => {
    const result = await runCli(['bench', '--quick', '--json'], { cwd });
    expect(result.status).toBe(0);
    expect(result.stderr).toContain('made-up images');
    const events = eventsOf(result);
    const names = new Set(events.map(({ name }) => name));
    for (const word of ['matmul 128x784x128', 'training step', 'epoch of', 'one image', '1000 images']) {
      expect([...names].join()).toContain(word);
    }
    for (const event of events) {
      expect(event.event).toBe('benchmark');
      expect(event.minSeconds).toBeGreaterThan(0);
      expect(event.medianSeconds).toBeGreaterThanOrEqual(event.minSeconds);
      expect(event.threads).toBeGreaterThanOrEqual(1);
      expect('ratio' in event).toBe(event.backend === 'native');
      if (event.name.startsWith('matmul')) {
        const [m, k, n] = event.name.split(' ')[1].split('x').map(Number);
        expect(event.gflops).toBeCloseTo((2 * m * k * n) / event.medianSeconds / 1e9, 6);
      }
    }
    for (const name of names) {
      const backends = events.filter((event) => event.name === name).map(({ backend }) => backend);
      expect(backends.at(-1)).toBe('js');
      expect(backends[0]).toBe('native');
    }
  });

  it('measures TypeScript alone without the addon, and says so', async () => {
    let told = false;
    const result = await runCli(['bench', '--quick', '--json'], {
      cwd,
      env: NO_ADDON,
      onOutput: (child, { stdout }) => {
        if (told || stdout.split('\n').length < 3) return;
        told = true;
        child.kill('SIGINT');
      },
    });
    expect(result.status).toBe(130);
    expect(errorLines(result)[0]).toMatch(/did not load.*missing\.node.*Measuring TypeScript alone/);
    expect(new Set(eventsOf(result).map(({ backend }) => backend))).toEqual(new Set(['js']));
  });
});

describe('measure', () => {
  it('takes turns, and gives times per repetition', async () => {
    const turns: string[] = [];
    const contender = (isa: 'avx2' | 'avx512', seconds: number[]) => ({
      engine: { backend: 'native' as const, isa, threads: 1 },
      run: async (repetitions: number) => {
        turns.push(`${isa} ${repetitions}`);
        return seconds.shift()! * repetitions;
      },
    });
    // The first numbers are calibration: 0.25 s is enough to aim at 1 s with 4 repetitions; 0.1 s is not, 2 · 0.2 s is.
    const measured = await measure(
      [contender('avx2', [0.25, 0.3, 0.1, 0.2]), contender('avx512', [0.1, 0.2, 0.5, 0.4, 0.9])],
      { rounds: 3, sampleSeconds: 1, signal: new AbortController().signal },
    );
    expect(turns).toEqual([
      'avx2 1',
      'avx512 1',
      'avx512 2',
      ...['avx2 4', 'avx512 5', 'avx2 4', 'avx512 5', 'avx2 4', 'avx512 5'],
    ]);
    expect(measured.map(({ medianSeconds, minSeconds }) => [medianSeconds, minSeconds])).toEqual([
      [expect.closeTo(0.2), expect.closeTo(0.1)],
      [expect.closeTo(0.5), expect.closeTo(0.4)],
    ]);
  });

  it('stops between two samples when the signal says so', async () => {
    const controller = new AbortController();
    const run = async () => {
      controller.abort();
      return 1;
    };
    const contender = { engine: { backend: 'js' as const, isa: null, threads: 1 }, run };
    const running = measure([contender], { rounds: 5, sampleSeconds: null, signal: controller.signal });
    await expect(running).rejects.toThrow('abort');
  });

  it('takes the middle, or the mean of the two in the middle', () => {
    expect(median([5, 1, 9])).toBe(5);
    expect(median([4, 1, 9, 2])).toBe(3);
  });
});

it('made-up images are as sparse as MNIST and stay in its box', () => {
  const { inputs, targets, count } = syntheticImages(200);
  const share = inputs.filter((value) => value !== 0).length / inputs.length;
  expect(share).toBeGreaterThan(0.19);
  expect(share).toBeLessThan(0.2);
  const outside = inputs.filter((value, index) => {
    const [row, column] = [Math.floor((index % 784) / 28), index % 28];
    return value !== 0 && (Math.min(row, column) < 4 || Math.max(row, column) > 23);
  });
  expect(outside).toHaveLength(0);
  expect(count).toBe(200);
  expect(targets[13]).toBe(3);
});
