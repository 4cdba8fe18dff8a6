import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { errorLines, makeWorkspace, runCli, runShell } from '../helpers/cli-run.js';

const workspace = makeWorkspace();
const cwd = workspace.make('work');
mkdirSync(join(cwd, 'folder'));

afterAll(() => workspace.remove());

/** Command lines that make no sense, and what the one line on stderr must say. */
const WRONG: [line: string, says: RegExp][] = [
  ['--hiden 64', /unknown option '--hiden' \(Did you mean --hidden\?\)/],
  ['evalute model', /Expected one of train, find-lr, download, .* for the command, received "evalute"/],
  ['train extra', /too many arguments for 'train'/],
  ['--epochs', /option '--epochs <n>' argument missing/],
  ['--epochs 0', /Expected a whole number from 1 to 100000 for --epochs, received "0"/],
  ['--epochs 1.5', /--epochs, received "1.5"/],
  ['--epochs 1e3', /--epochs, received "1e3"/],
  ['--epochs -3', /--epochs, received "-3"/],
  ['--batch-size many', /--batch-size, received "many"/],
  ['--hidden 128,,64', /Expected layer widths .* for --hidden, received "128,,64"/],
  ['--hidden 0', /--hidden, received "0"/],
  ['--hidden=', /--hidden, received ""/],
  ['--activation softplus', /Expected one of linear, relu, .* for --activation, received "softplus"/],
  ['--optimizer nadam', /Expected one of adam, adamw, sgd, rmsprop, adagrad, lion for --optimizer, received "nadam"/],
  ['--schedule cosin', /Expected one of one-cycle, constant, .* for --schedule, received "cosin"/],
  ['--warmup 100', /Expected --schedule cosine with --warmup, received one-cycle/],
  ['--schedule cosine --warmup -1', /--warmup, received "-1"/],
  ['--learning-rate 0', /Expected a number above 0 for --learning-rate, received "0"/],
  ['--learning-rate NaN', /--learning-rate, received "NaN"/],
  ['--learning-rate 1e999', /--learning-rate, received "1e999"/],
  ['--momentum 0.9', /Expected --optimizer sgd or rmsprop with --momentum, received adam/],
  ['--weight-decay -1', /a number of at least 0 for --weight-decay, received "-1"/],
  ['--clip-norm 0', /a number above 0 for --clip-norm, received "0"/],
  ['--ema 1', /including, 1 for --ema, received "1"/],
  ['--recipe fast --ema 0.9', /Expected no --ema with --recipe fast/],
  ['--recipe fast --weight-decay 0.1', /Expected no --weight-decay with --recipe fast/],
  ['--recipe fast --clip-norm 1', /Expected no --clip-norm with --recipe fast/],
  ['--optimizer sgd --momentum 1', /--momentum, received "1"/],
  ['--label-smoothing 1', /--label-smoothing, received "1"/],
  ['--validation-split 1', /--validation-split, received "1"/],
  ['--seed -1', /--seed, received "-1"/],
  ['--seed 9007199254740993', /--seed, received "9007199254740993"/],
  ['--threads 0', /--threads, received "0"/],
  ['--backend js --threads 2', /Expected 1 for --threads with --backend js, received 2/],
  ['--backend gpu', /Expected one of auto, native, js for --backend, received "gpu"/],
  ['--dataset cifar', /Expected one of mnist, .* for --dataset, received "cifar"/],
  ['--out missing/model.safetensors', /existing folder for --out, received "missing\/model.safetensors"\. Make/],
  ['--out folder', /Expected the name of a file for --out, received "folder"/],
  ['find-lr --min 0', /Expected a number from 1e-30 to 1e30 for --min, received "0"/],
  ['find-lr --max 1e31', /--max, received "1e31"/],
  ['find-lr --min 0.1 --max 0.1', /Expected a number above --min 0.1 for --max, received 0.1/],
  ['find-lr --steps 9', /Expected a whole number from 10 to 100000 for --steps, received "9"/],
  ['find-lr --learning-rate 0.1', /unknown option '--learning-rate'/],
  ['find-lr --momentum 0.9', /Expected --optimizer sgd or rmsprop with --momentum/],
  ['find-lr extra', /too many arguments for 'find-lr'/],
  ['download cifar', /Expected one of mnist, .* for the data set, received "cifar"/],
  ['download --mirror ftp://example.org/', /--mirror, received "ftp:\/\/example.org\/"/],
  ['download --mirror http://', /--mirror, received "http:\/\/"/],
  ['download --force --offline', /Expected --force or --offline, received both/],
  ['download mnist fashion-mnist', /too many arguments for 'download'/],
  ['evaluate', /missing required argument 'model'/],
  ['evaluate one two', /too many arguments for 'evaluate'/],
  ['predict model', /missing required argument 'image'/],
  ['predict model image --limit 0', /--limit, received "0"/],
  ['bench --slow', /unknown option '--slow'/],
  ['help nonsense', /Expected one of train, .* for the command, received "nonsense"/],
  ['help -', /Expected one of train, .* for the command, received "-"/],
  ['help -- nonsense', /for the command, received "nonsense"/],
  ['help -- --recipe', /Expected a command behind help/],
  ['help help', /Expected a command behind help/],
  ['-', /for the command, received "-"/],
  ['info extra', /too many arguments for 'info'/],
];

describe('wrong usage', () => {
  it.concurrent.each(WRONG)('%s: one line, status 2, no file', async (line, says) => {
    const result = await runCli(line.split(' '), { cwd });
    const told = errorLines(result);
    expect(told).toEqual([expect.stringMatching(says)]);
    expect(told[0]).toMatch(/^mnist-train: .* See mnist-train (?:[\w-]+ )?--help\.$/);
    expect(result.stdout).toBe('');
    expect(result.status).toBe(2);
  });

  it('left no file behind', () => {
    expect(readdirSync(cwd)).toEqual(['folder']);
  });

  it('shows the stack, in lines of the sources, with --verbose only', async () => {
    const result = await runCli(['evaluate', 'missing.safetensors', '--verbose'], { cwd });
    expect(result.status).toBe(1);
    expect(result.stderr).toMatch(/^mnist-train: .*missing\.safetensors/);
    expect(result.stderr).toMatch(/\n {4}at async evaluate \(.*src\/cli\/commands\/evaluate\.ts:\d+/);
  });
});

describe('help and version', () => {
  it('explains every command, with examples and defaults', async () => {
    const help = await runCli(['--help'], { cwd });
    expect(help.status).toBe(0);
    for (const word of [
      'train',
      'find-lr',
      'download',
      'evaluate',
      'predict',
      'bench',
      'info',
      'Examples:',
      'Exit status:',
    ]) {
      expect(help.stdout).toContain(word);
    }
    const train = await runCli(['train', '--help'], { cwd });
    expect(train.status).toBe(0);
    expect(train.stdout).toMatch(/--epochs <n>[^-]*\(default: 5\)/);
    expect(train.stdout).toMatch(/--hidden <widths>[^-]*\(default:\s+128\)/);
    expect(train.stdout).toMatch(/--recipe <name>[^-]*fast/);
  });

  it('prints the version of the package', async () => {
    const result = await runCli(['--version'], { cwd });
    expect(result).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
  });

  it('says what to do when the program was not compiled', async () => {
    const root = fileURLToPath(new URL('../../', import.meta.url));
    const folder = workspace.make('unbuilt');
    mkdirSync(join(folder, 'bin'));
    await copyFile(join(root, 'bin', 'mnist-train.js'), join(folder, 'bin', 'mnist-train.js'));
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const result = await runShell('"$NODE" bin/mnist-train.js', { cwd: folder });
    expect(result.status).toBe(1);
    expect(errorLines(result)).toEqual([expect.stringContaining('Run npm run build')]);
  });
});
