import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { Run } from './context.js';
import { checkCommand, createProgram, helpFor } from './program.js';
import { errorLine, isUsageError } from './usage.js';

/** Exit status of a program whose reader went away: 128 + SIGPIPE, as shells report it. */
const READER_GONE = 141;

// `mnist-train … | head -1` closes the pipe early. Nobody reads any more, so there is nothing to say about it.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(READER_GONE);
    throw error;
  });
}

const argumentsGiven = process.argv.slice(2);
process.exitCode = await main(argumentsGiven);

/** Runs the command line and returns the exit status. Every failure ends as one line on stderr. */
async function main(words: string[]): Promise<number> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const run = new Run();
  try {
    checkCommand(words);
    const program = await createProgram(run, version, words);
    await program.parseAsync(words, { from: 'user' });
    return run.interruption?.status ?? 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help or --version, already printed
    run.output?.stopProgress();
    const interrupted = run.interruption?.status ?? 0;
    if (interrupted !== 0) {
      process.stderr.write('mnist-train: Interrupted.\n');
      return interrupted;
    }
    process.stderr.write(`mnist-train: ${errorLine(error, helpFor(words))}\n`);
    if (words.includes('--verbose') && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    return isUsageError(error) ? 2 : 1;
  }
}
