import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { errorLines, eventsOf, makeWorkspace, runCli, runShell } from '../helpers/cli-run.js';
import { readReport } from '../helpers/report-page.js';

const workspace = makeWorkspace();
const data = writeDataset(join(workspace.folder, 'data'));
/** Trained so little that it makes mistakes. */
const POOR = ['train', '--data-dir', data, '--hidden', '16', '--learning-rate', '0.0006'];
const percent = (fraction: number) => `${(fraction * 100).toFixed(2)} %`;

afterAll(() => workspace.remove());

describe('train --report', () => {
  it('has the numbers of the run, and its command trains the same weights', async () => {
    const cwd = workspace.make('train');
    const out = `it's <b>"a" model.safetensors`;
    const words = ['--epochs', '3', '--validation-split', '0.25', '--seed', '7', '--csv', 'epochs.csv', '--out', out];
    const result = await runCli([...POOR, ...words, '--report', 'report.html', '--json'], { cwd });
    expect(errorLines(result)).not.toContain('mnist-train:');
    const events = eventsOf(result);
    const done = events.at(-1)!;
    const epochs = events.filter(({ event }) => event === 'epoch');
    expect(done).toMatchObject({ event: 'done', report: 'report.html' });
    expect(result.stderr).toContain('The report is in report.html.');

    const report = readReport(join(cwd, 'report.html'));
    const column = (name: string) => epochs.map((epoch) => epoch[name]);
    expect(report.chart('Loss')).toEqual({
      x: [1, 2, 3],
      series: { Training: column('loss'), Validation: column('validationLoss') },
    });
    expect(report.chart('Accuracy').series).toEqual({
      Training: column('accuracy'),
      Validation: column('validationAccuracy'),
    });
    // 300 images in steps of 128: the last step of each epoch has the rate that the epoch's result names.
    const rates = report.chart('Learning rate');
    expect(rates.x).toHaveLength(9);
    expect([2, 5, 8].map((place) => rates.x[place])).toEqual([1, 2, 3]);
    expect([2, 5, 8].map((place) => rates.series['Learning rate'][place])).toEqual(column('learningRate'));

    expect(report.term('Test accuracy')).toBe(percent(done.testAccuracy));
    expect(report.term('Test loss')).toBe(done.testLoss.toFixed(4));
    expect(report.term('SHA-256 of the weights')).toBe(done.weightsSha256);
    expect(report.term('Model file')).toBe(out);
    expect(report.term('Seed')).toBe('7');
    const evaluation = eventsOf(await runCli(['evaluate', out, '--data-dir', data, '--json'], { cwd })).at(-1)!;
    expect(report.confusion).toEqual(evaluation.confusion);
    expect(report.term('Calibration error')).toBe(percent(evaluation.expectedCalibrationError));

    expect(report.command).not.toMatch(/--csv|--report|--json/);
    const again = workspace.make('again');
    const line = report.command.replace('npx mnist-train', '"$NODE" "$CLI"');
    const repeated = eventsOf(await runShell(`${line} --json`, { cwd: again }));
    expect(repeated.at(-1)).toMatchObject({ event: 'done', weightsSha256: done.weightsSha256, model: out });
  });

  it('with a recipe shows filters, and the rate by epoch where it follows the loss', async () => {
    const cwd = workspace.make('filters');
    await runCli(['train', '--data-dir', data, '--recipe', 'cnn', '--epochs', '1', '--report', 'a.html'], { cwd });
    const recipe = readReport(join(cwd, 'a.html'));
    expect(recipe.html).toMatch(/The 8 filters of the first layer/);
    expect(
      recipe.html.match(/<img class="pixels" src="data:image\/png;base64,[^"]+" alt="" width="55" height="55">/g),
    ).toHaveLength(8);
    expect(recipe.term('Recipe')).toBe('cnn');
    const plateau = ['--schedule', 'plateau', '--epochs', '2', '--report', 'b.html', '--json'];
    const events = eventsOf(await runCli([...POOR, ...plateau], { cwd }));
    expect(readReport(join(cwd, 'b.html')).chart('Learning rate')).toEqual({
      x: [1, 2],
      series: { 'Learning rate': events.filter(({ event }) => event === 'epoch').map((each) => each.learningRate) },
    });
  });

  it('says of an interrupted training what was done, and after a resume shows all epochs', async () => {
    const cwd = workspace.make('interrupted');
    let stopped = false;
    const words = [...POOR, '--epochs', '4000', '--checkpoint', 'run', '--report', 'first.html', '--json'];
    const first = await runCli(words, {
      cwd,
      onOutput: (child, { stdout }) => {
        if (stopped || !stdout.includes('"epoch":2,')) return;
        stopped = true;
        child.kill('SIGINT');
      },
    });
    expect(first.status).toBe(130);
    const last = eventsOf(first).at(-1)!;
    expect(last).toMatchObject({ event: 'interrupted', report: 'first.html' });
    const report = readReport(join(cwd, 'first.html'));
    expect(report.html).toContain('Interrupted. This is what was done until then');
    expect(report.term('Whole epochs')).toBe(`${last.epochs} of 4000`);
    expect(report.term('SHA-256 of the weights')).toBe(last.weightsSha256);
    expect(report.term('Test accuracy')).toBeUndefined();
    expect(report.html).not.toContain('id="confusion"');

    // A training that was begun without a report, and goes on with one.
    const short = [...POOR, '--epochs', '3', '--checkpoint-every', '0', '--checkpoint', 'short'];
    const begun = eventsOf(await runCli([...short, '--json'], { cwd }));
    const resumed = await runCli(['train', '--resume', 'short', '--report', 'second.html', '--json'], { cwd });
    expect(eventsOf(resumed).at(-1)).toMatchObject({ event: 'done', report: 'second.html' });
    const second = readReport(join(cwd, 'second.html'));
    expect(second.html).toContain('went on from a checkpoint after 3 whole epochs');
    const losses = begun.filter(({ event }) => event === 'epoch').map(({ loss }) => loss);
    expect(second.chart('Loss').series.Training).toEqual(losses);
    expect(second.command).not.toMatch(/--resume|--checkpoint/);
    expect(second.command).toContain('--epochs 3');
  });

  it('of many epochs stays small', async () => {
    const cwd = workspace.make('many');
    await runCli([...POOR, '--epochs', '700', '--report', 'report.html'], { cwd });
    const { x } = readReport(join(cwd, 'report.html')).chart('Loss');
    expect([x.length, x[0], x.at(-1)]).toEqual([300, 1, 700]);
    expect(statSync(join(cwd, 'report.html')).size).toBeLessThan(500_000);
  });

  it('that cannot be written ends with status 1, behind the results', async () => {
    const cwd = workspace.make('full');
    const result = await runCli([...POOR, '--epochs', '1', '--report', '/dev/full', '--json'], { cwd });
    expect(result.status).toBe(1);
    const done = eventsOf(result).at(-1)!;
    expect(done).toMatchObject({ event: 'done', testAccuracy: expect.any(Number) });
    expect(done).not.toHaveProperty('report');
    expect(errorLines(result).at(-1)).toMatch(/^mnist-train: Could not write \/dev\/full: the disk is full\./);
    expect(readdirSync(cwd)).toEqual(['mnist-model.safetensors']);
  });

  it('refuses places where no page can be, before any work', async () => {
    const cwd = workspace.make('wrong');
    writeFileSync(join(cwd, 'file'), '');
    for (const [words, message] of [
      [['--report', 'missing/report.html'], /existing folder for --report, received "missing\/report.html"/],
      [['--report', 'same', '--out', './same'], /different files for --report and --out/],
      [['--report', 'file/report.html'], /existing folder for --report/],
    ] as const) {
      const result = await runCli([...POOR, ...words, '--json'], { cwd });
      expect([result.status, result.stdout]).toEqual([2, '']);
      expect(errorLines(result).join()).toMatch(message);
    }
    const sweep = await runCli(['sweep', '--grid', 'hidden=8 16', '--report', 'r.html'], { cwd });
    expect([sweep.status, sweep.stderr]).toEqual([2, expect.stringContaining('other options of train than --report')]);
    expect(readdirSync(cwd).sort()).toEqual(['file']);
  });
});

describe('evaluate --report', () => {
  it('has what the evaluation says', async () => {
    const cwd = workspace.make('evaluate');
    await runCli([...POOR, '--epochs', '2'], { cwd });
    const words = ['evaluate', 'mnist-model.safetensors', '--data-dir', data];
    const result = await runCli([...words, '--report', 'report.html', '--json'], { cwd });
    const event = eventsOf(result).at(-1)!;
    expect(event).toMatchObject({ event: 'evaluation', report: 'report.html' });
    const report = readReport(join(cwd, 'report.html'));
    expect(report.term('Test accuracy')).toBe(percent(event.accuracy));
    expect(report.term('Test loss')).toBe(event.loss.toFixed(4));
    expect(report.term('Among the first three')).toBe(percent(event.top3Accuracy));
    expect(report.term('Calibration error')).toBe(percent(event.expectedCalibrationError));
    expect(report.confusion).toEqual(event.confusion);
    for (const { precision, recall, f1 } of event.perClass) {
      const cells = [precision, recall, f1].map((each) => `<td class="number">${percent(each)}</td>`);
      expect(report.html).toContain(cells.join(''));
    }
    const counts = report.chart('Images by confidence').series.Images;
    expect(counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)).toBe(100);
    expect(event.accuracy).toBeLessThan(0.9);
    const wrong = Math.min(24, Math.round(100 * (1 - event.accuracy)));
    expect(report.html.match(/alt="Image \d+ of the test set"/g)).toHaveLength(wrong);
    expect(report.command).toBe(`npx mnist-train ${words.join(' ')}`);
  });

  it('does not take the place of the model', async () => {
    const cwd = workspace.make('model');
    await runCli([...POOR, '--epochs', '1'], { cwd });
    const words = ['evaluate', 'mnist-model.safetensors', '--data-dir', data, '--report', './mnist-model.safetensors'];
    const result = await runCli(words, { cwd });
    expect([result.status, errorLines(result).join()]).toEqual([2, expect.stringContaining('different files')]);
    const missing = await runCli(['evaluate', 'none', '--report', 'report.html'], { cwd });
    expect(missing.status).toBe(1);
    expect(existsSync(join(cwd, 'report.html'))).toBe(false);
  });
});
