import { readFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

/** Modules that the package's `exports` lead to, by their names in src/. */
export const ENTRIES = Object.values(exports)
  .filter((entry) => typeof entry === 'object')
  .map(({ default: file }) => file.replace(/^\.\/dist\/(.+)\.js$/, '$1'));
