import { shellWord } from './files.js';

/** Options that say how a command runs and what it says or notes of it, not what comes of it. */
const NOT_REPEATED = [
  'json',
  'verbose',
  'report',
  'html',
  'csv',
  'tensorboard',
  'checkpoint',
  'checkpointEvery',
  'resume',
];

/** "learningRate" as "--learning-rate". */
export const flagOf = (option: string): string =>
  `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/**
 * A command line that does the same again, quoted for a shell: the command and its operands, and of the options those that
 * were given and matter for the result.
 */
export function commandToRepeat(words: readonly string[], options: object, given: ReadonlySet<string>): string {
  const chosen = Object.entries(options).filter(([name]) => given.has(name) && !NOT_REPEATED.includes(name));
  const flags = chosen.flatMap(([name, value]) => [flagOf(name), wordOf(value)]);
  return ['npx', 'mnist-train', ...words, ...flags].map(shellWord).join(' ');
}

/** The text that an option was read from. */
function wordOf(value: unknown): string {
  if (Array.isArray(value)) return value.join(',');
  if (typeof value !== 'object' || value === null) return String(value);
  const { fold, folds } = value as { fold: number; folds: number };
  return `${fold}/${folds}`;
}
