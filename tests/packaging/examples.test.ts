import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { installPackage } from '../helpers/installed-package.js';

const root = join(import.meta.dirname, '..', '..');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

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
    await installPackage(folder);
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
