import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { adamw, dense, loadDataset, loadModel, recipes, sequential } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runShell } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
const SMALL = ['--data-dir', data, '--hidden', '16', '--batch-size', '20', '--learning-rate', '0.02'];

afterAll(() => workspace.remove());

describe('train --json', () => {
  it('writes start, an epoch each and done to stdout, and nothing else', async () => {
    const cwd = workspace.make('json');
    const result = await runCli(['train', ...SMALL, '--epochs', '3', '--seed', '7', '--json'], { cwd });
    expect(result.status).toBe(0);
    const events = eventsOf(result);
    expect(events.map(({ event }) => event)).toEqual(['start', 'epoch', 'epoch', 'epoch', 'done']);
    expect(events[0]).toMatchObject({
      dataset: 'mnist',
      trainCount: 400,
      testCount: 100,
      network: '784-16-10',
      parameters: 784 * 16 + 16 + 16 * 10 + 10,
      epochs: 3,
      batchSize: 20,
      optimizer: 'adam',
      learningRate: 0.02,
      seed: 7,
    });
    expect(events.slice(1, 4).map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    for (const epoch of events.slice(1, 4)) {
      expect(epoch).toEqual({
        event: 'epoch',
        epoch: epoch.epoch,
        epochs: 3,
        loss: expect.any(Number),
        accuracy: expect.any(Number),
        learningRate: expect.any(Number),
        seconds: expect.any(Number),
      });
    }
    const { backend, isa, threads } = events[0];
    expect(events[4]).toEqual({
      event: 'done',
      testAccuracy: 1,
      testLoss: expect.any(Number),
      trainSeconds: expect.any(Number),
      epochs: 3,
      parameters: 12730,
      backend,
      isa,
      threads,
      seed: 7,
      weightsSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      model: 'mnist-model.safetensors',
    });
    expect(result.stderr).toContain('Test accuracy 100.00 %');
    expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
  });

  it('gives the same weights for any number of threads, others for another seed', async () => {
    const cwd = workspace.make('threads');
    const hash = async (...flags: string[]) => {
      const events = eventsOf(await runCli([...SMALL, '--epochs', '2', '--json', ...flags], { cwd }));
      return events.at(-1)?.weightsSha256;
    };
    const first = await hash('--threads', '1');
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await hash('--threads', '2')).toBe(first);
    expect(await hash('--seed', '43')).not.toBe(first);
  });

  it('reports validation when a part is kept aside for it', async () => {
    const cwd = workspace.make('validation');
    const flags = ['--epochs', '1', '--validation-split', '0.25', '--out', 'v.safetensors', '--json'];
    const epoch = eventsOf(await runCli([...SMALL, ...flags], { cwd })).find(({ event }) => event === 'epoch');
    expect(epoch?.validationAccuracy).toBeGreaterThanOrEqual(0);
    expect(epoch?.validationLoss).toBeGreaterThan(0);
  });

  it('trains with every optimizer, schedule and activation that it offers', async () => {
    const cwd = workspace.make('options');
    const sets = [
      ['--optimizer', 'sgd', '--learning-rate', '0.1', '--momentum', '0.5', '--schedule', 'constant'],
      ['--schedule', 'step'],
      ['--schedule', 'exponential', '--learning-rate', '0.03'],
      ['--schedule', 'cosine', '--warmup', '10'],
      ['--schedule', 'plateau', '--validation-split', '0.2'],
      ['--activation', 'gelu', '--label-smoothing', '0.1', '--hidden', '12,11', '--backend', 'js'],
      ['--optimizer', 'adamw', '--weight-decay', '0.1'],
      ['--optimizer', 'rmsprop', '--learning-rate', '0.01', '--momentum', '0.5'],
      ['--optimizer', 'adagrad', '--learning-rate', '0.1', '--backend', 'js'],
      ['--optimizer', 'lion', '--learning-rate', '0.005'],
    ];
    for (const flags of sets) {
      const result = await runCli([...SMALL, '--epochs', '4', '--json', ...flags], { cwd });
      expect(eventsOf(result).at(-1), result.stderr).toMatchObject({ event: 'done', testAccuracy: 1 });
    }
  });
});

describe('train with callbacks', () => {
  it('--early-stopping ends with the best weights, --csv and --tensorboard write every epoch', async () => {
    const cwd = workspace.make('callbacks');
    const flags = ['--epochs', '50', '--validation-split', '0.25', '--early-stopping', '2', '--csv', 'epochs.csv'];
    const learning = ['--schedule', 'constant', '--learning-rate', '0.05', '--label-smoothing', '0.3'];
    const result = await runCli([...SMALL, ...flags, ...learning, '--tensorboard', 'logs/run', '--json'], { cwd });
    expect(result.status, result.stderr).toBe(0);
    const events = eventsOf(result);
    const epochs = events.filter(({ event }) => event === 'epoch') as { epoch: number; validationLoss: number }[];
    const best = epochs.reduce((a, b) => (b.validationLoss < a.validationLoss ? b : a));
    expect(epochs.length).toBe(best.epoch + 2);
    expect(epochs.length).toBeLessThan(50);
    expect(events.at(-1)).toMatchObject({
      event: 'done',
      epochs: epochs.length,
      stopReason: expect.stringContaining(`of epoch ${best.epoch} for 2 epochs`),
    });
    expect(result.stderr).toContain('Stopped early: validationLoss was no better than');

    const [names, ...rows] = readFileSync(join(cwd, 'epochs.csv'), 'utf8').trimEnd().split('\n');
    const column = names.split(',').indexOf('validationLoss');
    expect(rows.map((row) => Number(row.split(',')[column]))).toEqual(epochs.map((epoch) => epoch.validationLoss));
    for (const run of ['train', 'validation']) {
      expect(readdirSync(join(cwd, 'logs', 'run', run))).toEqual([expect.stringContaining('tfevents')]);
    }
    // As many epochs as the best one has leave the same weights: those rates do not depend on the length.
    const epochsToBest = ['--epochs', String(best.epoch), '--validation-split', '0.25'];
    const again = await runCli([...SMALL, ...learning, ...epochsToBest, '--json'], { cwd });
    expect(eventsOf(again).at(-1)?.weightsSha256).toBe(events.at(-1)?.weightsSha256);
  });

  it('refuses what cannot be, before any work', async () => {
    const cwd = workspace.make('callbacks-refused');
    writeFileSync(join(cwd, 'file'), '');
    const refused: [string[], RegExp][] = [
      [['--early-stopping', '2'], /Expected --validation-split or --fold with --early-stopping/],
      [['--early-stopping', '0', '--validation-split', '0.1'], /from 1 to 100000 for --early-stopping, received "0"/],
      [['--csv', 'missing/epochs.csv'], /--csv, received "missing\/epochs.csv". Make the folder/],
      [['--csv', ''], /the name of a file for --csv/],
      [['--tensorboard', 'file'], /the name of a folder for --tensorboard, received "file". This is a file./],
    ];
    for (const [flags, message] of refused) {
      const result = await runCli([...SMALL, ...flags], { cwd });
      expect(result.status).toBe(2);
      expect(errorLines(result)).toEqual([expect.stringMatching(message)]);
      expect(readdirSync(cwd)).toEqual(['file']);
    }
  });
});

it('clips, decays and averages as the options say, and evaluates and saves the averages', async () => {
  const cwd = workspace.make('averages');
  const options = ['--optimizer', 'adamw', '--weight-decay', '0.2', '--clip-norm', '0.5', '--ema', '0.9'];
  const flags = ['--epochs', '2', '--seed', '3', '--schedule', 'constant', '--json'];
  const done = eventsOf(await runCli([...SMALL, ...options, ...flags], { cwd })).at(-1);
  const layers = [
    dense({ units: 16, activation: 'relu', kernelInitializer: 'heUniform' }),
    dense({ units: 10, activation: 'softmax' }),
  ];
  const model = sequential(layers, { inputShape: [28, 28, 1], seed: 3 });
  const common = { globalClipNorm: 0.5, useEma: true, emaMomentum: 0.9 };
  model.compile({
    optimizer: adamw({ learningRate: 0.02, weightDecay: 0.2, ...common }),
    loss: 'categoricalCrossentropy',
  });
  const { train, test } = await loadDataset('mnist', { dataDir: data });
  await model.fit(train, { epochs: 2, batchSize: 20 });
  expect(done).toMatchObject({ event: 'done', weightsSha256: model.weightsSha256() });
  expect(done?.testLoss).toBe((await model.evaluate(test)).loss);
  const saved = await loadModel(join(cwd, 'mnist-model.safetensors'));
  expect(saved.weightsSha256()).toBe(model.weightsSha256());
  for (const each of [model, saved]) each.dispose();
});

describe('train for people', () => {
  it('is the default command, and writes a line per epoch and no control codes into a pipe', async () => {
    const cwd = workspace.make('people');
    const result = await runCli([...SMALL, '--epochs', '2', '--out', 'a model.safetensors'], { cwd });
    expect(result.status).toBe(0);
    expect(result.stdout).not.toContain('\x1b');
    expect(result.stdout.match(/^Epoch \d\/2 {2}loss \d\.\d{4} {2}accuracy \d+\.\d\d %/gm)).toHaveLength(2);
    expect(result.stdout).toContain('Training 784-16-10');
    expect(result.stdout).toContain('Test accuracy');
    expect(result.stdout).toContain("mnist-train evaluate 'a model.safetensors' --data-dir");
    expect(existsSync(join(cwd, 'a model.safetensors'))).toBe(true);
  });

  it('ends quietly when its reader goes away', async () => {
    const cwd = workspace.make('reader');
    const args = `${SMALL.map((word) => `'${word}'`).join(' ')} --epochs 100000`;
    const result = await runShell(`"$NODE" "$CLI" ${args} | head -1; echo "\${PIPESTATUS[0]}"`, { cwd });
    const lines = result.stdout.trim().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain('Training');
    expect(lines[1]).toBe('141');
    expect(errorLines(result)).toEqual([]);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe('the choice of backend', () => {
  const missing = { MNIST_TRAIN_ADDON: join(workspace.folder, 'missing.node') };

  it('goes on in TypeScript when the addon is missing, and says so once', async () => {
    const cwd = workspace.make('fallback');
    const result = await runCli([...SMALL, '--epochs', '1', '--json'], { cwd, env: missing });
    expect(result.status).toBe(0);
    expect(eventsOf(result).at(-1)).toMatchObject({ event: 'done', backend: 'js', isa: null, threads: 1 });
    const told = errorLines(result).filter((line) => line.includes('did not load'));
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('missing.node');
    expect(result.stderr).not.toContain('Warning');
  });

  it('fails with every reason when native was asked for', async () => {
    const cwd = workspace.make('native');
    const result = await runCli([...SMALL, '--backend', 'native'], { cwd, env: missing });
    expect(result.status).toBe(1);
    expect(errorLines(result)).toEqual([expect.stringMatching(/^mnist-train: .*did not load.*missing\.node/)]);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('refuses an instruction set that does not exist', async () => {
    const cwd = workspace.make('isa');
    const result = await runCli([...SMALL], { cwd, env: { MNIST_TRAIN_ISA: 'mmx' } });
    expect(result.status).toBe(2);
    expect(errorLines(result)).toEqual([expect.stringContaining('MNIST_TRAIN_ISA, received "mmx"')]);
  });
});

it('leaves a model alone when training fails', async () => {
  const cwd = workspace.make('diverged');
  const first = await runCli([...SMALL, '--epochs', '1'], { cwd });
  expect(first.status).toBe(0);
  const before = readFileSync(join(cwd, 'mnist-model.safetensors'));
  const flags = ['--optimizer', 'sgd', '--schedule', 'constant', '--learning-rate', '1e30', '--epochs', '3'];
  const result = await runCli([...SMALL, ...flags], { cwd });
  expect(result.status).toBe(1);
  expect(errorLines(result)).toEqual([expect.stringMatching(/Expected a finite loss.*Lower the learning rate/)]);
  expect(readFileSync(join(cwd, 'mnist-model.safetensors')).equals(before)).toBe(true);
  expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
});

it('that diverges after whole epochs keeps the weights of before, but in no place of another model', async () => {
  const cwd = workspace.make('diverged-late');
  // One step an epoch: the loss grows beyond all bounds within a few.
  const flags = ['--optimizer', 'sgd', '--schedule', 'constant', '--learning-rate', '1e9', '--batch-size', '400'];
  const line = [...SMALL, ...flags, '--epochs', '30'];
  const result = await runCli(line, { cwd });
  expect(result.status).toBe(1);
  expect(result.stderr).toContain('The model from before it diverged is in mnist-model.safetensors.');
  const model = await loadModel(join(cwd, 'mnist-model.safetensors'));
  expect(model.getWeights().every((values) => values.every(Number.isFinite))).toBe(true);
  model.dispose();
  const before = readFileSync(join(cwd, 'mnist-model.safetensors'));
  const again = await runCli([...line, '--seed', '1'], { cwd });
  expect(again.status).toBe(1);
  expect(again.stderr).not.toContain('The model from before');
  expect(readFileSync(join(cwd, 'mnist-model.safetensors')).equals(before)).toBe(true);
});

describe('train --recipe', () => {
  const RECIPE = ['--data-dir', data, '--recipe', 'fast', '--json'];

  it("trains the recipe's network as the recipe says, and says so", async () => {
    const cwd = workspace.make('recipe');
    const [start, ...rest] = eventsOf(await runCli([...RECIPE, '--seed', '3'], { cwd }));
    expect(start).toMatchObject({
      recipe: 'fast',
      network: '784-160-10',
      epochs: 2,
      batchSize: 128,
      optimizer: 'adam',
    });
    expect(rest.map(({ event }) => event)).toEqual(['epoch', 'epoch', 'done']);
    const model = recipes.fast.build({ inputShape: [28, 28, 1], seed: 3 });
    const { train } = await loadDataset('mnist', { dataDir: data });
    await model.fit(train, recipes.fast.fit);
    expect(rest.at(-1)?.weightsSha256).toBe(model.weightsSha256());
    model.dispose();
  });

  it('takes another length, and refuses what the recipe decides', async () => {
    const cwd = workspace.make('recipe-other');
    const [start] = eventsOf(await runCli([...RECIPE, '--epochs', '1', '--batch-size', '50'], { cwd }));
    expect(start).toMatchObject({ recipe: 'fast', epochs: 1, batchSize: 50 });
    const refused = await runCli([...RECIPE, '--learning-rate', '0.1'], { cwd });
    expect(refused.status).toBe(2);
    expect(errorLines(refused)).toEqual([
      expect.stringMatching(/Expected no --learning-rate with --recipe fast.*Leave one of them out\./),
    ]);
    expect((await runCli([...RECIPE, '--recipe', 'slow'], { cwd })).status).toBe(2);
  });
});
