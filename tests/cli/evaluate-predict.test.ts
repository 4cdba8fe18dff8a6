import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blockImage, idxBytes, writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const cwd = workspace.folder;
const file = (name: string) => join(cwd, name);
const data = writeDataset(file('data'));
const MODEL = 'model.safetensors';

beforeAll(async () => {
  const flags = ['--hidden', '16', '--batch-size', '20', '--epochs', '4', '--out', MODEL];
  const result = await runCli(['train', '--data-dir', data, ...flags], { cwd });
  expect(result.status, result.stderr).toBe(0);
});

afterAll(() => workspace.remove());

describe('evaluate', () => {
  it('emits one evaluation that adds up', async () => {
    const result = await runCli(['evaluate', MODEL, '--data-dir', data, '--json'], { cwd });
    expect(result.status).toBe(0);
    const events = eventsOf(result);
    expect(events).toHaveLength(1);
    const [{ event, accuracy, loss, count, perClass, confusion, model, dataset }] = events;
    expect({ event, accuracy, count, model, dataset }).toEqual({
      event: 'evaluation',
      accuracy: 1,
      count: 100,
      model: MODEL,
      dataset: 'mnist',
    });
    expect(loss).toBeGreaterThan(0);
    expect(perClass).toHaveLength(10);
    const perfect = { precision: 1, recall: 1, f1: 1 };
    expect(perClass[3]).toEqual({ label: 3, count: 10, correct: 10, accuracy: 1, ...perfect });
    expect(confusion[3]).toEqual([0, 0, 0, 10, 0, 0, 0, 0, 0, 0]);
    expect(events[0].averages).toEqual({ macro: perfect, micro: perfect, weighted: perfect });
    expect(events[0].top3Accuracy).toBe(1);
    // Every answer is right: the error is what confidences lack, and e^-loss their geometric mean.
    expect(events[0].expectedCalibrationError).toBeGreaterThan(0);
    expect(events[0].expectedCalibrationError).toBeLessThanOrEqual(1 - Math.exp(-loss));
  });

  it('puts wrong answers where they belong: labels down, answers across', async () => {
    const folder = writeDataset(file('mislabelled'));
    // Every image of a 3 is labelled 8.
    const labels = Uint8Array.from({ length: 100 }, (_, sample) => (sample % 10 === 3 ? 8 : sample % 10));
    writeFileSync(join(folder, 't10k-labels-idx1-ubyte'), idxBytes([100], labels));
    const result = await runCli(['evaluate', MODEL, '--data-dir', folder, '--json'], { cwd });
    const [{ accuracy, perClass, confusion, averages }] = eventsOf(result);
    expect(accuracy).toBeCloseTo(0.9, 12);
    expect(confusion[8]).toEqual([0, 0, 0, 10, 0, 0, 0, 0, 10, 0]);
    const nothing = { precision: 0, recall: 0, f1: 0 };
    expect(perClass[3]).toEqual({ label: 3, count: 0, correct: 0, accuracy: null, ...nothing });
    const half = { precision: 1, recall: 0.5, f1: 2 / 3 };
    expect(perClass[8]).toEqual({ label: 8, count: 20, correct: 10, accuracy: 0.5, ...half });
    expect(averages.macro.precision).toBeCloseTo(0.9, 12);
    expect(averages.micro.recall).toBeCloseTo(0.9, 12);
    expect(averages.weighted.precision).toBeCloseTo(1, 12);
  });

  it('prints both tables for people', async () => {
    const result = await runCli(['evaluate', MODEL, '--data-dir', data], { cwd });
    expect(result.stdout).toContain('Accuracy 100.00 %');
    expect(result.stdout).toMatch(/^Among the first three 100\.00 %, expected calibration error \d+\.\d\d %$/m);
    expect(result.stdout).toMatch(/^3 +10 +10( +100\.00 %){3}$/m);
    expect(result.stdout).toMatch(/^macro average( +100\.00 %){3}$/m);
    expect(result.stdout).toMatch(/^3( +·){3} +10( +·){6}$/m);
  });
});

describe('predict', () => {
  const png = (name: string, width: number, pixels: Uint8Array) =>
    writeFileSync(file(name), encode({ width, height: pixels.length / width, data: pixels, channels: 1, depth: 8 }));

  it('answers for a PNG of the right size, light on dark or dark on light', async () => {
    png('four.png', 28, blockImage(4));
    png(
      'paper.png',
      28,
      blockImage(4).map((value) => 255 - value),
    );
    const result = await runCli(['predict', MODEL, 'four.png', 'paper.png', '--json'], { cwd });
    expect(result.status).toBe(0);
    const events = eventsOf(result);
    expect(events).toHaveLength(2);
    expect(events[0]).toEqual({
      event: 'prediction',
      image: 'four.png',
      index: 0,
      label: 4,
      probabilities: expect.any(Array),
      notes: ['kept as it is'],
    });
    expect(events[0].probabilities).toHaveLength(10);
    expect(events[0].probabilities.reduce((sum: number, value: number) => sum + value, 0)).toBeCloseTo(1, 5);
    expect(Math.max(...events[0].probabilities)).toBe(events[0].probabilities[4]);
    expect(events[1]).toMatchObject({ label: 4, probabilities: events[0].probabilities });
    expect(events[1].notes.join()).toContain('inverted');
  });

  it('shows what the network saw, the bars and the answer', async () => {
    png('large.png', 100, new Uint8Array(100 * 80).fill(250).fill(0, 3000, 3060).fill(0, 3100, 3160));
    const result = await runCli(['predict', MODEL, 'large.png'], { cwd });
    expect(result.stdout).toContain('@@@@');
    expect(result.stdout).toMatch(/This is what the network saw: .*inverted.*scaled into 20 x 20.*centred by mass/);
    expect(result.stdout).toMatch(/^9 .* \d+\.\d\d %$/m);
    expect(result.stdout).toMatch(/^large\.png is \d, \d+\.\d\d % sure$/m);
    expect(result.stdout).not.toContain('\x1b');
  });

  it('goes through an IDX file, and counts the right answers where labels lie beside it', async () => {
    const images = join(data, 't10k-images-idx3-ubyte');
    const json = await runCli(['predict', MODEL, images, '--limit', '12', '--json'], { cwd });
    const events = eventsOf(json);
    expect(events.map(({ index }) => index)).toEqual(Array.from({ length: 12 }, (_, index) => index));
    expect(events[7]).toMatchObject({ label: 7, expected: 7 });
    const people = await runCli(['predict', MODEL, images], { cwd });
    expect(people.stdout.split('\n')[7]).toMatch(/^t10k-images-idx3-ubyte\[7\] {2}7 {2}\d+\.\d\d %$/);
    expect(people.stdout).toContain('100 of 100 right, 100.00 %');
  });
});

describe('damaged files', () => {
  const oneLine = async (args: string[], says: RegExp) => {
    const result = await runCli(args, { cwd });
    expect(errorLines(result)).toEqual([expect.stringMatching(says)]);
    expect(errorLines(result)[0]).toMatch(/^mnist-train: /);
    expect(result.stdout).toBe('');
    expect(result.status).toBe(1);
  };

  it('a model that is missing, cut off or something else', async () => {
    const bytes = readFileSync(file(MODEL));
    writeFileSync(file('cut.safetensors'), bytes.subarray(0, bytes.length - 100));
    writeFileSync(file('text.safetensors'), 'not a model at all');
    await oneLine(['evaluate', 'missing.safetensors', '--data-dir', data], /missing\.safetensors/);
    await oneLine(['evaluate', 'cut.safetensors', '--data-dir', data], /cut\.safetensors/);
    await oneLine(['predict', 'text.safetensors', 'four.png'], /text\.safetensors/);
  });

  it('an image that is missing, cut off or something else', async () => {
    const bytes = encode({ width: 28, height: 28, data: blockImage(2), channels: 1, depth: 8 });
    writeFileSync(file('cut.png'), bytes.subarray(0, bytes.length - 20));
    writeFileSync(file('text.png'), 'not an image at all');
    await oneLine(['predict', MODEL, 'missing.png'], /missing\.png/);
    await oneLine(['predict', MODEL, 'cut.png'], /cut\.png/);
    await oneLine(['predict', MODEL, 'text.png'], /text\.png/);
  });

  it('data that are cut off, or do not fit each other', async () => {
    const cut = writeDataset(file('cut-data'));
    const images = readFileSync(join(cut, 'train-images-idx3-ubyte'));
    writeFileSync(join(cut, 'train-images-idx3-ubyte'), images.subarray(0, images.length - 1));
    await oneLine(['train', '--data-dir', cut, '--out', 'never.safetensors'], /train-images-idx3-ubyte/);
    const mixed = writeDataset(file('mixed-data'));
    writeFileSync(join(mixed, 't10k-labels-idx1-ubyte'), idxBytes([3], new Uint8Array(3)));
    await oneLine(['evaluate', MODEL, '--data-dir', mixed], /t10k-labels-idx1-ubyte/);
    expect(() => readFileSync(file('never.safetensors'))).toThrow('ENOENT');
  });
});
