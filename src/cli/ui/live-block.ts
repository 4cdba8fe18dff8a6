import type { WriteStream } from 'node:tty';
import { cut, widthOf } from './text.js';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE_END = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export interface ScreenSize {
  columns: number;
  rows: number;
}

type Terminal = Pick<WriteStream, 'write' | 'columns' | 'rows' | 'on' | 'off'>;

/**
 * Lines at the bottom of a terminal that are drawn again in place. They step aside for text, never take more than the
 * screen, and leave no trace when they are stopped; the cursor is hidden only while they are shown.
 *
 * Every drawing is one write that overwrites line by line, so that nothing flickers. The cursor rests at the beginning of
 * the last line: what the terminal echoes, such as ^C, then needs no line of its own.
 */
export class LiveBlock {
  readonly #terminal: Terminal;
  readonly #draw: (size: ScreenSize) => readonly string[];
  /** What is on the screen; null while nothing is. */
  #drawn: readonly string[] | null = null;
  #stopped = false;

  constructor(terminal: Terminal, draw: (size: ScreenSize) => readonly string[]) {
    this.#terminal = terminal;
    this.#draw = draw;
    terminal.on('resize', this.#redraw);
    process.on('SIGTSTP', this.#suspend);
    process.on('SIGCONT', this.#redraw);
  }

  /** Draws the lines as they are now. */
  show(): void {
    if (this.#stopped) return;
    const { columns = 80, rows = 24 } = this.#terminal;
    // A character in the last column would make some terminals wrap.
    const lines = this.#draw({ columns, rows })
      .slice(0, Math.max(1, rows - 1))
      .map((line) => cut(line, columns - 1));
    const begin = this.#drawn ? this.#toFirstLine() : HIDE_CURSOR;
    this.#terminal.write(`${begin}${lines.map((line) => line + CLEAR_LINE_END).join('\n')}${CLEAR_BELOW}\r`);
    this.#drawn = lines;
  }

  /** Takes the lines off the screen; the cursor stands where they began. */
  hide(): void {
    if (!this.#drawn) return;
    this.#terminal.write(`${this.#toFirstLine()}${CLEAR_BELOW}${SHOW_CURSOR}`);
    this.#drawn = null;
  }

  /** Removes the lines for good. Idempotent. */
  stop(): void {
    this.hide();
    this.#stopped = true;
    this.#terminal.off('resize', this.#redraw);
    process.off('SIGTSTP', this.#suspend);
    process.off('SIGCONT', this.#redraw);
  }

  /** On a terminal that has become narrower, lines may have been broken into several. */
  #toFirstLine(): string {
    const { columns = 80, rows = 24 } = this.#terminal;
    const above = this.#drawn!.slice(0, -1).reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(widthOf(line) / columns)),
      0,
    );
    const up = Math.min(above, rows - 1);
    return up > 0 ? `\r\x1b[${up}A` : '\r';
  }

  readonly #redraw = (): void => this.show();

  /** Ctrl-Z: the shell gets the terminal as it was. */
  readonly #suspend = (): void => {
    this.hide();
    process.kill(process.pid, 'SIGSTOP');
  };
}
