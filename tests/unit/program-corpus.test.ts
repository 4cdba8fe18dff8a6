import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { requireAddon } from '../../src/backends/native/load.js';

const folder = join(import.meta.dirname, '..', '..', 'native', 'fuzz', 'corpus');
const addon = requireAddon();

/** The words of a case: numbers, and names of ops. */
function wordsOf(text: string): Float64Array {
  const lines = text.split('\n').filter((line) => !line.startsWith('#'));
  const tokens = lines.join(' ').split(/\s+/).filter(Boolean);
  return Float64Array.from(tokens, (token) => {
    const code = addon.operations.indexOf(token);
    return code >= 0 ? code : Number(token);
  });
}

// native/tests/program_corpus_test.cc runs the same cases without Node.js.
describe('programs that the fuzzer has found', () => {
  const files = readdirSync(folder);

  it('are there', () => {
    expect(files.length).toBeGreaterThan(10);
  });

  it.each(files)('%s: refused with the reason, or opened', (file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const refused = /^# refused: (.+)\n/.exec(text);
    const open = () => new addon.Session(wordsOf(text), addon.instructionSets[0], 2);
    if (refused) {
      expect(open).toThrow(RangeError);
      expect(open).toThrow(refused[1]);
    } else {
      expect(text).toMatch(/^# runs\n/);
      open().dispose();
    }
  });
});
