// Publishes the packages in a folder: node scripts/publish.mjs DIR [--dry-run]. First those of the platforms, and none
// where one of npm/platforms.json is missing: the main package names them all. What is published already is left out, so that
// a release that broke off can be taken up.
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const platforms = JSON.parse(readFileSync(join(root, 'npm', 'platforms.json'), 'utf8'));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'dry-run': { type: 'boolean', default: false } },
});
if (positionals.length !== 1) throw new Error('Expected one folder of packages: node scripts/publish.mjs DIR.');
const [folder] = positionals;

const packages = [
  ...platforms.map(({ name }) => [`@mnist-train/${name}`, `mnist-train-${name}-${version}.tgz`]),
  ['mnist-train', `mnist-train-${version}.tgz`],
];
const files = readdirSync(folder);
const missing = packages.map(([, file]) => file).filter((file) => !files.includes(file));
if (missing.length > 0) throw new Error(`Expected all packages in ${folder}, found none of ${missing.join(', ')}.`);
for (const [name, file] of packages) {
  const content = execFileSync('tar', ['-xzOf', join(folder, file), 'package/package.json'], { encoding: 'utf8' });
  const found = JSON.parse(content);
  if (found.name !== name || found.version !== version)
    throw new Error(`Expected ${name} ${version} in ${file}, found ${found.name} ${found.version}.`);
}

for (const [name, file] of packages) {
  const known = spawnSync('npm', ['view', `${name}@${version}`, 'version'], { encoding: 'utf8' }).stdout.trim();
  if (known === version) {
    console.log(`${name} ${version} is published already`);
    continue;
  }
  const options = values['dry-run'] ? ['--dry-run'] : ['--provenance'];
  execFileSync('npm', ['publish', resolve(folder, file), '--access', 'public', ...options], { stdio: 'inherit' });
}
