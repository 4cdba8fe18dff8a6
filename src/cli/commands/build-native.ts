import { spawn } from 'node:child_process';
import { Command } from 'commander';
import { BUILD_SCRIPT, describeAttempts, loadAddon } from '../../backends/native/load.js';
import { MnistTrainError } from '../../errors.js';
import type { Context, Run } from '../context.js';
import type { CommonOptions } from '../options.js';

export function buildNativeCommand(run: Run): Command {
  return new Command('build-native')
    .description('Compile the native addon from the sources in the package, where none was installed for this system.')
    .action(run.action<CommonOptions>(buildNative));
}

async function buildNative({ output, signal }: Context): Promise<void> {
  const start = performance.now();
  output.say('Compiling the native addon. This takes about a minute.');
  await compile(signal);
  const { addon, attempts } = loadAddon({ again: true });
  const path = attempts.at(-1)?.path ?? '';
  if (!addon) throw failure(`It was compiled, but does not load (${describeAttempts(attempts)})`);
  const [isa] = addon.instructionSets;
  output.event({ event: 'nativeBuilt', path, isa, seconds: (performance.now() - start) / 1000 });
  output.say(`The native addon is in ${path}. The backend is native (${isa}) from now on.`);
}

/** What the compiler says goes to stderr. */
async function compile(signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [BUILD_SCRIPT], { stdio: ['ignore', 2, 2] });
  const stop = () => child.kill();
  signal.addEventListener('abort', stop, { once: true });
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    signal.throwIfAborted();
    if (status !== 0) throw failure('The lines above say why');
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

const failure = (reason: string): MnistTrainError =>
  new MnistTrainError(
    'ERR_NATIVE_BUILD',
    `The native addon could not be built. ${reason}. It needs Python 3, make and a C++17 compiler (on Debian: apt-get install python3 make g++).`,
  );
