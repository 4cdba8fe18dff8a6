import { expected } from '../../errors.js';
import { UsageError } from '../usage.js';

/** An option of `train` and the values that are tried, as they would stand behind it. */
export interface Choices {
  name: string;
  values: string[];
}

/** An option of `train` and what its values are drawn from. */
export interface Range {
  name: string;
  from: number;
  to: number;
  /** Drawn evenly on the logarithmic scale: as many between 0.001 and 0.01 as between 0.01 and 0.1. */
  log: boolean;
  /** Whole numbers only, both ends included: both ends are written as such. */
  whole: boolean;
}

export type RandomVariable = Choices | Range;

export const isRange = (variable: RandomVariable): variable is Range => 'from' in variable;

/**
 * Words such as "hidden=64", "128,64", "seed=1", "2" as options and their values: a word with a name begins an option, the
 * words behind it are further values. In quotes, blanks and semicolons separate values as well.
 */
function readChoices(flag: string, words: readonly string[]): Choices[] {
  const variables: Choices[] = [];
  for (const word of words.flatMap((text) => text.split(/[\s;]+/)).filter(Boolean)) {
    const [, name, first] = /^([a-z][a-z0-9-]*)=(.*)$/s.exec(word) ?? [];
    if (name !== undefined) {
      if (variables.some((variable) => variable.name === name))
        throw new UsageError(`Expected ${name} once in ${flag}.`);
      variables.push({ name, values: first === '' ? [] : [first] });
    } else {
      const variable = variables.at(-1);
      if (!variable) refuse('an option of train and its values, such as hidden=64 128,64,', flag, word);
      variable.values.push(word);
    }
  }
  for (const { name, values } of variables) {
    if (values.length === 0) refuse(`values for ${name}`, flag, `${name}=`);
    const twice = values.find((value, index) => values.indexOf(value) !== index);
    if (twice !== undefined)
      throw new UsageError(`Expected different values for ${name} in ${flag}, received ${twice} twice.`);
  }
  return variables;
}

/** The words of `--grid`. */
export function readGrid(words: readonly string[]): Choices[] {
  const variables = readChoices('--grid', words);
  for (const { name, values } of variables) {
    const range = values.find((value) => value.includes('..'));
    if (range !== undefined) refuse(`values for ${name}`, '--grid', range, 'A range is for --random.');
  }
  return variables;
}

/** The words of `--random`: values to choose from, or one range, from..to or from..to:log. */
export function readRandom(words: readonly string[]): RandomVariable[] {
  return readChoices('--random', words).map((variable) => {
    const range = variable.values.find((value) => value.includes('..'));
    if (range === undefined) return variable;
    const { name, values } = variable;
    if (values.length > 1) refuse(`one range or some values for ${name}`, '--random', values.join(' '));
    return readRange(name, range);
  });
}

const NUMBER = '[0-9]+(?:\\.[0-9]+)?(?:e[+-]?[0-9]+)?';
const RANGE = new RegExp(`^(${NUMBER})\\.\\.(${NUMBER})(:log)?$`, 'i');

function readRange(name: string, text: string): Range {
  const [, first, last, mark] = RANGE.exec(text) ?? [];
  const [from, to, log] = [Number(first), Number(last), mark !== undefined];
  if (!(from < to && Number.isFinite(to))) {
    refuse(
      `a range from a lesser to a greater number, such as 0.001..0.1 or 0.001..0.1:log, for ${name}`,
      '--random',
      text,
    );
  }
  if (log && from === 0) refuse(`a range that begins above 0 for ${name}`, '--random', text, 'Zero has no logarithm.');
  return { name, from, to, log, whole: [first, last].every((end) => /^[0-9]+$/.test(end)) };
}

function refuse(what: string, flag: string, text: string, hint = ''): never {
  throw new UsageError(expected(what, flag, text, hint).message.replace(` for ${flag}`, ` in ${flag}`));
}
