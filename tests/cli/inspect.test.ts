import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePng } from '../../src/data/png.js';
import { dense, loadModel, parameterStatistics, sequential } from '../../src/index.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runOnTerminal } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const cwd = workspace.folder;
const file = (name: string) => join(cwd, name);
const data = writeDataset(file('data'));
const MODEL = 'model.safetensors';
const CNN = 'cnn.safetensors';
const FLAT = 'flat.safetensors';

beforeAll(async () => {
  const flags = ['--data-dir', data, '--epochs', '1'];
  const trained = await runCli(['train', ...flags, '--hidden', '20', '--out', MODEL], { cwd });
  expect(trained.status, trained.stderr).toBe(0);
  const recipe = await runCli(['train', ...flags, '--recipe', 'cnn', '--out', CNN], { cwd });
  expect(recipe.status, recipe.stderr).toBe(0);
  const flat = sequential([dense({ units: 4, activation: 'tanh' }), dense({ units: 3, activation: 'softmax' })], {
    inputShape: [9],
    backend: 'js',
  });
  await flat.save(file(FLAT));
});

afterAll(() => workspace.remove());

describe('inspect', () => {
  it('shows layers, statistics and weights as pictures', async () => {
    const result = await runCli(['inspect', MODEL], { cwd });
    expect(result).toMatchObject({ status: 0, stderr: '' });
    expect(result.stdout).toMatch(/^0 dense \(relu\) +\[20\] +15,700 +15,680$/m);
    expect(result.stdout).toMatch(/^0\.weight +\[784, 20\]( +-?[\d.e-]+){5} +0\.0 %$/m);
    expect(result.stdout).toMatch(/^Weights of layer 0 dense as pictures: 20 neurons, each 28x28$/m);
    expect(result.stdout).toMatch(/^neuron 0 of 20: \+ above zero, - below; the fullest is ±0\.\d+ in all of them\.$/m);
    // A picture of 28 lines, in two characters a pixel.
    const lines = result.stdout.split('\n');
    const first = lines.indexOf('0') + 1;
    const picture = lines.slice(first, first + 28);
    for (const line of picture) expect(line).toMatch(/^(?:[+-][.:=+*#%@-]| {2}){0,28}$/);
    expect(picture.join('').length).toBeGreaterThan(500);
    expect(result.stdout).not.toContain('\x1b');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100);
  });

  it('shows filters, of any layer, and channels side by side', async () => {
    const filters = await runCli(['inspect', CNN], { cwd });
    expect(filters.stdout).toMatch(/^Weights of layer 0 conv2d as pictures: 8 filters, each 5x5$/m);
    expect(filters.stdout).toMatch(/^filters 0 to 7 of 8: /m);
    expect(filters.stdout).not.toContain('--png');
    const second = await runCli(['inspect', CNN, '--layer', '4'], { cwd });
    expect(second.stdout).toMatch(
      /^Weights of layer 4 conv2d as pictures: 16 filters, each 3x3, 8 channels side by side$/m,
    );
  });

  it('uses colours on a terminal, within its width', async () => {
    const result = await runOnTerminal(`$NODE $CLI inspect ${MODEL}`, { cwd, env: { COLORTERM: 'truecolor' } });
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/\[38;2;\d+;\d+;\d+;48;2;\d+;\d+;\d+m▀/);
    expect(result.stdout).toContain('neurons 0 to 5 of 20: orange above zero, blue below');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what is looked for are escape sequences
    const plain = result.stdout.replace(/\x1b\[[\d;]*m/g, '').split('\r\n');
    expect(Math.max(...plain.map((line) => [...line].length))).toBeLessThanOrEqual(100);
    expect(plain).toContain(
      ['0', '1', '2']
        .map((number) => number.padEnd(28))
        .join('  ')
        .trimEnd(),
    );
  });

  it('draws a sheet', async () => {
    const result = await runCli(['inspect', MODEL, '--png', 'sheet.png'], { cwd });
    expect(result.stdout).toContain('sheet.png: all 20, from number 0 at the top left, 5 in a row');
    const { width, height, luminance } = decodePng(readFileSync(file('sheet.png')), 'sheet.png');
    expect({ width, height }).toEqual({ width: 5 * 85 + 1, height: 4 * 85 + 1 });
    const model = await loadModel(file(MODEL), { backend: 'js' });
    const [weights] = model.getWeights();
    // Neuron 7 is the third picture of the second row. Brightness grows with the size of the weight.
    const brightness = (pixel: number) => {
      const [x, y] = [2 * 85 + 2 + 3 * (pixel % 28), 85 + 2 + 3 * Math.floor(pixel / 28)];
      return luminance[y * width + x];
    };
    const size = (pixel: number) => Math.abs(weights[pixel * 20 + 7]);
    const order = Array.from({ length: 784 }, (_, pixel) => pixel).sort((a, b) => size(b) - size(a));
    expect(brightness(order[0])).toBeGreaterThan(brightness(order[100]));
    expect(brightness(order[100])).toBeGreaterThan(brightness(order[783]));
    model.dispose();
  });

  it('says the same to programs, in one event', async () => {
    const result = await runCli(['inspect', CNN, '--png', 'filters.png', '--json'], { cwd });
    const [event, ...others] = eventsOf(result);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ event: 'inspection', model: CNN, inputShape: [28, 28, 1] });
    expect(event.layers[4]).toEqual({
      layer: 4,
      type: 'conv2d',
      outputShape: [10, 10, 16],
      parameters: 1152,
      multiplyAdds: 115200,
    });
    const model = await loadModel(file(CNN), { backend: 'js' });
    expect(event.parameters).toEqual(JSON.parse(JSON.stringify(parameterStatistics(model))));
    model.dispose();
    const greatest = Math.max(event.parameters[0].greatest, -event.parameters[0].least);
    expect(event.pictures).toEqual({ layer: 0, count: 8, shape: [5, 5, 1], greatest, png: 'filters.png' });
    expect(event).not.toHaveProperty('activity');
    expect(event).not.toHaveProperty('gradientCheck');
    expect(result.stderr).toContain('Weights of layer 0');
  });

  it('tells how often neurons are on, and checks gradients', async () => {
    const flags = ['--data-dir', data, '--dead-neurons', '--gradient-check', '--weights', '3'];
    const people = await runCli(['inspect', MODEL, ...flags], { cwd });
    expect(people.status, people.stderr).toBe(0);
    expect(people.stdout).toContain("Neurons behind rectifiers on the 100 images of mnist's test set");
    expect(people.stdout).toMatch(/^0 dense \(relu\) +20 neurons +\d+\.\d %/m);
    expect(people.stdout).toMatch(/^0\.weight +3 +0 +\d\.\de-\d+ +\d\.\de-\d+$/m);
    expect(people.stdout).toContain('Every gradient that was checked is within its bound.');
    const programs = await runCli(['inspect', CNN, ...flags, '--seed', '5', '--json'], { cwd });
    const [{ dataset, activity, gradientCheck }] = eventsOf(programs);
    expect(dataset).toBe('mnist');
    expect(activity.samples).toBe(100);
    expect(activity.layers.map(({ layer, unit }: { layer: number; unit: string }) => [layer, unit])).toEqual([
      [3, 'channel'],
      [7, 'channel'],
      [10, 'neuron'],
    ]);
    expect(activity.layers[0].shares).toHaveLength(8);
    expect(gradientCheck).toMatchObject({ ok: true, samples: 8, seed: 5 });
    expect(gradientCheck.parameters).toHaveLength(11);
    expect(gradientCheck.parameters[0].weights).toHaveLength(3);
  });

  it('says so where no weights are pictures', async () => {
    const result = await runCli(['inspect', FLAT, '--json'], { cwd });
    expect(result.stderr).toContain('No layer has weights that are pictures');
    expect(eventsOf(result)[0].pictures).toBeNull();
    const png = await runCli(['inspect', FLAT, '--png', 'none.png'], { cwd });
    expect(png.status).toBe(1);
    expect(errorLines(png).join()).toMatch(
      /Expected a model with a convolution, or a dense layer behind images, for --png/,
    );
    expect(readdirSync(cwd)).not.toContain('none.png');
    const neurons = await runCli(['inspect', FLAT, '--data-dir', data, '--dead-neurons'], { cwd });
    expect(neurons.status).toBe(1);
    expect(errorLines(neurons).join()).toMatch(/Expected a layer with the activation relu/);
  });

  it.each([
    [['--layer', '2'], /Expected a layer from 0 to 1 for --layer, received 2\./],
    [['--layer', '1'], /Expected a convolution, or a dense layer behind images for --layer, received "1 dense"\./],
    [['--weights', '0'], /Expected a whole number from 1 to 1000000 for --weights/],
    [['--png', 'no/such/folder.png'], /Make the folder/],
  ])('takes %j for wrong usage', async (flags, message) => {
    const result = await runCli(['inspect', MODEL, ...flags], { cwd });
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(errorLines(result)).toHaveLength(1);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toContain('See mnist-train inspect --help.');
  });

  it('refuses a damaged model and one that is not there', async () => {
    writeFileSync(file('damaged.safetensors'), readFileSync(file(MODEL)).subarray(0, 5000));
    for (const name of ['damaged.safetensors', 'missing.safetensors']) {
      const result = await runCli(['inspect', name, '--png', 'never.png'], { cwd });
      expect(result).toMatchObject({ status: 1, stdout: '' });
      expect(errorLines(result)).toHaveLength(1);
      expect(result.stderr).toContain(name);
    }
    expect(readdirSync(cwd)).not.toContain('never.png');
  });

  it('stops on Ctrl-C', async () => {
    let sent = false;
    const result = await runCli(['inspect', MODEL, '--data-dir', data, '--gradient-check', '--weights', '1000000'], {
      cwd,
      onOutput: (child, { stdout }) => {
        if (sent || !stdout.includes('All of them')) return;
        sent = true;
        child.kill('SIGINT');
      },
    });
    expect(result.status).toBe(130);
    expect(result.stderr).toContain('mnist-train: Interrupted.');
    expect(result.stdout).not.toContain('Gradients of');
  });
});
