import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dense, explain, loadModel, sequential } from '../../src/index.js';
import { blockImage, writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runOnTerminal } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const cwd = workspace.folder;
const file = (name: string) => join(cwd, name);
const data = writeDataset(file('data'));
const IMAGES = join(data, 't10k-images-idx3-ubyte');
const MODEL = 'model.safetensors';
const PNG = 'four.png';

beforeAll(async () => {
  const flags = ['--hidden', '16', '--batch-size', '20', '--epochs', '2', '--out', MODEL];
  const result = await runCli(['train', '--data-dir', data, ...flags], { cwd });
  expect(result.status, result.stderr).toBe(0);
  writeFileSync(file(PNG), encode({ width: 28, height: 28, data: blockImage(4), channels: 1, depth: 8 }));
});

afterAll(() => workspace.remove());

const explained = async (...words: string[]) => {
  const result = await runCli(['explain', MODEL, ...words, '--json'], { cwd });
  expect(result.status, result.stderr).toBe(0);
  const events = eventsOf(result);
  expect(events).toHaveLength(1);
  return events[0];
};

describe('explain', () => {
  it("emits what the library's explain gives", async () => {
    const event = await explained(PNG);
    const model = await loadModel(file(MODEL), { backend: 'js' });
    const wanted = JSON.parse(JSON.stringify(await explain(model, blockImage(4))));
    expect(event).toMatchObject({ event: 'explanation', image: PNG, index: 0, notes: ['kept as it is'], answer: 4 });
    expect(event).not.toHaveProperty('expected');
    expect(event).not.toHaveProperty('html');
    expect(event).toMatchObject(wanted);
    expect(event.classes[4].probability).toBe(model.predictSync(blockImage(4))[4]);
    model.dispose();
  });

  it('takes one image of an IDX file, with its label, and says so where others are left out', async () => {
    const first = await runCli(['explain', MODEL, IMAGES, '--json'], { cwd });
    expect(eventsOf(first)[0]).toMatchObject({ index: 0, expected: 0, label: 0 });
    expect(first.stderr).toContain('has 100 images: this is the first. --index chooses another.');
    const seventh = await runCli(['explain', MODEL, IMAGES, '--index', '7', '--json'], { cwd });
    expect(eventsOf(seventh)[0]).toMatchObject({ index: 7, expected: 7, answer: 7 });
    expect(seventh.stderr).not.toContain('this is the first');
  });

  it('teaches the label at the rate asked for', async () => {
    const before = readFileSync(file(MODEL));
    const taught = await explained(PNG, '--label', '9', '--learning-rate', '0.5', '--neurons', '2');
    expect(taught).toMatchObject({ label: 9, rival: 9, step: { label: 9, optimizer: 'sgd', learningRate: 0.5 } });
    expect(taught.step.probabilitiesAfter[9]).toBeGreaterThan(taught.classes[9].probability);
    expect(taught.layers.map(({ neurons }: { neurons: unknown[] }) => neurons.length)).toEqual([2, 2]);
    // The model file is as it was.
    expect(readFileSync(file(MODEL)).equals(before)).toBe(true);
  });

  it('gives the same on either backend', async () => {
    const adam = [PNG, '--optimizer', 'adam'];
    const [native, js] = [await explained(...adam, '--backend', 'native'), await explained(...adam, '--backend', 'js')];
    expect(js.step).toMatchObject({ optimizer: 'adam', learningRate: 0.001 });
    const { backend, isa, threads, ...rest } = native;
    expect([backend, js.backend]).toEqual(['native', 'js']);
    expect([typeof isa, js.isa, typeof threads]).toEqual(['string', null, 'number']);
    expect(js).toMatchObject(rest);
  });
});

describe('explain for people', () => {
  it('reads from the pixels to the step, in 80 columns of plain text', async () => {
    const event = await explained(PNG);
    const { stdout, status } = await runCli(['explain', MODEL, PNG], { cwd });
    expect(status).toBe(0);
    const percent = (fraction: number) => `${(fraction * 100).toFixed(2)} %`;
    expect(stdout).toContain(`four.png is 4, ${percent(event.classes[4].probability)} sure.`);
    const titles = [
      'What the network sees',
      'Layer 0 dense (relu)',
      'Layer 1 dense (softmax)',
      'Why 4, and not ',
      'What one step',
    ];
    const places = titles.map((title) => stdout.indexOf(`\n${title}`));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
    expect(stdout).not.toContain('\x1b');
    const lines = stdout.split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.length).toBeLessThan(100);
    // The strongest neuron's row, a gradient's, and the sum of the logit.
    const [{ unit, weightedSum }] = event.layers[0].neurons;
    expect(stdout).toMatch(new RegExp(`^ *${unit} .* ${weightedSum.toFixed(2)} +${weightedSum.toFixed(2)} `, 'm'));
    const [{ place, before, after }] = event.step.parameters[0].largest;
    expect(stdout).toMatch(new RegExp(`^  ${place} .* ${before.toFixed(7)} +${after.toFixed(7)}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^together +\\+${event.contributions.answer.logit.toFixed(2)} `, 'm'));
  });

  it('shows an image and what its pixels did in colour on a terminal', async () => {
    const line = `$NODE $CLI explain ${MODEL} ${PNG}`;
    const { stdout } = await runOnTerminal(line, { cwd, env: { COLORTERM: 'truecolor' } });
    expect(stdout).toContain('\x1b[38;2;');
    expect(stdout).toContain('orange speaks for it, blue against it');
  });

  it('goes through a convolutional network, and says what training does otherwise', async () => {
    const flags = ['--recipe', 'cnn', '--out', 'cnn.safetensors'];
    const trained = await runCli(['train', '--data-dir', data, ...flags], { cwd });
    expect(trained.status, trained.stderr).toBe(0);
    const { stdout, status } = await runCli(['explain', 'cnn.safetensors', IMAGES, '--index', '3'], { cwd });
    expect(status).toBe(0);
    expect(stdout).toMatch(/filters is a small window of 5 x 5 weights/);
    expect(stdout).toMatch(/^filter +strongest at +bias +sum +output$/m);
    expect(stdout).toMatch(/^shifts of normalization +[+-]/m);
    expect(stdout.replaceAll('\n', ' ')).toContain(
      'Batch normalization takes mean and spread of the batch in training',
    );
    expect(stdout.replaceAll('\n', ' ')).toMatch(/Without any gradient: weights of layer 0, /);
  });
});

describe('explain refuses', () => {
  const refused = async (words: string[], status: number, message: RegExp) => {
    const result = await runCli(['explain', ...words], { cwd });
    expect(errorLines(result).join('\n')).toMatch(message);
    expect(result.status).toBe(status);
    expect(result.stdout).toBe('');
  };
  const save = async (name: string, units: number, options: { inputShape: number[]; softmax: boolean }) => {
    const activation = options.softmax ? 'softmax' : 'linear';
    const model = sequential([dense({ units, activation })], { inputShape: options.inputShape, backend: 'js' });
    await model.save(file(name));
    model.dispose();
  };

  it('wrong usage, with status 2', async () => {
    await refused([MODEL, PNG, '--label', '10'], 2, /Expected a class from 0 to 9 for --label, received 10/);
    await refused([MODEL, IMAGES, '--index', '100'], 2, /Expected a number from 0 to 99 for --index, received 100/);
    await refused([MODEL, PNG, '--html', 'nowhere/page.html'], 2, /existing folder for --html.*Make the folder/);
    await refused([MODEL, PNG, '--html', MODEL], 2, /Expected different files for --html and the model/);
    expect(existsSync(file('nowhere'))).toBe(false);
  });

  it('files that are not there or no images', async () => {
    await refused([MODEL, 'none.png'], 1, /Could not read none.png: there is no such file/);
    const small = join(writeDataset(file('other'), 10, 10), 't10k-labels-idx1-ubyte');
    await refused([MODEL, small], 1, /Expected unsigned bytes of shape \[count, 28, 28\]/);
  });

  it('models of something else than classes of grey images', async () => {
    await save('linear.safetensors', 10, { inputShape: [28, 28, 1], softmax: false });
    await refused(
      ['linear.safetensors', PNG],
      1,
      /Expected softmax for the activation of the last layer, received "linear"/,
    );
    await save('row.safetensors', 3, { inputShape: [5], softmax: true });
    await refused(
      ['row.safetensors', PNG],
      1,
      /Expected a model of grey images for row.safetensors, received one of inputs \[5\]/,
    );
    await save('colour.safetensors', 3, { inputShape: [28, 28, 3], softmax: true });
    await refused(['colour.safetensors', PNG], 1, /Expected a model of grey images/);
  });
});

describe('explain --html', () => {
  it('writes a page with the numbers of the event, and a command that makes them again', async () => {
    const words = [PNG, '--label', '2', '--html', 'why.html'];
    const result = await runCli(['explain', MODEL, ...words, '--json'], { cwd });
    expect(result.stderr).toContain('The page is in why.html.');
    const [event] = eventsOf(result);
    expect(event.html).toBe('why.html');
    const html = readFileSync(file('why.html'), 'utf8');
    const shown = html.replace(/<[^>]*>/g, ' ');
    for (const { place, before, after } of event.step.parameters[0].largest) {
      expect(shown).toContain(place);
      expect(shown).toContain(before.toFixed(7));
      expect(shown).toContain(after.toFixed(7));
    }
    expect(shown).toContain(`npx mnist-train explain ${MODEL} ${PNG} --label 2`);
  });

  it('tells the results first where the page cannot be written', async () => {
    const result = await runCli(['explain', MODEL, PNG, '--html', '/dev/full'], { cwd });
    expect(result.stdout).toContain('four.png is 4');
    expect(result.status).toBe(1);
    expect(errorLines(result).join()).toMatch(/Could not write \/dev\/full: the disk is full/);
  });
});
