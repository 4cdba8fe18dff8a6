// Makes the packages that are published, from a build: the main one and, with --addon, the one of a platform.
//
//   node scripts/pack.mjs [--out DIR]                          the main package, and that of this platform
//   node scripts/pack.mjs --platform NAME --addon FILE --no-main  a platform's package alone, as release.yml makes them
//   node scripts/pack.mjs --no-platforms                        the main package alone
//   node scripts/pack.mjs --list                               npm/platforms.json in one line, for release.yml
//
// The published manifest is not the repository's: it has no scripts and no development, and it names the platforms'
// packages, which npm could not find while they are not published.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import { rollUp } from './api.mjs';
import { ENTRIES } from './entries.mjs';

const root = resolve(import.meta.dirname, '..');
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const platforms = JSON.parse(readFileSync(join(root, 'npm', 'platforms.json'), 'utf8'));

const { values } = parseArgs({
  allowNegative: true,
  options: {
    out: { type: 'string', default: root },
    platform: { type: 'string', default: ownPlatform() },
    addon: { type: 'string', default: join(root, 'build', 'Release', 'mnist_train.node') },
    main: { type: 'boolean', default: true },
    platforms: { type: 'boolean', default: true },
    list: { type: 'boolean', default: false },
  },
});

if (values.list) {
  console.log(JSON.stringify(platforms));
} else {
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  if (values.platforms) console.log(packPlatform(values.platform, resolve(values.addon), out));
  if (values.main) console.log(packMain(out));
}

function ownPlatform() {
  const libc = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
  return platforms.find((one) => one.os === process.platform && one.cpu === process.arch && (one.libc ?? libc) === libc)
    ?.name;
}

/** What both kinds of packages say of themselves. */
function common() {
  const { version, license, engines, author } = manifest;
  // Provenance needs the repository, and the release workflow knows it.
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: path } = process.env;
  return {
    version,
    license,
    author,
    engines,
    ...(path && { repository: { type: 'git', url: `git+${server}/${path}.git` } }),
  };
}

function packPlatform(name, addon, out) {
  const platform = platforms.find((one) => one.name === name);
  if (!platform) {
    throw new Error(`Expected one of ${platforms.map((one) => one.name).join(', ')} for --platform, received ${name}.`);
  }
  const folder = join(root, 'npm', name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'mnist_train.node');
  cpSync(addon, file);
  if (platform.os !== 'win32')
    execFileSync('strip', platform.os === 'darwin' ? ['-x', file] : ['--strip-unneeded', file]);
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  writeFileSync(join(folder, 'README.md'), `The compiled addon of mnist-train for ${name}; mnist-train installs it.\n`);
  const { os, cpu, libc } = platform;
  writeManifest(folder, {
    name: `@mnist-train/${name}`,
    description: `The compiled addon of mnist-train for ${name}`,
    ...common(),
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    main: 'mnist_train.node',
    files: ['mnist_train.node'],
    preferUnplugged: true,
  });
  return npmPack(folder, out);
}

function packMain(out) {
  const stage = mkdtempSync(join(tmpdir(), 'mnist-train-pack-'));
  try {
    const [{ files }] = JSON.parse(npm(['pack', '--dry-run', '--json', '--ignore-scripts'], root));
    for (const { path } of files) {
      mkdirSync(dirname(join(stage, path)), { recursive: true });
      cpSync(join(root, path), join(stage, path));
      if (path.endsWith('.js.map')) keepLines(join(stage, path));
    }
    for (const entry of ENTRIES) rollUp(entry, join(stage, 'dist'));
    const { scripts, devDependencies, allowScripts, ...published } = manifest;
    const packages = platforms.map(({ name }) => [`@mnist-train/${name}`, manifest.version]);
    writeManifest(stage, { ...published, ...common(), optionalDependencies: Object.fromEntries(packages) });
    return npmPack(stage, out);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** Stack traces name lines: without columns, and without the sources, a source map is a tenth as long. */
function keepLines(file) {
  const { version, file: name, sources, mappings } = JSON.parse(readFileSync(file, 'utf8'));
  const lines = decode(mappings).map((segments) => segments.filter((segment) => segment.length > 1).slice(0, 1));
  const firsts = lines.map((segments) => segments.map(([, source, line]) => [0, source, line, 0]));
  writeFileSync(file, JSON.stringify({ version, file: name, sources, names: [], mappings: encode(firsts) }));
}

function writeManifest(folder, content) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(content, null, 2)}\n`);
}

function npmPack(folder, out) {
  const [{ filename, size }] = JSON.parse(
    npm(['pack', '--json', '--ignore-scripts', `--pack-destination=${out}`], folder),
  );
  return `${join(out, filename)}  ${(size / 1000).toFixed(0)} kB`;
}

function npm(args, cwd) {
  return execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}
