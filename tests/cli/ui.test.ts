import { describe, expect, it } from 'vitest';
import { shellWord } from '../../src/cli/files.js';
import { bytes, clock, count, duration, percent, plural } from '../../src/cli/ui/format.js';
import { bar, pairs, table } from '../../src/cli/ui/tables.js';
import { errorLine, UsageError } from '../../src/cli/usage.js';
import { MnistTrainError } from '../../src/errors.js';

describe('numbers for people', () => {
  it('durations change their unit where it reads best', () => {
    const shown = [4.12e-5, 0.0031, 0.9994, 0.9996, 59.99, 125, 3725].map(duration);
    expect(shown).toEqual(['41.2 µs', '3.10 ms', '999 ms', '1.00 s', '59.99 s', '2:05 min', '1:02:05 h']);
    expect(duration(Number.NaN)).toBe('-');
  });

  it('time left is a clock', () => {
    expect([0.4, 4.4, 725, 3600].map(clock)).toEqual(['0:00', '0:04', '12:05', '1:00:00']);
    expect(clock(Number.POSITIVE_INFINITY)).toBe('-:--');
  });

  it('counts, shares and sizes', () => {
    expect(count(101770)).toBe('101,770');
    expect(percent(0.97941)).toBe('97.94 %');
    expect([999, 11_500, 11_490_000, 2.5e9].map(bytes)).toEqual(['999 B', '11.5 kB', '11.5 MB', '2.50 GB']);
    expect([plural(1, 'image'), plural(2000, 'image')]).toEqual(['1 image', '2,000 images']);
  });
});

describe('tables', () => {
  it('align columns and leave no blanks at the end of a line', () => {
    const text = table(
      [{ title: 'name', align: 'left' }, { title: 'n' }, { title: '', align: 'left' }],
      [
        ['a', '1', 'x'],
        ['long name', '100', ''],
      ],
    );
    expect(text).toBe('name         n\na            1  x\nlong name  100');
    expect(
      pairs([
        ['a', '1'],
        ['', 'b'],
      ]),
    ).toBe('a  1\n   b');
  });

  it('bars are as long as the share, to an eighth', () => {
    expect(bar(0.5, 4)).toBe('██  ');
    expect(bar(1, 4)).toBe('████');
    expect(bar(1 / 32, 4)).toBe('▏   ');
    expect([bar(0, 4), bar(-1, 4), bar(Number.NaN, 4), bar(7, 4)]).toEqual(['    ', '    ', '    ', '████']);
  });
});

describe('error lines', () => {
  it('are one line, and point wrong usage to the help', () => {
    expect(errorLine(new MnistTrainError('ERR_DATA', 'First.\n  Second.\n'), 'train')).toBe('First. Second.');
    expect(errorLine(new UsageError('Expected x'), 'mnist-train train --help')).toBe(
      'Expected x. See mnist-train train --help.',
    );
  });

  it('call a defect a defect', () => {
    expect(errorLine(new TypeError('x is not a function'), 'train')).toBe(
      'Unexpected failure: x is not a function. Run again with --verbose for the stack, and report it.',
    );
  });
});

it('file names are quoted for the shell where they need it', () => {
  expect(shellWord('models/a-1.safetensors')).toBe('models/a-1.safetensors');
  expect(shellWord("it's here")).toBe(`'it'\\''s here'`);
});
