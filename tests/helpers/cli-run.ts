import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../bin/mnist-train.js', import.meta.url));

export interface CliResult {
  /** As a shell has it: 128 + the signal's number when a signal ended the process. */
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  cwd: string;
  env?: Record<string, string>;
  onStart?: (child: ChildProcess) => void;
  /** Called with everything that came so far, after each piece: the place to send signals from, or to type. */
  onOutput?: (child: ChildProcess, output: { stdout: string; stderr: string }) => void;
}

/** Nothing of the user's or of a CI server's: no colours forced or forbidden, an empty data folder. */
function environment({ cwd, env }: CliOptions): NodeJS.ProcessEnv {
  const { MNIST_TRAIN_ISA, MNIST_TRAIN_ADDON, NO_COLOR, FORCE_COLOR, COLORTERM, CI, ...rest } = process.env;
  return {
    ...rest,
    TERM: 'xterm-256color',
    MNIST_TRAIN_DATA: join(cwd, 'no-data'),
    NODE: process.execPath,
    CLI,
    ...env,
  };
}

function run(program: string, args: readonly string[], options: CliOptions, stdin: 'ignore' | 'pipe') {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: environment(options),
    stdio: [stdin, 'pipe', 'pipe'],
    // A child that hangs must not outlive its test.
    timeout: 50_000,
    killSignal: 'SIGKILL',
  });
  options.onStart?.(child);
  return new Promise<CliResult>((resolve, reject) => {
    const output = { stdout: '', stderr: '' };
    const collect = (name: 'stdout' | 'stderr') => (piece: Buffer) => {
      output[name] += piece;
      options.onOutput?.(child, output);
    };
    child.stdout?.on('data', collect('stdout'));
    child.stderr?.on('data', collect('stderr'));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      child.stdin?.destroy();
      resolve({ status: signal ? 128 + constants.signals[signal] : code, ...output });
    });
  });
}

/** Runs the built command line with its output in pipes. */
export function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return run(process.execPath, [CLI, ...args], options, 'ignore');
}

/** Runs a line of bash, in which `$NODE $CLI` is the command line: for pipes and redirections. */
export function runShell(line: string, options: CliOptions): Promise<CliResult> {
  return run('bash', ['-c', line], options, 'ignore');
}

/**
 * Runs a line of bash on a pseudo terminal of 100 columns, through util-linux's `script`. All that the terminal gets is in
 * `stdout`; what is written to the child's stdin is typed ("\x03" is Ctrl-C).
 */
export function runOnTerminal(line: string, options: CliOptions): Promise<CliResult> {
  const env = { TERM: 'xterm-256color', SHELL: '/bin/bash', ...options.env };
  const command = `stty cols 100 rows 30; ${line}`;
  const args = ['--quiet', '--return', '--flush', '--command', command, '/dev/null'];
  return run('script', args, { ...options, env }, 'pipe');
}

/** The JSON events of stdout; throws when a line is not JSON. */
// biome-ignore lint/suspicious/noExplicitAny: events are what the tests look into, field by field.
export function eventsOf({ stdout }: Pick<CliResult, 'stdout'>): Record<string, any>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** The error lines on stderr, without remarks about data of one's own. */
export function errorLines({ stderr }: CliResult): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.endsWith('used as data of your own.'));
}

/** A folder of its own for a test file. */
export function makeWorkspace(): { folder: string; make(name: string): string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'mnist-train-cli-'));
  return {
    folder,
    make: (name) => {
      const path = join(folder, name);
      mkdirSync(path);
      return path;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
