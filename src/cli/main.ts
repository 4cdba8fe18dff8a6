import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { fileError } from '../files.js';
import { packageFile } from '../location.js';
import { Run } from './context.js';
import { checkCommand, createProgram, helpFor } from './program.js';
import { errorLine, isUsageError } from './usage.js';

/** Exit status of a program whose reader went away: 128 + SIGPIPE, as shells report it. */
const READER_GONE = 141;

const run = new Run();
let outputFailed = false;

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // `mnist-train … | head -1` closes the pipe early. Nobody reads any more, so there is nothing to say about it.
    if (error.code === 'EPIPE') process.exit(READER_GONE);
    // Remarks that find no room are no reason to give up the work. Results are; what a training has so far is kept.
    if (stream === process.stderr || outputFailed) return;
    outputFailed = true;
    run.output?.stopProgress();
    process.stderr.write(`mnist-train: ${fileError('write', 'stdout', error).message}\n`);
    run.interruption?.stop();
    process.exitCode = 1;
  });
}

const argumentsGiven = process.argv.slice(2);
const status = await main(argumentsGiven);
process.exitCode = outputFailed ? 1 : status;

/** Runs the command line and returns the exit status. Every failure ends as one line on stderr. */
async function main(words: string[]): Promise<number> {
  const { version } = JSON.parse(readFileSync(packageFile('package.json'), 'utf8'));
  run.version = version;
  try {
    checkCommand(words);
    const program = await createProgram(run, version, words);
    await program.parseAsync(words, { from: 'user' });
    return run.interruption?.status ?? 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help or --version, already printed
    run.output?.stopProgress();
    if (outputFailed) return 1; // whatever became of the work that this stopped
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
