/**
 * Walks the course, docs/learn, as a reader does: from the first page to the last in one empty folder, in which the package
 * is installed. Files are written as the pages show them, commands run in their order, and what they print is compared
 * with what the pages say.
 *
 *   node scripts/course.mjs [--update] [--without-mnist] [--pages FOLDER] [--data FOLDER]
 *
 * --update writes what was printed into the pages. --without-mnist leaves out what needs the data set.
 * --data names a folder that has it, which saves the download.
 *
 * In a page, a `js` block whose first line is a comment with the name of a file is that file. The lines of an `sh` block are
 * run in bash and must succeed. A `text` block that follows one, with nothing between, is its output. What differs from
 * run to run or machine to machine, times and the engine, is … there.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const BLOCK = /^```(\w+)\n([\s\S]*?)^```$/gm;
const FILE = /^\/\/ ([\w-]+\.mjs)\n/;
/** What has one of these needs MNIST, or a network that was trained on it. */
const NEEDS_MNIST = /loadDataset\(|loadModel\(|npx mnist-train /;

const { values: options } = parseArgs({
  options: {
    update: { type: 'boolean', default: false },
    'without-mnist': { type: 'boolean', default: false },
    pages: { type: 'string', default: join(root, 'docs', 'learn') },
    data: { type: 'string' },
  },
});

/** Files that need MNIST. */
const needy = new Set();
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-course-'));
process.exitCode = 1;
try {
  install();
  const differences = pagesOf(options.pages).flatMap(walk);
  for (const difference of differences) console.error(difference);
  process.exitCode = differences.length > 0 && !options.update ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** As `npm install PATH_OF_THE_CHECKOUT` does it: by links. */
function install() {
  mkdirSync(join(folder, 'node_modules', '.bin'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{}\n');
  symlinkSync(root, join(folder, 'node_modules', 'mnist-train'));
  symlinkSync('../mnist-train/bin/mnist-train.js', join(folder, 'node_modules', '.bin', 'mnist-train'));
  if (options.data === undefined) return;
  mkdirSync(join(folder, 'data'));
  symlinkSync(resolve(options.data), join(folder, 'data', 'mnist'));
}

function pagesOf(path) {
  const names = readdirSync(path).filter((name) => name.endsWith('.md'));
  // README.md, the table of contents, comes before the numbers.
  names.sort((a, b) => (a === 'README.md' ? -1 : b === 'README.md' ? 1 : a < b ? -1 : 1));
  return names.map((name) => ({ name, path: join(path, name), text: readFileSync(join(path, name), 'utf8') }));
}

/** Runs a page's blocks in their order; what differed, a text each. */
function walk({ name, path, text }) {
  const differences = [];
  let commands = 0;
  let updated = '';
  let end = 0;
  let printed = null;
  for (const block of text.matchAll(BLOCK)) {
    const [whole, language, content] = block;
    const between = text.slice(end, block.index);
    end = block.index + whole.length;
    const isOutput = language === 'text' && printed !== null && between.trim() === '';
    const differs = isOutput && content !== printed;
    if (differs) differences.push(`${name}: expected\n${content}received\n${printed}`);
    updated += between + (differs ? `\`\`\`text\n${printed}\`\`\`` : whole);
    printed = null;
    if (language === 'js') writeFile(name, content);
    if (language !== 'sh' || (options['without-mnist'] && needsMnist(content))) continue;
    printed = run(name, content);
    commands++;
  }
  if (options.update && differences.length > 0) writeFileSync(path, updated + text.slice(end));
  console.log(`${name}: ${commands} commands`);
  return differences;
}

function writeFile(page, content) {
  const [, file] = FILE.exec(content) ?? [];
  if (file === undefined) throw new Error(`${page}: expected a comment with the name of a file above ${content}`);
  writeFileSync(join(folder, file), content);
  if (NEEDS_MNIST.test(content)) needy.add(file);
}

function needsMnist(lines) {
  return NEEDS_MNIST.test(lines) || [...needy].some((file) => lines.includes(`node ${file}`));
}

/** What the lines of a block print. The reader's own settings play no part. */
function run(page, lines) {
  const { MNIST_TRAIN_DATA, MNIST_TRAIN_ISA, FORCE_COLOR, COLUMNS, ...env } = process.env;
  const result = spawnSync('bash', ['-e', '-o', 'pipefail', '-c', lines], { cwd: folder, env, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${page}: ended with ${result.status}: ${lines}${result.stderr}`);
  return masked(result.stdout);
}

function masked(text) {
  return text
    .replace(/(^|; )(?:native \(\w+\), \d+ threads?|TypeScript)(?=;|$)/gm, '$1…')
    .replace(/\b\d[\d.:]* (?:µs|ms|s|min|h)\b/g, '…')
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}
