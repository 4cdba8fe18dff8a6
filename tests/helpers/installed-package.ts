import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { writeDataset } from './cli-idx.js';

const root = join(import.meta.dirname, '..', '..');

/**
 * Installs the built package into a folder as examples see it, with a small data set in place of MNIST, which a test must
 * not download, and with what else they import.
 */
export async function installPackage(folder: string, samples?: number, others: readonly string[] = []): Promise<void> {
  const home = join(folder, 'node_modules', 'mnist-train');
  const index = pathToFileURL(join(root, 'dist', 'index.js'));
  const data = writeDataset(join(folder, 'data'), samples);
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'package.json'), JSON.stringify({ type: 'module', exports: './index.js' }));
  await writeFile(
    join(home, 'index.js'),
    `import { loadDataset as load } from '${index}';
export * from '${index}';
export const loadDataset = (name) => load(name, { dataDir: ${JSON.stringify(data)} });\n`,
  );
  for (const name of others) await symlink(join(root, 'node_modules', name), join(folder, 'node_modules', name));
}
