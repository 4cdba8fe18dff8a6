import { stripVTControlCharacters } from 'node:util';

/** A colour code, which takes no column, or a character. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes begin with one.
const PIECES = /\x1b\[[0-9;]*m|./gu;
const RESET = '\x1b[0m';

/** The columns that a line takes, without its colour codes. All that is shown here is one column wide. */
export const widthOf = (line: string): number => [...stripVTControlCharacters(line)].length;

/** A line cut to `columns`, its colours ended. */
export function cut(line: string, columns: number): string {
  if (widthOf(line) <= columns) return line;
  let left = columns;
  const kept = (line.match(PIECES) ?? []).filter((piece) => piece.startsWith('\x1b') || left-- > 0);
  return kept.join('') + (line.includes('\x1b') ? RESET : '');
}

/** Blocks of lines side by side: each begins `width` columns and a gap behind the one before, whatever is in it. */
export function beside(blocks: readonly (readonly string[])[], width: number, gap: number): string[] {
  const height = Math.max(...blocks.map((block) => block.length));
  const padded = (line: string) => line + ' '.repeat(Math.max(0, width - widthOf(line)));
  return Array.from({ length: height }, (_, row) =>
    blocks
      .map((block) => padded(block[row] ?? ''))
      .join(' '.repeat(gap))
      .trimEnd(),
  );
}
