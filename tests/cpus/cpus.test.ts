import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { eventsOf } from '../helpers/cli-run.js';
import { compilerFlags, Playground } from '../helpers/playground.js';

/**
 * The command line on other processors, emulated (Debian: qemu-user, g++-aarch64-linux-gnu): each takes the backend that
 * it can run, and all come to the same bits.
 */

const root = join(import.meta.dirname, '..', '..');
const playground = new Playground();
const RECIPES = ['fast', 'cnn'];
let data: string;
const weights = new Map<string, string>();

const cli = (home: string) => join(home, 'bin', 'mnist-train.js');

async function train(start: readonly string[], recipe: string, env: Record<string, string> = {}) {
  const cwd = playground.make('work');
  const args = ['train', '--recipe', recipe, '--data-dir', data, '--epochs', '1', '--seed', '7', '--json'];
  const outcome = await playground.run([...start, ...args], { cwd, node: 'this', env });
  expect(outcome.status, `${outcome.stdout}${outcome.stderr}`).toBe(0);
  return { outcome, done: eventsOf(outcome).find(({ event }) => event === 'done')! };
}

beforeAll(async () => {
  data = writeDataset(playground.make('data'));
  for (const recipe of RECIPES) {
    const { done } = await train([process.execPath, cli(root)], recipe);
    expect(done.backend).toBe('native');
    weights.set(recipe, done.weightsSha256);
  }
});

afterAll(() => playground.remove());

/** A short run leaves out what differs little from its neighbours. */
const short = process.env.MNIST_TRAIN_QUICK_TESTS !== undefined;
const CPUS = [
  { cpu: 'Nehalem', what: 'has no AVX', recipes: ['fast'], backend: 'js', isa: null },
  ...(short ? [] : [{ cpu: 'SandyBridge', what: 'has AVX, not AVX2', recipes: ['fast'], backend: 'js', isa: null }]),
  { cpu: 'Haswell', what: 'has AVX2', recipes: short ? ['fast'] : RECIPES, backend: 'native', isa: 'avx2' },
];

describe.each(CPUS)('a $cpu, which $what,', ({ cpu, recipes, backend, isa }) => {
  const emulated = ['/usr/bin/qemu-x86_64', '-cpu', cpu, process.execPath];

  it.each(recipes)('trains %s to the same bits', async (recipe) => {
    const { done, outcome } = await train([...emulated, cli(root)], recipe);
    expect(done).toMatchObject({ backend, isa, weightsSha256: weights.get(recipe) });
    if (isa === null) expect(outcome.stderr).toMatch(/this processor \(x64\) has neither AVX2/);
  });

  it('says in info what was tried', async () => {
    const { stdout } = await playground.run([...emulated, cli(root), 'info'], { cwd: root, node: 'this' });
    expect(stdout).toMatch(isa ? /native \(avx2\)/ : /failed: .*neither AVX2 with FMA nor NEON/);
    // Another build would not help.
    expect(stdout).not.toContain('build-native');
  });
});

describe('an AArch64 processor', () => {
  const home = () => join(playground.folder, 'arm64', 'node_modules', 'mnist-train');
  const emulated = () => [
    '/usr/bin/qemu-aarch64',
    '-L',
    '/usr/aarch64-linux-gnu',
    playground.tool('node24-arm64', 'bin', 'node'),
  ];

  beforeAll(() => {
    playground.fetchTools(['node24-arm64']);
    const modules = playground.make('arm64/node_modules');
    const to = `--pack-destination=${playground.make('packages')}`;
    const [{ filename }] = JSON.parse(
      execFileSync('npm', ['pack', '--json', '--ignore-scripts', to], { cwd: root, encoding: 'utf8' }),
    );
    mkdirSync(home());
    const tarball = join(playground.folder, 'packages', filename);
    execFileSync('tar', ['-xzf', tarball, '-C', home(), '--strip-components', '1']);
    for (const name of readdirSync(join(root, 'node_modules')))
      if (name !== 'mnist-train') symlinkSync(join(root, 'node_modules', name), join(modules, name));
    compile(join(home(), 'native'));
    mkdirSync(join(home(), 'build', 'Release'), { recursive: true });
    copyFileSync(
      join(home(), 'native', 'build', 'Release', 'mnist_train.node'),
      join(home(), 'build', 'Release', 'mnist_train.node'),
    );
  });

  it.each(RECIPES)('trains %s with the addon to the same bits', async (recipe) => {
    const { done } = await train([...emulated(), cli(home())], recipe);
    expect(done).toMatchObject({ backend: 'native', isa: 'neon', weightsSha256: weights.get(recipe) });
  });

  it('trains without the addon to the same bits', async () => {
    writeFileSync(join(home(), 'build', 'Release', 'mnist_train.node'), 'not an addon');
    const { done, outcome } = await train([...emulated(), cli(home())], 'fast');
    expect(done).toMatchObject({ backend: 'js', weightsSha256: weights.get('fast') });
    expect(outcome.stderr).toMatch(/The native addon did not load/);
  });
});

/** As `native/build.mjs` does, with a cross compiler. */
function compile(sources: string): void {
  const gyp = join(root, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  const headers = join(process.execPath, '..', '..');
  const args = [gyp, 'rebuild', '--arch=arm64', `--nodedir=${headers}`, '--jobs=max', '--loglevel=error'];
  const prefix = 'aarch64-linux-gnu-';
  const env = {
    ...process.env,
    ...compilerFlags('-O1'),
    CC: `${prefix}gcc`,
    CXX: `${prefix}g++`,
    AR: `${prefix}ar`,
    LINK: `${prefix}g++`,
  };
  execFileSync(process.execPath, args, { cwd: sources, env, stdio: ['ignore', 'ignore', 'inherit'] });
}
