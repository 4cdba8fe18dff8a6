import type { CliEvent } from './events.js';
import { type ColorSupport, colorSupport } from './ui/image.js';
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
  #progress: Progress | null = null;

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

  /** One or more lines for people. */
  say(text = ''): void {
    this.#aside(() => this.#people.write(`${text}\n`));
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
    const visible = this.#people.isTTY === true && process.env.TERM !== 'dumb';
    this.#progress = new Progress(this.#people, layout, visible);
    return this.#progress;
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
