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

/** Blocks of lines side by side, each as wide as its widest line, with blanks between them. */
export function beside(blocks: readonly (readonly string[])[], gap = 3): string[] {
  const height = Math.max(...blocks.map((block) => block.length));
  const widths = blocks.map((block) => Math.max(0, ...block.map(widthOf)));
  return Array.from({ length: height }, (_, row) =>
    blocks
      .map((block, index) => {
        const line = block[row] ?? '';
        return line + ' '.repeat(widths[index] - widthOf(line));
      })
      .join(' '.repeat(gap))
      .trimEnd(),
  );
}
