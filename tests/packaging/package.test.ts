import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** The files that npm would put into the package, which the build has made before the tests run. */
function packedFiles(): string[] {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const output = execFileSync('npm', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [{ files }] = JSON.parse(output);
  return files.map(({ path }: { path: string }) => path);
}

describe('the package', () => {
  const files = packedFiles();

  it('holds what its manifest names, the licence and the read-me', () => {
    const named = Object.values<string | Record<string, string>>(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    const wanted = [...named, ...Object.values<string>(manifest.bin)].map((path) => path.replace(/^\.\//, ''));
    for (const path of [
      ...wanted,
      'LICENSE',
      'README.md',
      'native/mnist_train.gypi',
      'native/binding.gyp',
      'native/build.mjs',
    ])
      expect(files).toContain(path);
  });

  it.each([
    ['server', 'index.html'],
    ['report', 'report.js'],
  ])('holds every file of the pages of %s', (room, file) => {
    const page = readdirSync(join(root, 'src', room, 'page'));
    expect(page).toContain(file);
    expect(files.filter((path) => path.startsWith(`dist/${room}/page/`))).toEqual(
      page.map((name) => `dist/${room}/page/${name}`).sort(),
    );
  });

  it('holds the thread of `serve` that decodes large bodies', () => {
    expect(files).toContain('dist/server/decode-worker.js');
  });

  it('holds no tests, no binaries, and nothing that makes npm compile on installing', () => {
    const strays = files.filter(
      (path) => !/^(bin|dist|native)\/|^(LICENSE|README\.md|package\.json|npm\/platforms\.json)$/.test(path),
    );
    expect(strays).toEqual([]);
    expect(files.filter((path) => /tests?\/|\.node$|\.safetensors$|^binding\.gyp$/.test(path))).toEqual([]);
    for (const script of ['preinstall', 'install', 'postinstall']) expect(manifest.scripts).not.toHaveProperty(script);
  });
});
