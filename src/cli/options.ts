import { type Command, Option } from 'commander';
import { DATASET_NAMES } from '../data/catalogue.js';
import { choice, integer, text } from './values.js';

/** Options that several commands share, so that they read, check and explain themselves the same way. */

const BACKENDS = ['auto', 'native', 'js'] as const;

/** What every command has; program.ts adds them. */
export interface CommonOptions {
  json?: true;
  verbose?: true;
}

export interface DataOptions {
  dataset?: string;
  dataDir?: string;
}

/** `fallback` says in words which data set is taken without --dataset. */
export function addDataOptions(command: Command, fallback: string): Command {
  command.option(
    '--dataset <name>',
    `${DATASET_NAMES.join(', ')} (default: ${fallback})`,
    choice('--dataset', DATASET_NAMES),
  );
  return addDataDirOption(command);
}

export function addDataDirOption(command: Command): Command {
  return command.option(
    '--data-dir <folder>',
    'folder of the IDX files, or of one folder per data set (default: $MNIST_TRAIN_DATA, or the cache folder)',
    text('--data-dir', 'the name of a folder'),
  );
}

export interface EngineOptions {
  backend: (typeof BACKENDS)[number];
  threads?: number;
}

export function addEngineOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--backend <name>', 'native (C++), js (TypeScript), or auto: native where it loads')
        .default('auto')
        .argParser(choice('--backend', BACKENDS)),
    )
    .option(
      '--threads <n>',
      'threads of the native backend; they never change results (default: as many as help, up to one per processor and 8)',
      integer('--threads', 1, 256),
    );
}

export const addReportOption = (command: Command): Command =>
  command.option(
    '--report <file>',
    'write an HTML page with curves, tables and pictures, which needs no other file',
    text('--report', 'the name of a file'),
  );
