/** A terminal's screen, as far as the command line uses one: text, carriage returns, new lines and the codes below. */
export class Screen {
  readonly columns: number;
  readonly rows: number;
  /** What has gone off the upper edge, then the lines of the screen. */
  readonly #above: string[] = [];
  #lines: string[][];
  #row = 0;
  #column = 0;
  #wraps = true;
  cursorShown = true;
  /** Codes that this screen does not know: a test expects none. */
  readonly unknown: string[] = [];

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#lines = Array.from({ length: rows }, () => []);
  }

  write(text: string): this {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal codes begin with one.
    for (const [piece, parameters, letter] of text.matchAll(/\x1b\[([?\d;]*)([A-Za-z])|[\s\S]/gu)) {
      if (letter) this.#control(parameters, letter);
      else if (piece === '\r') this.#column = 0;
      else if (piece === '\n') this.#lineFeed();
      else this.#put(piece);
    }
    return this;
  }

  /** Everything that can be read, with what has scrolled away, without blanks at the end of lines and without empty ones at the end. */
  get text(): string {
    return [...this.#above, ...this.visible].join('\n').trimEnd();
  }

  /** The lines on the screen. */
  get visible(): string[] {
    return this.#lines.map((line) =>
      Array.from(line, (sign) => sign ?? ' ')
        .join('')
        .trimEnd(),
    );
  }

  #put(sign: string): void {
    if (this.#column === this.columns) {
      if (!this.#wraps) return;
      this.#column = 0;
      this.#lineFeed();
    }
    this.#lines[this.#row][this.#column++] = sign;
  }

  #lineFeed(): void {
    if (this.#row < this.rows - 1) {
      this.#row++;
      return;
    }
    this.#above.push(this.visible[0]);
    this.#lines = [...this.#lines.slice(1), []];
  }

  #control(parameters: string, letter: string): void {
    const count = Number(parameters) || 1;
    const line = this.#lines[this.#row];
    if (letter === 'm') return;
    if (letter === 'A') this.#row = Math.max(0, this.#row - count);
    else if (letter === 'G') this.#column = count - 1;
    else if (letter === 'K') line.length = parameters === '2' ? 0 : Math.min(line.length, this.#column);
    else if (letter === 'J' && parameters === '') {
      line.length = Math.min(line.length, this.#column);
      for (let row = this.#row + 1; row < this.rows; row++) this.#lines[row] = [];
    } else if (parameters === '?25') this.cursorShown = letter === 'h';
    else if (parameters === '?7') this.#wraps = letter === 'h';
    else this.unknown.push(`${parameters}${letter}`);
  }
}
