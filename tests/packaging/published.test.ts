import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { extract, list } from 'tar';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pack } from '../helpers/playground.js';
import type { Publication } from '../helpers/registry.js';

/** The packages as they are published: what npm run pack makes of the build. */

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-published-'));
let main: Publication;
let platform: Publication;
/** Paths inside the tarball, as npm writes them: package/… */
const files: string[] = [];

beforeAll(async () => {
  const publications = pack(folder);
  main = publications.find(({ manifest }) => manifest.name === 'mnist-train')!;
  platform = publications.find(({ manifest }) => manifest.name.startsWith('@mnist-train/'))!;
  const file = join(folder, 'main.tgz');
  writeFileSync(file, main.tarball);
  await list({ file, onReadEntry: ({ path }) => void files.push(path.replace(/^package\//, '')) });
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true }));

const bytesOf = ({ tarball }: Publication) => new Uint8Array(tarball).slice().buffer;

describe('the published package', () => {
  it('has nothing that publint objects to', async () => {
    const { messages, pkg } = await publint({ pack: { tarball: bytesOf(main) }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg!, { color: false }))).toEqual([]);
  });

  it('has types that every way of importing finds, but for require, which it does not have', async () => {
    const analysis = await checkPackage(createPackageFromTarballData(new Uint8Array(main.tarball)));
    expect(analysis.types).toMatchObject({ kind: 'included' });
    const problems = 'problems' in analysis ? analysis.problems : [];
    // ESM alone: require gets it only where Node.js can, and the resolution of before 2021 knows no `exports`.
    const meant = problems.filter(
      (problem) =>
        problem.kind === 'CJSResolvesToESM' || ('resolutionKind' in problem && problem.resolutionKind === 'node10'),
    );
    expect(meant.length).toBeGreaterThan(0);
    expect(problems.filter((problem) => !meant.includes(problem))).toEqual([]);
  });

  it('has declarations with which a strict program compiles', () => {
    const home = join(folder, 'program');
    const place = join(home, 'node_modules', 'mnist-train');
    mkdirSync(place, { recursive: true });
    unpack(place);
    const file = join(home, 'program.mts');
    writeFileSync(
      file,
      `import { type History, MnistTrainError, type Predictor, dense, sequential } from 'mnist-train';
import { createMatmul } from 'mnist-train/kernels';
const model = sequential([dense({ units: 10, activation: 'softmax' })], { inputShape: [784] });
const history: Promise<History> = model.fit({ inputs: new Float32Array(784), targets: Uint8Array.of(1) });
const predictor: Predictor = model.snapshot();
// @ts-expect-error there is no such option
dense({ unit: 3 });
export { MnistTrainError, createMatmul, history, predictor };
`,
    );
    const program = ts.createProgram([file], {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2023,
      lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
      types: ['node'],
      typeRoots: [join(root, 'node_modules', '@types')],
      strict: true,
      noEmit: true,
    });
    const diagnostics = ts.getPreEmitDiagnostics(program);
    expect(diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([]);
  });

  it('asks npm for no script, and for the packages of all platforms in its own version', () => {
    const { scripts, devDependencies, optionalDependencies, version, bin } = main.manifest;
    expect(scripts).toBeUndefined();
    expect(devDependencies).toBeUndefined();
    const platforms: { name: string }[] = JSON.parse(readFileSync(join(root, 'npm', 'platforms.json'), 'utf8'));
    expect(optionalDependencies).toEqual(
      Object.fromEntries(platforms.map(({ name }) => [`@mnist-train/${name}`, version])),
    );
    expect(files).toContain((bin as Record<string, string>)['mnist-train']);
    expect(files.filter((path) => /(^|\/)binding\.gyp$/.test(path))).toEqual(['native/binding.gyp']);
  });

  it('names no folder of the machine that made it', () => {
    const home = join(folder, 'content');
    mkdirSync(home);
    unpack(home);
    const maps = files.filter((path) => path.endsWith('.js.map'));
    expect(maps.length).toBeGreaterThan(30);
    for (const path of maps) {
      const { sources } = JSON.parse(readFileSync(join(home, path), 'utf8'));
      for (const source of sources) {
        expect(source).toMatch(/^(\.\.\/)+src\/[\w/-]+\.ts$/);
        expect(existsSync(join(root, dirname(path), source)), `${path}: ${source}`).toBe(true);
      }
    }
    for (const path of files.filter((one) => /\.(js|map|json|ts|gypi|mjs)$/.test(one)))
      expect(readFileSync(join(home, path), 'utf8').includes(root), path).toBe(false);
  });
});

it('starts programs whose errors name lines of the sources', () => {
  const home = join(folder, 'started');
  mkdirSync(home);
  unpack(home);
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'));
  const program = `import { dense } from '${pathToFileURL(join(home, 'dist', 'index.js'))}'; dense({ units: -1 });`;
  const node = spawnSync(process.execPath, ['--enable-source-maps', '--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  const [, path, line] = node.stderr.match(/at dense \(.*?\/(src\/layers\/dense\.ts):(\d+)/) ?? [];
  expect(path, node.stderr).toBeDefined();
  // It is where dense looks at the units.
  expect(readFileSync(join(root, path), 'utf8').split('\n')[Number(line) - 1]).toMatch(/units/);
});

/** Unpacks the main package without its folder. */
function unpack(to: string): void {
  extract({ file: join(folder, 'main.tgz'), cwd: to, strip: 1, sync: true });
}

describe('sizes', () => {
  // What it was when this was written, and some room: who passes it shall know and say so.
  it.each([
    ['the main package', () => main.tarball.length, 445_000],
    ['the package of a platform', () => platform.tarball.length, 405_000],
  ])('%s', (_what, size, atMost) => {
    expect(size()).toBeLessThan(atMost);
  });
});
