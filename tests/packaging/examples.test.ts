import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { writeDataset } from '../helpers/cli-idx.js';

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The package as an example sees it, with a small data set in place of MNIST, which a test must not download. */
async function installPackage(): Promise<void> {
  const home = join(folder, 'node_modules', 'mnist-train');
  const index = pathToFileURL(join(root, 'dist', 'index.js'));
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), JSON.stringify({ type: 'module', exports: './index.js' }));
  await writeFile(
    join(home, 'index.js'),
    `import { loadDataset as load } from '${index}';
export * from '${index}';
export const loadDataset = (name) => load(name, { dataDir: ${JSON.stringify(writeDataset(join(folder, 'data')))} });\n`,
  );
}

/**
 * The JavaScript blocks of a page as one module: each may use what those before it declared, or declare it anew. Imports,
 * which have to stand outside, come first.
 */
function moduleOf(page: string): string {
  const blocks = [...page.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
  const imports = new Map<string, Set<string>>();
  const bodies = blocks.map((code) =>
    code.replace(/^import \{([\s\S]*?)\} from '([^']+)';\n/gm, (_, names: string, from: string) => {
      const known = imports.get(from) ?? new Set<string>();
      for (const name of names.split(',')) if (name.trim()) known.add(name.trim());
      imports.set(from, known);
      return '';
    }),
  );
  const heads = [...imports].map(([from, names]) => `import { ${[...names].join(', ')} } from '${from}';`);
  return `${heads.join('\n')}\n${bodies.join('\n{\n')}${'}'.repeat(Math.max(0, bodies.length - 1))}\n`;
}

describe('examples run as they are written', () => {
  it.each(['README.md', 'docs/training.md'])('in %s', async (page) => {
    await installPackage();
    const file = join(folder, `${page.replace(/\W/g, '-')}.mjs`);
    const source = moduleOf(readFileSync(join(root, page), 'utf8'));
    expect(source.split('\n').length).toBeGreaterThan(20);
    await writeFile(file, source);
    const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    const [code] = await once(child, 'close');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});
