import { appendFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { adam, dense, kFold, loadDataset, oneCycle, sequential } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runOnTerminal, runShell } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'), 200, 50);
const TRAIN = ['--data-dir', data, '--batch-size', '20'];
const lines = (folder: string) => readFileSync(join(folder, 'results.jsonl'), 'utf8').split('\n').slice(0, -1);

afterAll(() => workspace.remove());

describe('train --fold', () => {
  it('trains on the other parts and validates on this one, as kFold divides them', async () => {
    const cwd = workspace.make('fold');
    const flags = ['--hidden', '8', '--epochs', '2', '--learning-rate', '0.01', '--fold', '2/4', '--json'];
    const events = eventsOf(await runCli(['train', ...TRAIN, ...flags], { cwd }));
    expect(events[0]).toMatchObject({ event: 'start', trainCount: 200, fold: 2, folds: 4 });
    const { train } = await loadDataset('mnist', { dataDir: data });
    const parts = [...kFold(train, { folds: 4 })][1];
    expect([parts.train.count, parts.validation.count]).toEqual([150, 50]);
    const layers = [
      dense({ units: 8, activation: 'relu', kernelInitializer: 'heUniform' }),
      dense({ units: 10, activation: 'softmax' }),
    ];
    const model = sequential(layers, { inputShape: [28, 28, 1], seed: 42 });
    model.compile({ optimizer: adam({ learningRate: oneCycle(0.01) }), loss: 'categoricalCrossentropy' });
    const options = { epochs: 2, batchSize: 20, validationData: parts.validation };
    const { history } = await model.fit(parts.train, options);
    expect(events.at(-1)?.weightsSha256).toBe(model.weightsSha256());
    const epochs = events.filter(({ event }) => event === 'epoch');
    expect(epochs.map(({ validationLoss }) => validationLoss)).toEqual(history.validationLoss);
    model.dispose();
  });

  it.each([
    [
      '--fold 0/5',
      /Expected a part and the number of parts, from 2 to 1000, such as 1\/5, for --fold, received "0\/5"/,
    ],
    ['--fold 6/5', /--fold, received "6\/5"/],
    ['--fold 1/1', /--fold, received "1\/1"/],
    ['--fold 2', /--fold, received "2"/],
    ['--fold 1/5 --validation-split 0.2', /Expected --fold or --validation-split, received both/],
  ])('%s: wrong usage', async (line, says) => {
    const result = await runCli(['train', ...line.split(' ')], { cwd: workspace.folder });
    expect(result.status).toBe(2);
    expect(errorLines(result)).toEqual([expect.stringMatching(says)]);
  });
});

describe('sweep', () => {
  it('runs a grid, ranks it by validation accuracy, and names the command for the best', async () => {
    const cwd = workspace.make('grid');
    const words = ['sweep', '--grid', 'hidden=4', '16,8', '--grid', 'epochs=1', '6', '--out', 'a/b', ...TRAIN];
    const result = await runCli([...words, '--json'], { cwd });
    expect(result.status, result.stderr).toBe(0);
    const events = eventsOf(result);
    expect(events.map(({ event }) => event)).toEqual(['trial', 'trial', 'trial', 'trial', 'sweep']);
    const trials = events.slice(0, 4);
    expect(trials.map(({ trial }) => trial).sort()).toEqual([1, 2, 3, 4]);
    for (const { event, trials: count, ...trial } of trials) {
      expect(count).toBe(4);
      expect(lines(join(cwd, 'a/b')).map((line) => JSON.parse(line))).toContainEqual(trial);
    }
    const sweep = events[4];
    const { results } = sweep;
    expect(sweep).toMatchObject({ out: 'a/b', trials: 4, finished: 4, failed: 0, best: results[0].trial });
    const accuracies = results.map((trial: { validationAccuracy: number }) => trial.validationAccuracy);
    expect(accuracies).toEqual([...accuracies].sort((a, b) => b - a));
    expect(accuracies[0]).toBeGreaterThan(accuracies[3]);
    const { hidden, epochs } = results[0].options;
    expect(sweep.command).toBe(`mnist-train train ${TRAIN.join(' ')} --hidden ${hidden} --epochs ${epochs}`);
    expect(readdirSync(join(cwd, 'a/b')).sort()).toEqual(['results.jsonl', 'sweep.json']);

    // A trial's numbers are those of the same training by itself, after its last epoch.
    const alone = [...TRAIN, '--validation-split', '0.1', '--hidden', '4', '--epochs', '6', '--json'];
    const own = eventsOf(await runCli(['train', ...alone], { cwd }));
    const { validationLoss, runs } = results.find(({ trial }: { trial: number }) => trial === 2);
    expect(validationLoss).toBe(own.filter(({ event }) => event === 'epoch').at(-1)?.validationLoss);
    expect(runs[0].weightsSha256).toBe(own.at(-1)?.weightsSha256);
  });

  it('draws the same trials for the same seed, and measures them on every fold', async () => {
    const cwd = workspace.make('random');
    const words = ['sweep', '--random', 'learning-rate=0.001..0.1:log', '--trials', '2', '--folds', '3', ...TRAIN];
    const flags = ['--hidden', '4', '--epochs', '1', '--parallel', '2', '--json'];
    const run = async (...more: string[]) => {
      const result = await runCli([...words, ...flags, ...more], { cwd });
      expect(result.status, result.stderr).toBe(0);
      return eventsOf(result).at(-1)!;
    };
    const first = await run('--out', 'first', '--keep-models');
    expect(first.results).toHaveLength(2);
    for (const { validationAccuracy, deviation, runs } of first.results) {
      expect(runs.map(({ fold }: { fold: number }) => fold)).toEqual([1, 2, 3]);
      const [a, b, c] = runs.map((one: { validationAccuracy: number }) => one.validationAccuracy);
      expect(validationAccuracy).toBeCloseTo((a + b + c) / 3, 12);
      const squares = [a, b, c].reduce((sum, value) => sum + (value - validationAccuracy) ** 2, 0);
      expect(deviation).toBeCloseTo(Math.sqrt(squares / 2), 12);
    }
    expect(readdirSync(join(cwd, 'first/models')).sort()).toEqual(
      [1, 2].flatMap((trial) => [1, 2, 3].map((fold) => `trial-${trial}-fold-${fold}.safetensors`)),
    );
    // One after the other, in another folder: the same trials with the same weights.
    const again = await run('--out', 'again', '--parallel', '1');
    const hashes = ({ results }: typeof first) =>
      results.map(({ options, runs }: { options: object; runs: { weightsSha256: string }[] }) => [
        options,
        runs.map(({ weightsSha256 }) => weightsSha256),
      ]);
    expect(hashes(again)).toEqual(hashes(first));
    expect(existsSync(join(cwd, 'again/models'))).toBe(false);
  });

  it('records a trial that fails and goes on', async () => {
    const cwd = workspace.make('failing');
    const words = ['sweep', '--grid', 'learning-rate=1e30', '0.01', ...TRAIN, '--optimizer', 'sgd', '--epochs', '2'];
    const result = await runCli([...words, '--schedule', 'constant'], { cwd });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stdout).toMatch(/Trial 1\/2 {2}learning-rate 1e30 {2}failed: Expected a finite loss/);
    expect(result.stdout).toMatch(/^ +2 +0\.01 +[\d.]+ %.*\n +1 +1e30 +failed$/m);
    expect(result.stdout).toContain('Best on validation images: trial 2');
    expect(result.stdout).not.toContain('\x1b');
    // The failure is a result: nothing runs again.
    const again = await runCli([...words, '--schedule', 'constant', '--json'], { cwd });
    expect(eventsOf(again).map(({ event }) => event)).toEqual(['sweep']);
  });

  it('ends with status 1 when every trial failed', async () => {
    const cwd = workspace.make('all-failing');
    const words = ['sweep', '--grid', 'learning-rate=1e30', '1e31', ...TRAIN, '--optimizer', 'sgd', '--epochs', '2'];
    const result = await runCli([...words, '--schedule', 'constant', '--json'], { cwd });
    expect(result.status).toBe(1);
    expect(errorLines(result).at(-1)).toMatch(/^mnist-train: All 2 trials failed\. Trial 1: Expected a finite loss/);
    expect(eventsOf(result).at(-1)).toMatchObject({
      event: 'sweep',
      finished: 2,
      failed: 2,
      best: null,
      command: null,
    });
  });
});

describe('a sweep that was stopped', () => {
  const words = ['sweep', '--grid', 'seed=1', '2', '3', '4', ...TRAIN, '--hidden', '8', '--epochs', '3', '--json'];

  it('by SIGKILL goes on with what is missing, and a torn line runs again', async () => {
    const cwd = workspace.make('killed');
    const folder = join(cwd, 'mnist-sweep');
    const killed = await runCli([...words, '--parallel', '1'], {
      cwd,
      onOutput: (child, { stdout }) => {
        if (stdout.split('"event":"trial"').length > 2) child.kill('SIGKILL');
      },
    });
    expect(killed.status).toBe(137);
    const before = lines(folder);
    expect(before.length).toBeGreaterThanOrEqual(2);
    expect(before.length).toBeLessThan(4);
    appendFileSync(join(folder, 'results.jsonl'), before[0].slice(0, 40));
    const result = await runCli(words, { cwd });
    expect(result.status, result.stderr).toBe(0);
    expect(result.stderr).toContain('The last line in mnist-sweep was not whole. Its trial runs again.');
    expect(result.stderr).toContain(`${before.length} trials done before`);
    const events = eventsOf(result);
    expect(events).toHaveLength(4 - before.length + 1);
    expect(lines(folder).slice(0, before.length)).toEqual(before);
    // The same numbers as in one go.
    const whole = await runCli([...words, '--out', 'whole'], { cwd });
    const results = (last: (typeof events)[number]) =>
      last.results.map(({ trial, runs }: { trial: number; runs: { weightsSha256: string }[] }) => [
        trial,
        runs[0].weightsSha256,
      ]);
    expect(results(events.at(-1)!)).toEqual(results(eventsOf(whole).at(-1)!));
    expect(readdirSync(folder).sort()).toEqual(['results.jsonl', 'sweep.json']);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'by %s ends its trainings, keeps what is done, and says so',
    async (signal) => {
      const cwd = workspace.make(signal);
      let sent = false;
      // The second trial could never end.
      const endless = ['sweep', '--grid', 'epochs=1', '100000', ...TRAIN, '--hidden', '8', '--parallel', '2', '--json'];
      const result = await runCli(endless, {
        cwd,
        onOutput: (child, { stdout }) => {
          if (sent || !stdout.includes('"event":"trial"')) return;
          sent = true;
          child.kill(signal);
        },
      });
      expect(result.status).toBe(signal === 'SIGINT' ? 130 : 143);
      expect(eventsOf(result).map(({ event }) => event)).toEqual(['trial', 'sweep']);
      expect(eventsOf(result).at(-1)).toMatchObject({ trials: 2, finished: 1, best: 1 });
      expect(result.stderr).toContain('Stopped after 1 of 2 trials. The same command goes on from there.');
      expect(readdirSync(join(cwd, 'mnist-sweep')).sort()).toEqual(['results.jsonl', 'sweep.json']);
      expect(await processesNaming(cwd)).toBe('');
    },
  );

  it('by Ctrl-C on a terminal leaves no process and no bar', async () => {
    const cwd = workspace.make('terminal');
    let typed = false;
    const line = `"$NODE" "$CLI" sweep --grid epochs=1 100000 ${TRAIN.join(' ')} --hidden 8 --parallel 2`;
    const result = await runOnTerminal(line, {
      cwd,
      onOutput: (child, { stdout }) => {
        if (typed || !stdout.includes('1/2 trials')) return;
        typed = true;
        child.stdin?.write('\x03');
      },
    });
    expect(result.status).toBe(130);
    expect(result.stdout).toMatch(/[█░]{8,}\s+1\/2 trials {2}best [\d.]+ % {2}[\d:-]+ left/);
    expect(result.stdout).toContain('Stopped after 1 of 2 trials');
    expect(result.stdout.lastIndexOf('\x1b[?25h')).toBeGreaterThan(result.stdout.lastIndexOf('\x1b[?25l'));
    expect(await processesNaming(cwd)).toBe('');
  });
});

/** Processes that work in a folder, by /proc; waits a little for those that are ending. */
async function processesNaming(folder: string): Promise<string> {
  const line = `for p in /proc/[0-9]*; do [ "$(readlink $p/cwd)" = '${folder}' ] && tr '\\0' ' ' < $p/cmdline; done; true`;
  for (let attempt = 0; ; attempt++) {
    const { stdout } = await runShell(line, { cwd: workspace.folder });
    if (stdout === '' || attempt === 50) return stdout;
    await delay(100);
  }
}

describe('wrong usage of sweep', () => {
  it.concurrent.each([
    ['', /Expected what to try in --grid or --random/],
    ['--grid hiden=64', /unknown option '--hiden' \(Did you mean --hidden\?\)/],
    ['--grid hidden=64 0', /Trial 2 \(hidden=0\): Expected layer widths/],
    ['--grid optimizer=adam sgd --momentum 0.5', /Trial 1 \(optimizer=adam\): Expected --optimizer sgd/],
    ['--random learning-rate=0.1..0.01', /from a lesser to a greater number/],
    ['--grid hidden=64 --trails 3', /unknown option '--trails'/],
    ['--grid hidden=64 --folds 1', /from 2 to 1000 for --folds, received "1"/],
    ['--grid hidden=64 --parallel 0', /--parallel, received "0"/],
    ['--grid hidden=64 -- --seed -1', /--seed, received "-1"/],
    ['hidden=64', /Expected what to try in --grid/],
    ['--grid hidden=64 -- 128', /Expected options of train, received "128"/],
  ])('%s: one line, status 2, no folder', async (line, says) => {
    const result = await runCli(['sweep', ...line.split(' ').filter(Boolean)], { cwd: workspace.folder });
    expect(errorLines(result)).toEqual([expect.stringMatching(says)]);
    expect(errorLines(result)[0]).toMatch(/ See mnist-train sweep --help\.$/);
    expect(result.status).toBe(2);
    expect(existsSync(join(workspace.folder, 'mnist-sweep'))).toBe(false);
  });

  it('another sweep in the same folder, and more folds than images', async () => {
    const cwd = workspace.make('other');
    const words = ['sweep', ...TRAIN, '--hidden', '4', '--epochs', '1'];
    expect((await runCli([...words, '--grid', 'seed=1'], { cwd })).status).toBe(0);
    const other = await runCli([...words, '--grid', 'seed=2'], { cwd });
    expect(other.status).toBe(2);
    expect(errorLines(other)).toEqual([
      expect.stringMatching(/sweep\.json describes, received another: the values of --grid/),
    ]);
    const many = await runCli([...words, '--grid', 'seed=1', '--folds', '201', '--out', 'many'], { cwd });
    expect(many.status).toBe(2);
    expect(errorLines(many)).toEqual([expect.stringMatching(/Expected at most 200 for --folds.* received 201/)]);
  });
});
