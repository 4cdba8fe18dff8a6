import { createRequire } from 'node:module';
import type { SingleBar } from 'cli-progress';

const require = createRequire(import.meta.url);

export interface ProgressLayout {
  /** Behind the bar; {name} stands for a value given to `update`. */
  text: string;
  /** Columns that the text takes at most, so that the bar gets the rest. */
  textWidth: number;
  total: number;
}

/**
 * A progress bar that can step aside. On anything but a terminal every method does nothing. The bar is redrawn ten times
 * a second at most, leaves no trace when it is stopped, and hides the cursor only while it is shown.
 */
export class Progress {
  readonly #bar: SingleBar | null;
  #total: number;
  #value = 0;
  #values: Record<string, string> = {};
  #shown = false;
  #stopped = false;

  constructor(stream: NodeJS.WriteStream, layout: ProgressLayout, visible: boolean) {
    this.#total = layout.total;
    this.#bar = visible ? createBar(stream, layout) : null;
  }

  update(value: number, values: Record<string, string>, total = this.#total): void {
    if (this.#stopped) return;
    this.#value = value;
    this.#values = values;
    this.#total = total;
    if (!this.#shown) {
      this.show();
      return;
    }
    this.#bar?.setTotal(total);
    this.#bar?.update(value, values);
  }

  show(): void {
    // Nothing is drawn before the first values are known.
    if (this.#shown || this.#stopped || !this.#bar || Object.keys(this.#values).length === 0) return;
    this.#shown = true;
    this.#bar.start(this.#total, this.#value, this.#values);
  }

  hide(): void {
    if (!this.#shown) return;
    this.#shown = false;
    this.#bar?.stop();
  }

  /** Removes the bar for good. Idempotent. */
  stop(): void {
    this.hide();
    this.#stopped = true;
  }
}

function createBar(stream: NodeJS.WriteStream, layout: ProgressLayout): SingleBar {
  // Loaded here: most commands show no bar, and none does in a pipe.
  const { Presets, SingleBar } = require('cli-progress') as typeof import('cli-progress');
  return new SingleBar(
    {
      stream,
      format: `{bar}  ${layout.text}`,
      barsize: Math.max(8, Math.min(40, (stream.columns ?? 80) - layout.textWidth - 3)),
      fps: 10,
      hideCursor: true,
      clearOnComplete: true,
      // Signals are the program's own business (see interrupt.ts); it stops the bar whichever way it ends.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
}
