import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');

/**
 * npm leaves out what it could not find while it wrote the lock file, such as the binaries for other platforms of a tool
 * that was published a moment ago; from then on `npm ci` refuses the file, on this platform as well.
 */
it('the lock file has the optional packages of every platform', () => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const isLocked = (path: string, name: string): boolean => {
    if (`${path}node_modules/${name}` in packages) return true;
    const parent = path.replace(/node_modules\/(@[^/]+\/)?[^/]+\/$/, '');
    return parent !== path && isLocked(parent, name);
  };
  const entries = Object.entries(packages);
  const missing = entries.flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !isLocked(path && `${path}/`, name)),
  );
  expect(entries.some(([, { optionalDependencies }]) => optionalDependencies)).toBe(true);
  expect(missing).toEqual([]);
});
