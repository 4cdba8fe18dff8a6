/** How text is marked on a terminal. The plain style returns it unchanged: for pipes, files and NO_COLOR. */
export interface Style {
  strong(text: string): string;
  faint(text: string): string;
  good(text: string): string;
}

const mark = (open: number, close: number) => (text: string) => `\x1b[${open}m${text}\x1b[${close}m`;
const same = (text: string) => text;

export const terminalStyle: Style = { strong: mark(1, 22), faint: mark(2, 22), good: mark(32, 39) };
export const plainStyle: Style = { strong: same, faint: same, good: same };
