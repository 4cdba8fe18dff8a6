import { Command } from 'commander';
import { benchCommand } from './commands/bench.js';
import { downloadCommand } from './commands/download.js';
import { evaluateCommand } from './commands/evaluate.js';
import { infoCommand } from './commands/info.js';
import { predictCommand } from './commands/predict.js';
import { trainCommand } from './commands/train.js';
import type { Run } from './context.js';

/** The command line: names, options and help. It parses and dispatches; commands/ do the work. */
export function createProgram(run: Run, version: string): Command {
  const program = new Command('mnist-train')
    .description('Train and use small neural networks on MNIST. Without a command, it trains.')
    .usage('[command] [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', HELP);
  const commands = [trainCommand, downloadCommand, evaluateCommand, predictCommand, benchCommand, infoCommand];
  for (const create of commands) {
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

const HELP = `
Examples:
  mnist-train                                        train the default model: 784-128-10, 5 epochs
  mnist-train --hidden 256,64 --epochs 10            options of train need no command
  mnist-train evaluate mnist-model.safetensors       accuracy, per class too, and what is taken for what
  mnist-train predict mnist-model.safetensors 7.png  what digit is it?
  mnist-train train --help                           every option of train

Environment:
  MNIST_TRAIN_DATA   folder for data sets, in place of the platform's cache folder
  MNIST_TRAIN_ISA    avx2, avx512 or neon: instruction set of the native backend, at most what the processor has
  NO_COLOR           no colours on a terminal

Exit status:
  0 success   1 the work failed   2 wrong usage   130 interrupted (143 by SIGTERM)`;
