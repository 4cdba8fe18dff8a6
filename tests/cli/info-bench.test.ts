import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { requireAddon } from '../../src/backends/native/load.js';
import { benchmarks } from '../../src/cli/bench/benchmarks.js';
import { syntheticImages } from '../../src/cli/bench/data.js';
import { measure, median } from '../../src/cli/bench/measure.js';
import { type RecipeName, recipes } from '../../src/index.js';
import { RECIPE_NAMES } from '../../src/recipes/recipes.js';
import { writeDataset } from '../helpers/cli-idx.js';
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
      expect.objectContaining({ status: 'missing', path: NO_ADDON.MNIST_TRAIN_ADDON, reason: expect.any(String) }),
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
  it('measures every instruction set with one thread and more, and TypeScript', async () => {
    const { instructionSets } = requireAddon();
    const result = await runCli(['bench', '--quick', '--json', '--filter', 'matmul 64x'], { cwd });
    expect(result.status).toBe(0);
    expect(result.stderr).toContain('made-up images');
    const events = eventsOf(result);
    const names = [...new Set(events.map(({ name }) => name))];
    expect(names).toEqual(['matmul 64x128x784 NT', 'matmul 64x10x128 NT', 'matmul 64x128x10 NN']);
    for (const name of names) {
      const rows = events.filter((event) => event.name === name);
      const isas = rows.filter(({ threads }) => threads === 1).map(({ isa }) => isa);
      expect(isas).toEqual([...instructionSets, null]);
      expect(rows[0]).toMatchObject({ backend: 'native', isa: instructionSets[0], threads: 1 });
      expect(rows.at(-1)).toMatchObject({ backend: 'js', isa: null, threads: 1 });
      for (const row of rows) {
        expect(row.event).toBe('benchmark');
        expect(row.rounds).toBeGreaterThanOrEqual(1);
        expect(row.minSeconds).toBeGreaterThan(0);
        expect(row.medianSeconds).toBeGreaterThanOrEqual(row.minSeconds);
        expect(row.maxSeconds).toBeGreaterThanOrEqual(row.medianSeconds);
        const [m, n, k] = name.split(' ')[1].split('x').map(Number);
        expect(row.gflops).toBeCloseTo((2 * m * n * k) / row.medianSeconds / 1e9, 6);
        expect(row.ratio).toEqual(row === rows[0] ? undefined : rows[0].medianSeconds / row.medianSeconds);
        const ofLimit = row.backend === 'js' ? undefined : (100 * row.gflops) / row.limitGflops;
        expect(row.percentOfLimit).toEqual(ofLimit);
      }
    }
  });

  it('measures steps, epochs and predictions, and the limit', async () => {
    const listed = benchmarks({ title: '', ...syntheticImages(12_000) }).map(({ name }) => name);
    expect(listed).toEqual([
      'multiply-add limit',
      ...listed.filter((name) => name.startsWith('matmul ')),
      'conv2d 3x3 of 26x26x32 to 64, batch 64, forward',
      'conv2d 3x3 of 26x26x32 to 64, batch 64, forward and gradients',
      'conv2d 5x5 of 28x28x1 to 24, pooled, digits, batch 64, forward',
      'conv2d 5x5 of 28x28x1 to 24, pooled, digits, batch 64, forward and gradients',
      'conv2d 3x3 of 12x12x24 to 32, pooled, batch 64, forward',
      'conv2d 3x3 of 12x12x24 to 32, pooled, batch 64, forward and gradients',
      'training step 784-128-10 Adam, batch 128',
      'epoch 784-128-10 Adam, batch 128, 12000 images',
      'training step 784-128-10 Nesterov, batch 128',
      'epoch 784-128-10 Nesterov, batch 128, 12000 images',
      'training step 784-128-10 Adam, batch 128, images without zeros',
      'training step 784-512-512-10 Adam, batch 128',
      'epoch 784-512-512-10 Adam, batch 128, 12000 images',
      'predictSync of one image, 784-128-10',
      'predict of 10000 images, 784-128-10',
    ]);
    // One instruction set has the same numbers but for times.
    const env = { MNIST_TRAIN_ISA: requireAddon().instructionSets[0] };
    const backendsOf = async (filter: string) => {
      const events = eventsOf(await runCli(['bench', '--quick', '--json', '--filter', filter], { cwd, env }));
      const imagesPerSecond = events.map((event) => event.imagesPerSecond * event.medianSeconds);
      return { backends: new Set(events.map(({ backend }) => backend)), images: imagesPerSecond[0] };
    };
    expect(await backendsOf('LIMIT')).toEqual({ backends: new Set(['native']), images: Number.NaN });
    const both = new Set(['native', 'js']);
    expect(await backendsOf('step 784-128-10 nest')).toEqual({ backends: both, images: expect.closeTo(128) });
    expect(await backendsOf('epoch 784-128-10 adam')).toEqual({ backends: both, images: expect.closeTo(6000) });
    expect(await backendsOf('predictSync')).toEqual({ backends: both, images: expect.closeTo(1) });
    expect(await backendsOf('predict of')).toEqual({ backends: both, images: expect.closeTo(6000) });
  });

  it('counts every position of a convolution, and a pass for each gradient', async () => {
    const [digits, inner] = [24 * 24 * 24 * (5 * 5), 10 * 10 * 32 * (3 * 3 * 24)];
    for (const [name, multiplyAdds] of [
      ['conv2d 3x3 of 12x12x24 to 32, pooled, batch 64, forward', inner],
      ['conv2d 3x3 of 12x12x24 to 32, pooled, batch 64, forward and gradients', 3 * inner],
      // Nothing before the first layer learns.
      ['conv2d 5x5 of 28x28x1 to 24, pooled, digits, batch 64, forward and gradients', 2 * digits],
    ] as const) {
      const all = eventsOf(await runCli(['bench', '--quick', '--json', '--filter', name], { cwd }));
      const events = all.filter((event) => event.name === name);
      expect(new Set(events.map(({ backend }) => backend))).toEqual(new Set(['native', 'js']));
      for (const { gflops, imagesPerSecond, medianSeconds } of events) {
        expect(imagesPerSecond * medianSeconds).toBeCloseTo(64, 6);
        expect(gflops * medianSeconds).toBeCloseTo((2 * 64 * multiplyAdds) / 1e9, 6);
      }
    }
  });

  it('--recipes trains every recipe with the seeds asked for', async () => {
    const data = writeDataset(join(workspace.folder, 'data'), 130, 40);
    const args = ['bench', '--recipes', '--seeds', '2', '--data-dir', data];
    const events = eventsOf(await runCli([...args, '--json'], { cwd }));
    expect(events.map(({ event, name }) => [event, name])).toEqual(RECIPE_NAMES.map((name) => ['recipe', name]));
    for (const row of events) {
      expect(row).toMatchObject({ seeds: 2, epochs: recipes[row.name as RecipeName].fit.epochs });
      expect(row.meanAccuracy).toBeCloseTo((row.minAccuracy + row.maxAccuracy) / 2, 10);
      expect(row.maxSeconds).toBeGreaterThanOrEqual(row.medianSeconds);
      expect(row.minSeconds).toBeGreaterThan(0);
    }
    expect((await runCli(args, { cwd })).stdout).toMatch(/^fast +2 epochs +\d+\.\d\d %/m);
    for (const wrong of [
      ['--seeds', '2'],
      ['--recipes', '--quick'],
      ['--recipes', '--filter', 'slow'],
    ]) {
      expect((await runCli(['bench', ...wrong], { cwd })).status).toBe(2);
    }
  });

  it('shows people a table of each', async () => {
    const { stdout } = await runCli(['bench', '--quick', '--filter', '64x10x128'], { cwd });
    const [, , name, head, first, ...rest] = stdout.split('\n');
    expect(name).toBe('matmul 64x10x128 NT');
    expect(head.trim().split(/ {2,}/)).toEqual([
      ...['median', 'min', 'max', 'GFLOP/s', 'of limit', 'images/s', 'ratio'],
    ]);
    expect(first).toMatch(/^native \(\w+\), 1 thread +\d\S* [µm]s +\S+ [µm]s +\S+ [µm]s +\d\S* +\d+ %$/);
    expect(rest.filter((line) => line !== '').at(-1)).toMatch(/^TypeScript .* [\d.]+$/);
  });

  it('measures one instruction set where $MNIST_TRAIN_ISA names it', async () => {
    const isa = requireAddon().instructionSets.at(-1)!;
    const result = await runCli(['bench', '--quick', '--json', '--filter', 'limit'], {
      cwd,
      env: { MNIST_TRAIN_ISA: isa },
    });
    expect(new Set(eventsOf(result).map((event) => event.isa))).toEqual(new Set([isa]));
  });

  it('says what it leaves out without the addon', async () => {
    const result = await runCli(['bench', '--quick', '--json', '--filter', 'limit'], { cwd, env: NO_ADDON });
    expect(result.status).toBe(0);
    expect(eventsOf(result)).toEqual([]);
    expect(errorLines(result)).toContain('Left out without the native addon: multiply-add limit.');
  });

  it('says which names there are when none has the filter', async () => {
    const result = await runCli(['bench', '--quick', '--filter', 'convolution'], { cwd });
    expect(result.status).toBe(2);
    expect(errorLines(result)).toEqual([
      expect.stringMatching(
        /^mnist-train: Expected a part of a name for --filter, received "convolution"\. Names: mul/,
      ),
    ]);
  });

  it('fails when a folder was named that has no images', async () => {
    const result = await runCli(['bench', '--quick', '--data-dir', workspace.make('empty')], { cwd });
    expect(result.status).toBe(1);
    expect(errorLines(result)[0]).toContain('empty');
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
  const EFFORT = {
    ...{ rounds: 3, leastRounds: 1, sampleSeconds: 0.001, contenderSeconds: 1000 },
    signal: new AbortController().signal,
  };

  it('takes turns, and gives times per repetition', async () => {
    const turns: string[] = [];
    const contender = (name: string, seconds: number[]) => ({
      run: async (repetitions: number) => {
        turns.push(`${name} ${repetitions}`);
        return seconds.shift()! * repetitions;
      },
    });
    // The first numbers are calibration: 0.25 s is enough to aim at 1 s with 4 repetitions; 0.1 s is not, 2 · 0.2 s is.
    const measured = await measure([contender('a', [0.25, 0.3, 0.1, 0.2]), contender('b', [0.1, 0.2, 0.5, 0.4, 0.9])], {
      ...EFFORT,
      sampleSeconds: 1,
    });
    expect(turns).toEqual(['a 1', 'b 1', 'b 2', ...['a 4', 'b 5', 'a 4', 'b 5', 'a 4', 'b 5']]);
    expect(measured).toEqual([
      {
        rounds: 3,
        medianSeconds: expect.closeTo(0.2),
        minSeconds: expect.closeTo(0.1),
        maxSeconds: expect.closeTo(0.3),
      },
      {
        rounds: 3,
        medianSeconds: expect.closeTo(0.5),
        minSeconds: expect.closeTo(0.4),
        maxSeconds: expect.closeTo(0.9),
      },
    ]);
  });

  it('gives a slow contender fewer rounds, and never fewer than the least', async () => {
    const contender = (seconds: number) => ({ run: async (repetitions: number) => seconds * repetitions });
    const contenders = [contender(1), contender(4), contender(100)];
    const measured = await measure(contenders, { ...EFFORT, rounds: 9, leastRounds: 2, contenderSeconds: 20 });
    expect(measured.map(({ rounds }) => rounds)).toEqual([9, 5, 2]);
  });

  it('stops between two samples when the signal says so', async () => {
    const controller = new AbortController();
    const run = async () => {
      controller.abort();
      return 1;
    };
    const running = measure([{ run }], { ...EFFORT, signal: controller.signal });
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
