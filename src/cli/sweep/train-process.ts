import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MnistTrainError } from '../../errors.js';
import { packageFile } from '../../location.js';
import type { CliEvent } from '../events.js';
import type { Outcome } from './run.js';

const CLI = fileURLToPath(packageFile('bin/mnist-train.js'));
/** A training that a signal stops saves its model first. Nobody wants it: after this time it has to go. */
const GRACE_MILLISECONDS = 3000;
/** More of stderr than an error line can be. */
const STDERR_LENGTH = 16_384;

/**
 * Runs `mnist-train train --json` in a process of its own and waits for its end. The result is that of the epoch
 * whose weights it ends with: the last one, and with early stopping the best.
 * When `signal` aborts, the process is ended and the result is null.
 *
 * Rejects with the system's error when no process can be started, and with ERR_ABORTED when somebody else stopped it.
 */
export async function trainInProcess(
  words: readonly string[],
  { signal, onShare }: { signal: AbortSignal; onShare: (share: number) => void },
): Promise<Outcome> {
  if (signal.aborted) return null;
  const child = spawn(process.execPath, [CLI, 'train', ...words, '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[status: number | null, by: NodeJS.Signals | null]>;
  const seen = watchEvents(
    child,
    words.some((word) => word === '--early-stopping' || word.startsWith('--early-stopping=')),
    onShare,
  );
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LENGTH);
  });
  const unlink = stopWith(child, signal);
  try {
    const [status, by] = await ended;
    if (signal.aborted) return null;
    if (status === 130 || status === 143 || by === 'SIGINT' || by === 'SIGTERM') {
      throw new MnistTrainError('ERR_ABORTED', 'A training of the sweep was stopped. Run the same command to go on.');
    }
    if (by !== null)
      return { error: `The process was ended by ${by}${by === 'SIGKILL' ? ', out of memory perhaps' : ''}.` };
    return outcomeOf(seen, status === 0 ? '' : errorIn(stderr) || `The process ended with status ${status}.`);
  } finally {
    unlink();
  }
}

type EventOf<Name> = Extract<CliEvent, { event: Name }>;

interface Seen {
  epoch?: EventOf<'epoch'>;
  done?: EventOf<'done'>;
}

/** Keeps the epoch that counts and the end of what a training says, as it says it. */
function watchEvents(child: ChildProcess, best: boolean, onShare: (share: number) => void): Seen {
  const seen: Seen = {};
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const event = parse(line);
    if (event?.event === 'done') seen.done = event;
    if (event?.event !== 'epoch') return;
    const lossBefore = seen.epoch?.validationLoss ?? Number.POSITIVE_INFINITY;
    if (!best || (event.validationLoss ?? Number.POSITIVE_INFINITY) < lossBefore) seen.epoch = event;
    if (event.epoch < event.epochs) onShare(event.epoch / event.epochs);
  });
  return seen;
}

/** An event; nothing for the beginning of one, which a process that is ended leaves. */
function parse(line: string): CliEvent | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function outcomeOf({ epoch, done }: Seen, error: string): Outcome {
  if (error) return { error };
  const { validationAccuracy, validationLoss } = epoch ?? {};
  // JSON has no NaN: a number that is not finite came as null.
  if (!done || typeof validationAccuracy !== 'number' || typeof validationLoss !== 'number') {
    return { error: 'The training ended without a finite loss and accuracy on the validation images.' };
  }
  const { trainSeconds, weightsSha256 } = done;
  return { validationAccuracy, validationLoss, trainSeconds, weightsSha256 };
}

/** The error line among remarks. */
function errorIn(stderr: string): string {
  const line = stderr.split('\n').findLast((text) => text.startsWith('mnist-train: '));
  return line?.slice('mnist-train: '.length) ?? '';
}

/** Ends the process when the signal aborts; returns what ends that. */
function stopWith(child: ChildProcess, signal: AbortSignal): () => void {
  let timer: NodeJS.Timeout | undefined;
  const stop = () => {
    child.kill('SIGTERM');
    timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MILLISECONDS);
  };
  signal.addEventListener('abort', stop, { once: true });
  return () => {
    signal.removeEventListener('abort', stop);
    clearTimeout(timer);
  };
}
