import { type Command, CommanderError } from 'commander';
import { describeValue } from '../../errors.js';
import { flagOf } from '../command-words.js';
import { trainCommand } from '../commands/train.js';
import { Run } from '../context.js';
import { planTraining, type TrainingOptions, type TrainingPlan } from '../training-plan.js';
import { UsageError } from '../usage.js';

/** The options of `train`, read and checked by the command itself, without training. */
export class TrainOptions {
  /** The options that take no value, by name. */
  readonly #flags: ReadonlySet<string>;

  constructor() {
    this.#flags = new Set(
      createCommand()
        .options.filter((option) => option.isBoolean())
        .map(({ long }) => long?.slice(2) ?? ''),
    );
  }

  /**
   * Options by name as words of a command line. One that takes no value has the values true and false. Throws UsageError.
   */
  wordsOf(options: Readonly<Record<string, string>>): string[] {
    return Object.entries(options).flatMap(([name, value]) => {
      if (!this.#flags.has(name)) return [`--${name}`, value];
      if (value !== 'true' && value !== 'false') {
        throw new UsageError(`Expected true or false for ${name}, received ${JSON.stringify(value)}.`);
      }
      return value === 'true' ? [`--${name}`] : [];
    });
  }

  /** The names of the options on a command line, such as "learning-rate". Throws what `train` throws for wrong ones. */
  namesIn(words: readonly string[]): ReadonlySet<string> {
    return new Set([...parse(words).given].map((name) => flagOf(name).slice(2)));
  }

  /** What `train` would do. Throws what it throws for wrong options, and for options that contradict each other. */
  plan(words: readonly string[]): { plan: TrainingPlan; options: ParsedOptions } {
    const { options, given } = parse(words);
    return { plan: planTraining(options, given), options };
  }
}

interface ParsedOptions extends TrainingOptions {
  dataDir?: string;
  backend?: string;
}

function parse(words: readonly string[]): { options: ParsedOptions; given: ReadonlySet<string> } {
  const command = createCommand();
  try {
    command.parse(words, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError) || error.code !== 'commander.excessArguments') throw error;
    throw new UsageError(`Expected options of train, received ${describeValue(command.args[0])}.`);
  }
  const options = command.opts<ParsedOptions>();
  const given = Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli');
  return { options, given: new Set(given) };
}

function createCommand(): Command {
  return trainCommand(new Run())
    .action(() => {})
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
}
