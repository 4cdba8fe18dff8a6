import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const course = join(root, 'docs', 'learn');
const names = readdirSync(course)
  .filter((name) => /^\d\d-/.test(name))
  .sort();
const pages = names.map((name, index) => ({
  name,
  index,
  text: readFileSync(join(course, name), 'utf8'),
}));
const readme = readFileSync(join(course, 'README.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'mnist-train-course-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Links of a page: what they say, where they go. */
const linksOf = (text: string) =>
  [...text.matchAll(/\[([^\]]+)\]\(([^)\s]+)\)/g)].map(([, said, to]) => ({ said, to }));

const walk = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, 'scripts', 'course.mjs'), '--without-mnist', ...args], { encoding: 'utf8' });

describe('the course', () => {
  it('prints what its pages say, as far as no data set is needed; npm run test:course runs the rest', () => {
    const { status, stdout, stderr } = walk();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const commands = new Map(
      [...stdout.matchAll(/^(\S+): (\d+) commands$/gm)].map(([, name, count]) => [name, +count]),
    );
    expect([...commands.keys()]).toEqual(['README.md', ...names]);
    expect(commands.get('06-back-propagation.md')).toBe(2);
    expect([...commands.values()].reduce((a, b) => a + b)).toBeGreaterThanOrEqual(12);
  });

  it('would notice a number that is wrong, and put it right', () => {
    const page = join(folder, '01-sum.md');
    const text = (sum: string) =>
      `# Sum\n\n\`\`\`js\n// sum.mjs\nconsole.log(1 + 2);\nconsole.log('12.3 ms');\n\`\`\`\n\n\`\`\`sh\nnode sum.mjs\n\`\`\`\n\n\`\`\`text\n${sum}\n…\n\`\`\`\n\nEnd.\n`;
    writeFileSync(page, text('4'));
    const wrong = walk('--pages', folder);
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('01-sum.md: expected\n4\n…\nreceived\n3\n…\n');
    expect(walk('--pages', folder, '--update').status).toBe(0);
    expect(readFileSync(page, 'utf8')).toBe(text('3'));
    writeFileSync(page, text('3').replace('node sum.mjs', 'node other.mjs'));
    expect(walk('--pages', folder).status).toBe(1);
  });

  it('has a table of contents with every page, in order', () => {
    const listed = linksOf(readme).filter(({ to }) => /^\d\d-/.test(to));
    // The list, and the link to the first page at the end.
    expect(listed.map(({ to }) => to)).toEqual([...names, names[0]]);
  });
});

describe.each(pages)('$name', ({ name, index, text }) => {
  it('has a number, a question with its answer, and a link to the next page', () => {
    expect(text).toMatch(new RegExp(`^# ${index + 1}\\. `));
    expect(text).toMatch(
      /\n## Question\n\n[^\n#][\s\S]+\n<details><summary>Answer<\/summary>\n\n[\s\S]+\n<\/details>\n/,
    );
    const end = text.slice(text.indexOf('</details>'));
    expect(linksOf(end)[0].to).toBe(names[index + 1] ?? 'README.md');
  });

  it('shows what every program prints', () => {
    const programs = [...text.matchAll(/^```js\n\/\/ ([\w-]+\.mjs)\n/gm)].map(([, file]) => file);
    expect(programs).toHaveLength([...text.matchAll(/^```js$/gm)].length);
    for (const program of programs)
      expect(text).toMatch(new RegExp(`^node ${program}\n\`\`\`\n\n\`\`\`text\n[^\`]`, 'm'));
    expect(text).not.toMatch(/^```text\n```/m);
  });

  it('links to source that has what is named, and to pages that exist', () => {
    const links = linksOf(text).filter(({ to }) => !to.startsWith('http'));
    for (const { said, to } of links) {
      const path = resolve(dirname(join(course, name)), to);
      expect(existsSync(path), to).toBe(true);
      const symbol = /^`(\w+)`$/.exec(said)?.[1];
      if (symbol === undefined) continue;
      const definition = new RegExp(`\\b(function\\*?|const|class|inline \\w+) ${symbol}\\b`);
      expect(readFileSync(path, 'utf8'), `${symbol} in ${to}`).toMatch(definition);
    }
    expect(links.filter(({ to }) => /\.(ts|h)$/.test(to)).length).toBeGreaterThan(0);
  });
});
