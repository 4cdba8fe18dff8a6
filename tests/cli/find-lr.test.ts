import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { rate } from '../../src/cli/ui/format.js';
import { learningRatePlot } from '../../src/cli/ui/plot.js';
import type { LearningRateSearch } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runOnTerminal } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
const SMALL = ['find-lr', '--data-dir', data, '--hidden', '16', '--batch-size', '20'];

afterAll(() => workspace.remove());

describe('find-lr', () => {
  it('plots, names a rate, and the command that it names trains with it', async () => {
    const cwd = workspace.make('people');
    const result = await runCli([...SMALL, '--optimizer', 'sgd', '--seed', '3'], { cwd });
    expect(errorLines(result)).toEqual([]);
    expect(result.status).toBe(0);
    expect(result.stdout).not.toContain('\x1b');
    expect(result.stdout).toMatch(/^Learning rates from 1e-6 to 10, 100 steps of 20 images: 784-16-10 on mnist, sgd; /);
    expect(result.stdout).toMatch(/1e-6 +1e-5 +1e-4 +1e-3 +1e-2 +1e-1/);
    expect(result.stdout).toMatch(/The loss falls most steeply at 0\.\d+, and is least at [\d.]+\./);
    expect(result.stdout.match(/●/g)).toHaveLength(2);
    for (const line of result.stdout.split('\n').slice(1, -5)) expect(line.length).toBeLessThanOrEqual(80);
    expect(readdirSync(cwd)).toEqual([]);
    const next = /Next: npx mnist-train (train .*)\n$/.exec(result.stdout)![1];
    expect(next).toMatch(/ --hidden 16 --batch-size 20 --optimizer sgd --seed 3 .*--learning-rate 0\.\d+$/);
    const trained = await runCli([...next.split(' '), '--epochs', '4', '--json'], { cwd });
    expect(eventsOf(trained).at(-1)).toMatchObject({ event: 'done', testAccuracy: 1, seed: 3 });
  });

  it('writes one event with --json', async () => {
    const cwd = workspace.make('json');
    const flags = ['--min', '1e-4', '--max', '1e-1', '--steps', '40', '--backend', 'js', '--json'];
    const result = await runCli([...SMALL, ...flags], { cwd });
    const events = eventsOf(result);
    expect(events).toHaveLength(1);
    const [{ rates, losses, smoothedLosses, suggestion, steepest, minimum, ...rest }] = events;
    expect(rest).toEqual({
      event: 'learningRates',
      dataset: 'mnist',
      network: '784-16-10',
      optimizer: 'adam',
      batchSize: 20,
      seed: 42,
      stopped: 'completed',
      backend: 'js',
      isa: null,
      threads: 1,
    });
    expect(rates).toHaveLength(40);
    expect(rates[0]).toBe(1e-4);
    expect(Math.abs(rates[39] / 1e-1 - 1)).toBeLessThan(1e-14);
    expect([losses.length, smoothedLosses.length]).toEqual([40, 40]);
    expect(steepest).toBeLessThanOrEqual(suggestion);
    expect(suggestion).toBeLessThanOrEqual(minimum);
    expect(suggestion).toBe(Number(suggestion.toPrecision(2)));
    expect(result.stderr).toContain(`--learning-rate ${rate(suggestion)}\n`);
  });

  it('takes the network of a recipe, whose rate is its own', async () => {
    const cwd = workspace.make('recipe');
    const result = await runCli(['find-lr', '--data-dir', data, '--recipe', 'fast', '--json'], { cwd });
    expect(eventsOf(result)).toMatchObject([{ recipe: 'fast', network: '784-160-10', optimizer: 'adam' }]);
    expect(result.stderr).toContain('The recipe fast trains with up to 0.007.');
    const refused = await runCli(['find-lr', '--recipe', 'fast', '--hidden', '9'], { cwd });
    expect([refused.status, ...errorLines(refused)]).toEqual([
      2,
      expect.stringContaining('--hidden with --recipe fast'),
    ]);
  });

  it('says so when no rate made the loss fall', async () => {
    const cwd = workspace.make('none');
    const small = await runCli([...SMALL, '--max', '1e-5', '--json'], { cwd });
    expect(eventsOf(small)).toMatchObject([{ suggestion: null, steepest: null, stopped: 'completed' }]);
    expect(small.stderr).toContain('No rate made the loss fall.');
    const great = await runCli([...SMALL, '--optimizer', 'sgd', '--min', '1e29', '--max', '1e30'], { cwd });
    expect(great.stdout).toContain('the loss grows without bounds');
    expect(great.stdout).toContain('No rate made the loss fall.');
    expect([small.status, great.status]).toEqual([0, 0]);
  });

  it('fits on a narrow terminal, in colour', async () => {
    const cwd = workspace.make('terminal');
    const args = SMALL.map((word) => `'${word}'`).join(' ');
    const { stdout, status } = await runOnTerminal(`stty cols 44; "$NODE" "$CLI" ${args}`, { cwd });
    expect(status).toBe(0);
    expect(stdout).toContain('\x1b[32m●');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the codes of colours are what is left out
    const lines = stdout.replaceAll(/\x1b\[[0-9;]*m/g, '').split('\r\n');
    const axis = lines.findIndex((line) => /^ *└/.test(line));
    expect(axis).toBeGreaterThan(10);
    for (const line of lines.slice(axis - 13, axis + 3)) expect(line.length, line).toBeLessThanOrEqual(44);
  });
});

describe('the plot', () => {
  const search = (smoothedLosses: number[], learningRates: number[]) =>
    ({ smoothedLosses, learningRates }) as LearningRateSearch;
  const rates = Array.from({ length: 60 }, (_, step) => 10 ** (-4 + step / 20));
  const losses = rates.map((value) => 2.3 - Math.min(2, 40 * value) + 500 * Math.max(0, value - 0.08));
  const plain = (columns: number, mark: number | null = null) =>
    learningRatePlot(search(losses, rates), mark, { columns, color: false });

  it.each([80, 60, 44, 32])('keeps to %i columns', (columns) => {
    const lines = plain(columns).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    expect(lines.length).toBeGreaterThan(12);
  });

  it('marks the rate at its loss, and cuts off how it diverges', () => {
    const lines = plain(80, rates[26]).split('\n');
    const marked = lines.findIndex((line) => line.includes('●'));
    // 0.002 is at the middle of the four decades that are shown, where the loss begins to fall.
    expect(lines[marked].indexOf('●') / 76).toBeGreaterThan(0.4);
    expect(lines[marked].indexOf('●') / 76).toBeLessThan(0.55);
    expect(lines.join('\n')).toMatch(/ 2┤.*\n.*\n.*\n.*\n 1┤/);
    expect(lines.join('\n')).not.toMatch(/ 3┤/);
    expect(plain(80)).not.toContain('●');
  });

  it('shows one point, and rates within a decade', () => {
    const one = learningRatePlot(search([2.3], [1e20]), null, { columns: 80, color: false });
    expect(one).toContain('1e20');
    const near = learningRatePlot(search([1, 0.5, 0.4], [2e-3, 4e-3, 8e-3]), null, { columns: 80, color: false });
    expect(near).toMatch(/2\.0e-3 +8\.0e-3/);
    expect(learningRatePlot(search([0, 0], [1, 10]), null, { columns: 80, color: false })).toContain('1e1');
  });
});

it.each([
  [0.00475, '0.0047'],
  [0.5, '0.5'],
  [1e-4, '0.0001'],
  [1e-6, '1e-6'],
  [2.56e-5, '2.6e-5'],
  [10, '10'],
  [1e30, '1e30'],
])('the learning rate %d is %s', (value, text) => {
  expect(rate(value)).toBe(text);
});
