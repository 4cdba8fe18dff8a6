import type { WriteStream } from 'node:tty';
import type { CliEvent } from './events.js';
import { type ColorSupport, colorSupport } from './ui/image.js';
import { LiveBlock, type ScreenSize } from './ui/live-block.js';
import { Progress, type ProgressLayout } from './ui/progress.js';
import { plainStyle, type Style, terminalStyle } from './ui/style.js';

/**
 * Where everything that the program says goes. Results for people go to stdout; with `--json` they go to stderr and stdout
 * carries one JSON event a line. Lines and the progress bar share a terminal: the bar steps aside for each line.
 */
export class Output {
  readonly json: boolean;
  readonly colors: ColorSupport;
  readonly style: Style;
  readonly #people: NodeJS.WriteStream;
  #progress: Pick<Progress, 'show' | 'hide' | 'stop'> | null = null;

  constructor(options: { json: boolean }) {
    this.json = options.json;
    this.#people = options.json ? process.stderr : process.stdout;
    this.colors = colorSupport(this.#people as Parameters<typeof colorSupport>[0]);
    this.style = this.colors === 'none' ? plainStyle : terminalStyle;
    // Whatever ends the process, the terminal gets its cursor back. Writing to a terminal is synchronous.
    process.on('exit', () => this.stopProgress());
  }

  /** How wide a line for people may be. */
  get columns(): number {
    return this.#people.columns ?? 80;
  }

  get size(): ScreenSize {
    return { columns: this.columns, rows: this.#people.rows ?? 24 };
  }

  /** Whether people see a terminal on which lines can be drawn again. */
  get canRedraw(): boolean {
    return this.#people.isTTY === true && process.env.TERM !== 'dumb';
  }

  /** One or more lines for people. */
  say(text = ''): void {
    // One write: a bar that goes and comes back in several would flicker.
    this.#people.cork();
    this.#aside(() => this.#people.write(`${text}\n`));
    this.#people.uncork();
  }

  /** A remark that is not part of the result: always on stderr. */
  note(text: string): void {
    this.#aside(() => process.stderr.write(`${text}\n`));
  }

  /** A result for programs; nothing without `--json`. */
  event(event: CliEvent): void {
    if (this.json) this.#aside(() => process.stdout.write(`${JSON.stringify(event)}\n`));
  }

  /** Shows a progress bar on a terminal that can redraw a line, and nothing anywhere else. One at a time. */
  progress(layout: ProgressLayout): Progress {
    this.stopProgress();
    const progress = new Progress(this.#people, layout, this.canRedraw);
    this.#progress = progress;
    return progress;
  }

  /** Shows lines that are drawn again in place, on a terminal that `canRedraw`, where a progress bar would be. */
  live(draw: (size: ScreenSize) => readonly string[]): LiveBlock {
    this.stopProgress();
    const block = new LiveBlock(this.#people as WriteStream, draw);
    this.#progress = block;
    return block;
  }

  stopProgress(): void {
    this.#progress?.stop();
    this.#progress = null;
  }

  #aside(write: () => void): void {
    this.#progress?.hide();
    write();
    this.#progress?.show();
  }
}
