import { Command } from 'commander';
import { expected } from '../errors.js';
import type { Run } from './context.js';
import { UsageError } from './usage.js';

type CreateCommand = (run: Run, version: string) => Command;

/** In the order of the help. Each is loaded when it is used: loading takes most of the time of a short command. */
const COMMANDS = new Map<string, () => Promise<CreateCommand>>([
  ['train', async () => (await import('./commands/train.js')).trainCommand],
  ['find-lr', async () => (await import('./commands/find-lr.js')).findLrCommand],
  ['download', async () => (await import('./commands/download.js')).downloadCommand],
  ['evaluate', async () => (await import('./commands/evaluate.js')).evaluateCommand],
  ['predict', async () => (await import('./commands/predict.js')).predictCommand],
  ['explain', async () => (await import('./commands/explain.js')).explainCommand],
  ['inspect', async () => (await import('./commands/inspect.js')).inspectCommand],
  ['serve', async () => (await import('./commands/serve.js')).serveCommand],
  ['sweep', async () => (await import('./commands/sweep.js')).sweepCommand],
  ['bench', async () => (await import('./commands/bench.js')).benchCommand],
  ['build-native', async () => (await import('./commands/build-native.js')).buildNativeCommand],
  ['info', async () => (await import('./commands/info.js')).infoCommand],
]);

/**
 * The command line: names, options and help. It parses and dispatches; commands/ do the work. The program has the
 * commands that `words` need: one, or all where its own help lists them.
 */
export async function createProgram(run: Run, version: string, words: readonly string[]): Promise<Command> {
  const program = new Command('mnist-train')
    .description('Train and use small neural networks on MNIST. Without a command, it trains.')
    .usage('[command] [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', HELP);
  for (const name of commandsFor(words)) {
    const create = await COMMANDS.get(name)!();
    const command = create(run, version);
    command
      .helpOption('-h, --help', 'show this help')
      .option('--json', 'write JSON Lines to stdout, and text for people to stderr')
      .option('--verbose', 'show the stack of an error');
    program.addCommand(command, { isDefault: command.name() === 'train' });
  }
  for (const command of [program, ...program.commands]) {
    // Errors are thrown, so that main.ts says them in one line, the same way for every kind.
    command.exitOverride().configureOutput({ writeErr: () => {} });
  }
  return program;
}

function commandsFor(words: readonly string[]): readonly string[] {
  const [word = ''] = words;
  const named = namedCommand(words) ?? '';
  if (COMMANDS.has(named)) return [named];
  if (word === '-V' || word === '--version') return [];
  const wantsList = word === 'help' || words.includes('-h') || words.includes('--help');
  return wantsList ? [...COMMANDS.keys()] : ['train'];
}

/** The word that stands where a command does; behind `help`, options may come before it. */
function namedCommand([first, ...rest]: readonly string[]): string | undefined {
  return first === 'help' ? rest.find((word) => word === '-' || !word.startsWith('-')) : first;
}

/** Commander takes a word that is no command for an operand of the default one. Here it is wrong usage. */
export function checkCommand(words: readonly string[]): void {
  const word = namedCommand(words);
  if (word === undefined || (word.startsWith('-') && word !== '-')) return;
  const names = [...COMMANDS.keys(), 'help'];
  if (!names.includes(word)) throw new UsageError(expected(`one of ${names.join(', ')}`, 'the command', word).message);
}

/** The command line that shows the help for these words. */
export function helpFor([word = '']: readonly string[]): string {
  if (COMMANDS.has(word)) return `mnist-train ${word} --help`;
  return word.startsWith('-') ? 'mnist-train train --help' : 'mnist-train --help';
}

const HELP = `
Examples:
  mnist-train                                        train the default model: 784-128-10, 5 epochs
  mnist-train --hidden 256,64 --epochs 10            options of train need no command
  mnist-train find-lr --optimizer sgd                which learning rate?
  mnist-train evaluate mnist-model.safetensors       accuracy, per class too, and what is taken for what
  mnist-train predict mnist-model.safetensors 7.png  what digit is it?
  mnist-train explain mnist-model.safetensors 7.png  why is it that digit?
  mnist-train inspect mnist-model.safetensors        layers, weights as pictures, statistics
  mnist-train serve mnist-model.safetensors          a page to draw digits on, and an HTTP API
  mnist-train sweep --grid hidden=64 128,64          which of these networks is best?
  mnist-train train --help                           every option of train

Environment:
  MNIST_TRAIN_DATA     folder for data sets, in place of the platform's cache folder
  MNIST_TRAIN_ISA      avx2, avx512 or neon: instruction set of the native backend, at most what the processor has
  MNIST_TRAIN_THREADS  threads that all models of the process have at work together, from 1 to 256
  NO_COLOR             no colours on a terminal

Exit status:
  0 success   1 the work failed   2 wrong usage   130 interrupted (143 by SIGTERM)`;
