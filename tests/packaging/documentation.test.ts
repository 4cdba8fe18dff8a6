import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Run } from '../../src/cli/context.js';
import { createProgram } from '../../src/cli/program.js';

const root = join(import.meta.dirname, '..', '..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');
const reference = text('docs/cli.md');

/** The part of docs/cli.md under a heading. */
function sectionOf(title: string): string {
  const start = reference.indexOf(`\n## ${title}\n`);
  expect(start, `heading ${title}`).toBeGreaterThan(0);
  const end = reference.indexOf('\n## ', start + 1);
  return reference.slice(start, end < 0 ? undefined : end);
}

const program = await createProgram(new Run(), '0.0.0', ['--help']);

describe('docs/cli.md', () => {
  it.each(program.commands.map((command) => [command.name(), command] as const))(
    '%s: every option',
    (name, command) => {
      const flags = command.options.map(({ long }) => long).filter((flag) => flag !== '--json' && flag !== '--verbose');
      for (const flag of flags) expect(sectionOf(name)).toContain(`\`${flag}`);
    },
  );

  it('has every event with every field, and no other', () => {
    const source = text('src/cli/events.ts');
    const described = new Map<string, string>();
    let current = '';
    // | `event` * | `field`, `field`? | … |, where rows without an event go on with the one above.
    for (const [, event, fields] of sectionOf('JSON events').matchAll(/^\| (?:`(\w+)` ?)?\*? ?\| (`.*?) \|/gm)) {
      current = event ?? current;
      described.set(current, `${described.get(current) ?? ''} ${fields}`);
    }
    const events = [...source.matchAll(/event: '(\w+)';/g)].map(([, event]) => event);
    expect([...described.keys()].sort()).toEqual(events.sort());
    // Fields that an event takes over from another interface are not in this file.
    const own = [...source.matchAll(/Event (?:extends Engine )?\{\n {2}event: '(\w+)';\n([\s\S]*?)\n\}/g)];
    expect(own.length).toBeGreaterThan(8);
    for (const [, event, body] of own) {
      const fields = [...body.matchAll(/^ {2}(\w+)(\??):/gm)].map(([, name, mark]) => `\`${name}\`${mark}`);
      const named = [...(described.get(event) ?? '').matchAll(/`\w+`\??/g)].map(([field]) => field);
      expect(named.sort(), event).toEqual(fields.sort());
    }
  });
});
