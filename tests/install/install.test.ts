import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';
import { eventsOf } from '../helpers/cli-run.js';
import {
  compilerFlags,
  emptyProject,
  type NodeVersion,
  type Outcome,
  Playground,
  pack,
  type RunOptions,
  registryOfNpm,
} from '../helpers/playground.js';
import { type Registry, startRegistry } from '../helpers/registry.js';

/**
 * The packages, installed from a registry into empty folders by each package manager, with no compiler in reach. Every
 * installation must train, where the addon is and where it is not, with the same bits.
 */

const playground = new Playground();
let registry: Registry;
let data: string;
/** Hash of the weights after one epoch: the first installation sets it, all others must agree. */
let weights: string | null = null;

beforeAll(async () => {
  playground.fetchTools(['node22', 'node24', 'node26', 'npm11', 'npm12', 'pnpm', 'yarn', 'yarn-classic']);
  registry = await startRegistry(pack(playground.make('packages')), registryOfNpm());
  data = writeDataset(playground.make('data'));
}, 300_000);

afterAll(async () => {
  await registry.close();
  playground.remove();
});

const environment = (): Record<string, string> => ({
  npm_config_registry: registry.url,
  npm_config_cache: join(playground.folder, 'npm-cache'),
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_update_notifier: 'false',
  // pnpm reads these, and waits for no version to grow old.
  pnpm_config_registry: registry.url,
  pnpm_config_minimum_release_age: '0',
  pnpm_config_store_dir: join(playground.folder, 'pnpm-store'),
  YARN_NPM_REGISTRY_SERVER: registry.url.replace(/\/$/, ''),
  YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
  YARN_NPM_MINIMAL_AGE_GATE: '0',
  YARN_ENABLE_TELEMETRY: '0',
  YARN_ENABLE_GLOBAL_CACHE: 'true',
  YARN_GLOBAL_FOLDER: join(playground.folder, 'yarn'),
  YARN_CACHE_FOLDER: join(playground.folder, 'yarn-cache'),
  YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
});

interface Installation {
  title: string;
  node: NodeVersion;
  /** Arguments of node that install into an empty project. */
  install: () => string[];
  /** Arguments of node before those of `mnist-train`. */
  start?: () => string[];
  env?: Record<string, string>;
  backend: 'native' | 'js';
}

const npm = (version: 'npm11' | 'npm12') => playground.tool(version, 'bin', 'npm-cli.js');
const pnpm = () => playground.tool('pnpm', 'bin', 'pnpm.mjs');
const yarn = () => playground.tool('yarn', 'bin', 'yarn.js');
const classic = () => playground.tool('yarn-classic', 'bin', 'yarn.js');
const BIN = ['node_modules', 'mnist-train', 'bin', 'mnist-train.js'];

const INSTALLATIONS: Installation[] = [
  { title: 'npm 11', node: 'this', install: () => [npm('npm11'), 'install', 'mnist-train'], backend: 'native' },
  {
    title: 'npm 11 without scripts',
    node: 'this',
    install: () => [npm('npm11'), 'install', '--ignore-scripts', 'mnist-train'],
    backend: 'native',
  },
  {
    title: 'npm 11 without optional packages',
    node: 'this',
    install: () => [npm('npm11'), 'install', '--omit=optional', 'mnist-train'],
    backend: 'js',
  },
  { title: 'npm 12', node: 'node24', install: () => [npm('npm12'), 'install', 'mnist-train'], backend: 'native' },
  { title: 'pnpm 12', node: 'this', install: () => [pnpm(), 'add', 'mnist-train'], backend: 'native' },
  {
    title: 'pnpm 12 without scripts',
    node: 'node22',
    install: () => [pnpm(), 'add', '--ignore-scripts', 'mnist-train'],
    backend: 'native',
  },
  {
    title: 'pnpm 12 without optional packages',
    node: 'this',
    install: () => [pnpm(), 'add', '--no-optional', 'mnist-train'],
    backend: 'js',
  },
  {
    title: 'yarn 4 with node_modules',
    node: 'this',
    install: () => [yarn(), 'add', 'mnist-train'],
    env: { YARN_NODE_LINKER: 'node-modules' },
    backend: 'native',
  },
  {
    title: 'yarn 4 with node_modules, without scripts',
    node: 'node26',
    install: () => [yarn(), 'add', 'mnist-train'],
    env: { YARN_NODE_LINKER: 'node-modules', YARN_ENABLE_SCRIPTS: 'false' },
    backend: 'native',
  },
  {
    title: "yarn 4 with Plug'n'Play",
    node: 'this',
    install: () => [yarn(), 'add', 'mnist-train'],
    start: () => [yarn(), 'mnist-train'],
    env: { YARN_NODE_LINKER: 'pnp' },
    backend: 'native',
  },
  // With Node 20 it needs --ignore-engines: it takes a dependency of fastify in a version for Node 22.
  { title: 'yarn 1', node: 'node22', install: () => [classic(), 'add', 'mnist-train'], backend: 'native' },
  {
    title: 'yarn 1 without optional packages',
    node: 'node22',
    install: () => [classic(), 'add', '--ignore-optional', 'mnist-train'],
    backend: 'js',
  },
];

function run(args: readonly string[], { env, ...options }: RunOptions): Promise<Outcome> {
  const { node } = options;
  return playground.run([playground.node(node), ...args], { ...options, env: { ...environment(), ...env } });
}

function project(name: string): string {
  const folder = playground.make(name);
  emptyProject(folder);
  return folder;
}

/** Trains an epoch, and checks where it did and what came of it. */
async function trains(options: RunOptions, start: readonly string[], backend: 'native' | 'js') {
  const outcome = await run([...start, 'train', '--data-dir', data, '--epochs', '1', '--seed', '7', '--json'], options);
  expect(outcome.status, `${outcome.stdout}${outcome.stderr}`).toBe(0);
  const done = eventsOf(outcome).find(({ event }) => event === 'done');
  expect(done).toMatchObject({ backend, epochs: 1 });
  weights ??= done!.weightsSha256;
  expect(done!.weightsSha256).toBe(weights);
}

describe.each(INSTALLATIONS)('$title', ({ title, node, install, start, env, backend }) => {
  it(`installs without complaint and trains (${backend})`, async () => {
    const cwd = project(title.replaceAll(/\W+/g, '-'));
    const installed = await run(install(), { cwd, node, env });
    const output = `${installed.stdout}${installed.stderr}`;
    expect(installed.status, output).toBe(0);
    expect(output).not.toMatch(/deprecated|EBADENGINE|incompatible|gyp|build scripts/i);
    await trains({ cwd, node, env }, start?.() ?? [join(cwd, ...BIN)], backend);
  });
});

describe('an installation', () => {
  it.each(['node22', 'node24', 'node26'] as const)('runs with %s as it is', async (node) => {
    const cwd = join(playground.folder, 'npm-11');
    await trains({ cwd, node }, [join(cwd, ...BIN)], 'native');
  });

  it('comes out of a lock file, and compiles nothing', async () => {
    const cwd = project('locked');
    for (const file of ['package.json', 'package-lock.json'])
      writeFileSync(join(cwd, file), readFileSync(join(playground.folder, 'npm-11', file)));
    const installed = await run([npm('npm11'), 'ci'], { cwd, node: 'this' });
    expect(installed.status, installed.stderr).toBe(0);
    expect(existsSync(join(cwd, 'node_modules', 'mnist-train', 'build'))).toBe(false);
    await trains({ cwd, node: 'this' }, [join(cwd, ...BIN)], 'native');
  });

  it('is found by programs, by types and by name', async () => {
    const cwd = join(playground.folder, 'npm-11');
    const program = `import { sequential, dense } from 'mnist-train';
      const model = sequential([dense({ units: 2 })], { inputShape: [3], seed: 1, backend: 'native' });
      console.log(model.predictSync(new Float32Array(6)).length);`;
    writeFileSync(join(cwd, 'program.mjs'), program);
    expect(await run(['program.mjs'], { cwd, node: 'this' })).toMatchObject({ status: 0, stdout: '4\n' });
  });

  it('says what was tried where the addon is missing, and compiles one on the spot', async () => {
    const cwd = join(playground.folder, 'npm-11-without-optional-packages');
    const bin = join(cwd, ...BIN);
    const info = await run([bin, 'info'], { cwd, node: 'this' });
    expect(info.stdout).toMatch(/@mnist-train\/linux-x64-gnu.*not installed/i);
    expect(info.stdout).toMatch(/build-native/);
    // Without a compiler it says what is missing, and leaves training as it was.
    const refused = await run([bin, 'build-native'], { cwd, node: 'this' });
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/compiler|Python|make/i);
    await trains({ cwd, node: 'this' }, [bin], 'js');
    const more = ['/usr/local/bin', '/usr/bin', '/bin'];
    const built = await run([bin, 'build-native'], { cwd, node: 'this', more, env: compilerFlags('-O0') });
    expect(built.status, `${built.stdout}${built.stderr}`).toBe(0);
    await trains({ cwd, node: 'this' }, [bin], 'native');
  });

  it('leaves nothing behind when it is removed', async () => {
    const cwd = join(playground.folder, 'npm-11-without-scripts');
    expect((await run([npm('npm11'), 'uninstall', 'mnist-train'], { cwd, node: 'this' })).status).toBe(0);
    const left = readdirSync(join(cwd, 'node_modules'), { recursive: true, encoding: 'utf8' });
    expect(left.filter((path) => path.includes('mnist') && !/^@mnist-train$/.test(path))).toEqual([]);
  });
});
