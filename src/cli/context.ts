import type { Command } from 'commander';
import { Interruption } from './interrupt.js';
import type { CommonOptions } from './options.js';
import { Output } from './output.js';

/** What a running command works with. Made once the command line is understood, since `--json` decides the streams. */
export interface Context {
  readonly output: Output;
  /** Aborted by Ctrl-C; work stops after the step in flight. */
  readonly signal: AbortSignal;
  /** The options that stand on the command line, in camel case; the others have their defaults. */
  readonly given: ReadonlySet<string>;
  /** The package's. */
  readonly version: string;
}

/** The state of one run of the program, shared by its commands. */
export class Run {
  version = '';
  output: Output | null = null;
  interruption: Interruption | null = null;

  /** Wraps a command's work as an action of commander; see `Interruption` for `graceful`. */
  action<Options extends CommonOptions>(
    work: (context: Context, options: Options, operands: string[]) => Promise<void>,
    graceful?: string,
  ): (...received: unknown[]) => Promise<void> {
    return async (...received) => {
      const command = received.at(-1) as Command;
      const options = command.opts() as Options;
      this.output = new Output({ json: options.json === true });
      this.interruption = new Interruption(this.output, graceful);
      const given = new Set(Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli'));
      const { output, version } = this;
      await work({ output, signal: this.interruption.signal, given, version }, options, command.args);
    };
  }
}
