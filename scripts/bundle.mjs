// Puts the modules that tsc has written to build-ts/ into few files in dist/, which Node.js loads in half the time, and the
// pages beside them: node scripts/bundle.mjs [--declarations]
//
// Every module stands under its name in src/, without comments: documentation is in the types. With --declarations, dist/
// gets those that are published; without, it refers to build-ts/.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { rolldown } from 'rolldown';
import { ENTRIES } from './entries.mjs';

const root = resolve(import.meta.dirname, '..');
const modules = join(root, 'build-ts');
const dist = join(root, 'dist');
/** What is started by its path: bin/mnist-train.js, src/server/decoder.ts. */
const STARTED = ['cli/main', 'server/decode-worker'];
/** What browsers get, as it stands. */
const PAGES = ['report/page', 'server/page'];

const { values } = parseArgs({ options: { declarations: { type: 'boolean', default: false } } });

const bundle = await rolldown({
  input: Object.fromEntries([...ENTRIES, ...STARTED].map((name) => [name, join(modules, `${name}.js`)])),
  cwd: modules,
  platform: 'node',
  external: /^[^./]/,
  plugins: [{ name: 'source-maps', load: withSourceMap }],
  onLog: (_level, { message }) => {
    throw new Error(message);
  },
});
rmSync(dist, { recursive: true, force: true });
const { output } = await bundle.write({
  dir: dist,
  format: 'esm',
  sourcemap: true,
  comments: false,
  entryFileNames: '[name].js',
  // What index.js exports would get the name of its folder.
  chunkFileNames: ({ name }) => `chunks/${name === 'build-ts' ? 'library' : name}.js`,
});
checkImports(output);
for (const page of PAGES) cpSync(join(root, 'src', page), join(dist, page), { recursive: true });
for (const name of ENTRIES) {
  if (values.declarations) (await import('./api.mjs')).rollUp(name, dist);
  else writeFileSync(join(dist, `${name}.d.ts`), `export * from '../build-ts/${name}.js';\n`);
}

/** The bundler may call helpers of packages that nobody installs with ours. */
function checkImports(chunks) {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const { fileName, imports = [], dynamicImports = [] } of chunks) {
    for (const name of [...imports, ...dynamicImports]) {
      const known = isBuiltin(name) || chunks.some((chunk) => chunk.fileName === name);
      if (!known && !Object.keys(dependencies).some((each) => name === each || name.startsWith(`${each}/`)))
        throw new Error(`Expected dist/${fileName} to import dependencies of package.json alone, found ${name}.`);
    }
  }
}

/** What tsc has written of a module, with its map to the source. */
function withSourceMap(file) {
  const code = readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
  return { code, map: JSON.parse(readFileSync(`${file}.map`, 'utf8')) };
}
