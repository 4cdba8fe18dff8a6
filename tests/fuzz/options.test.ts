import { type Command, CommanderError } from 'commander';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Run } from '../../src/cli/context.js';
import { checkCommand, createProgram } from '../../src/cli/program.js';
import { planSweep } from '../../src/cli/sweep/plan.js';
import { planTraining, type TrainingOptions } from '../../src/cli/training-plan.js';
import { errorLine, isUsageError } from '../../src/cli/usage.js';
import { errorLines, makeWorkspace, runCli } from '../helpers/cli-run.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';

const workspace = makeWorkspace();
afterAll(() => workspace.remove());

const COMMANDS = [
  'train',
  'find-lr',
  'download',
  'evaluate',
  'predict',
  'serve',
  'sweep',
  'bench',
  'build-native',
  'info',
];
const run = new Run();
const programs = new Map<string, Command>();
/** Names of options, as they stand in the program itself. */
const flags: string[] = [];
for (const name of COMMANDS) {
  const [command] = (await createProgram(run, '0.0.0', [name])).commands;
  programs.set(name, command);
  flags.push(...command.options.map(({ long }) => long!));
}

const VALUES = [
  '',
  ' ',
  '0',
  '1',
  '-1',
  '+1',
  '1.5',
  '.5',
  '5.',
  '1e3',
  '1e999',
  '1e-999',
  '-0',
  '0x10',
  '007',
  '1_000',
  'NaN',
  'Infinity',
]
  .concat([
    '9007199254740993',
    '99999999999999999999',
    '128,64',
    '128,,64',
    ',',
    '1/5',
    '5/1',
    '0/0',
    '1/99999999999',
    'relu',
    'adam',
  ])
  .concat([
    'mnist',
    'js',
    'auto',
    '__proto__',
    'constructor',
    'http://',
    'http://x',
    'http://[',
    'ftp://x',
    'a\nb',
    '\0',
    '١',
    '１',
    '²',
  ])
  .concat([
    'hidden=64',
    'hidden=64 128,64',
    'seed=1..9',
    'learning-rate=0.001..0.1:log',
    'seed=',
    '=',
    'x=1',
    '1..2',
    '--',
    '-',
    '-h',
  ]);
const word = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 4, arbitrary: fc.constantFrom(...flags) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...flags), fc.constantFrom(...VALUES))
      .map(([flag, value]) => `${flag}=${value}`),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 1, arbitrary: fc.integer({ min: -2, max: 100_001 }).map(String) },
);
/** Mostly flags with one value each, so that some are right. */
const words = fc.oneof(
  fc.array(word, { maxLength: 6 }),
  fc.array(fc.tuple(fc.constantFrom(...flags), word), { maxLength: 3 }).map((pairs) => pairs.flat()),
);

/** Wrong usage is said in a line that names what was wrong; anything else that is thrown goes on. */
function expectUsage(error: unknown): void {
  if (!isUsageError(error)) throw error;
  const line = errorLine(error, 'mnist-train --help');
  expect(line).toMatch(/\S+ \S+ .*See mnist-train --help\.$/);
  expect(line).not.toContain('\n');
  expect(line.length).toBeLessThan(1500);
}

/** What the command would do with the words, were it to do it. */
async function parsed(given: readonly string[]): Promise<Command | null> {
  checkCommand(given);
  const program = await createProgram(run, '0.0.0', given);
  let chosen: Command | null = null;
  for (const command of program.commands) {
    command.action((...received) => {
      chosen = received.at(-1) as Command;
    });
  }
  for (const command of [program, ...program.commands])
    command.configureOutput({ writeOut: () => {}, writeErr: () => {} });
  await program.parseAsync([...given], { from: 'user' });
  return chosen;
}

/** Nothing but what the help says: numbers within their ranges, never NaN. */
function expectSound(options: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'number') expect(Number.isFinite(value), name).toBe(true);
    if (typeof value === 'string') expect(value.trim(), name).not.toBe('');
  }
  const { hidden, epochs, batchSize, learningRate, fold, threads, validationSplit } =
    options as Partial<TrainingOptions>;
  for (const width of Array.isArray(hidden) ? hidden : []) expectWhole(width, 1, 65_536);
  expectWhole(epochs, 1, 100_000);
  expectWhole(batchSize, 1, 65_536);
  expectWhole(threads, 1, 256);
  if (learningRate !== undefined) expect(learningRate).toBeGreaterThan(0);
  if (validationSplit !== undefined) expect(validationSplit).toBeLessThan(1);
  if (fold) expectWhole(fold.fold, 1, fold.folds);
}

function expectWhole(value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  expect(Number.isInteger(value)).toBe(true);
  expect(value).toBeGreaterThanOrEqual(min);
  expect(value).toBeLessThanOrEqual(max);
}

async function checkWords(given: readonly string[]): Promise<Verdict> {
  try {
    const command = await parsed(given);
    if (!command) return 'accepted';
    const options = command.opts();
    expectSound(options);
    if (command.name() !== 'train') return 'accepted';
    const names = Object.keys(options).filter((name) => command.getOptionValueSource(name) === 'cli');
    const plan = planTraining(options as TrainingOptions, new Set(names));
    expect(plan).toMatchObject({ epochs: expect.any(Number), learningRate: expect.any(Number) });
  } catch (error) {
    // Help and version are no errors.
    if (error instanceof CommanderError && error.exitCode === 0) return 'accepted';
    expectUsage(error);
    return 'refused';
  }
  return 'accepted';
}

/** Variables of sweeps, right ones for the most part. */
const RIGHT = [
  'hidden=64 128,64',
  'seed=1 2',
  'learning-rate=0.001',
  'optimizer=sgd;adam',
  'epochs=1;2',
  'json=true',
  'label-smoothing=0',
];
const RANGES = ['seed=1..9', 'learning-rate=0.001..0.1:log', 'epochs=1..3', 'hidden=8 16', 'ema=0.5..0.99'];
const NAMES = ['hidden', 'seed', 'learning-rate', 'optimizer', 'momentum', 'out', 'x', '__proto__', 'constructor'];
const wrong = fc.oneof(
  fc.tuple(fc.constantFrom(...NAMES), word).map((parts) => parts.join('=')),
  word,
);
const variables = (right: readonly string[]) =>
  fc.array(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...right) }, { weight: 1, arbitrary: wrong }), {
    maxLength: 2,
  });
const request = fc.record({
  grid: variables(RIGHT),
  random: variables(RANGES),
  draws: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined, freq: 1 }),
  folds: fc.option(fc.integer({ min: 2, max: 20 }), { nil: undefined }),
  seed: fc.nat(),
  fixed: fc.oneof(fc.constant([]), fc.array(word, { maxLength: 2 })),
});

describe('command lines', () => {
  fuzz(
    'cli-words',
    fc.tuple(fc.option(fc.constantFrom(...COMMANDS, 'help', 'x'), { nil: null }), words),
    ([name, rest]) => checkWords(name === null ? rest : [name, ...rest]),
    { runs: 400 },
  );
  fuzz(
    'cli-sweep',
    request,
    (asked) => {
      try {
        const { description, trials } = planSweep(asked);
        expect(trials.length).toBeGreaterThan(0);
        // The plan is kept as JSON, and a resumed sweep compares it.
        expect(JSON.parse(JSON.stringify(description))).toEqual(description);
        for (const { words: own } of trials) expect(own.every((each) => typeof each === 'string')).toBe(true);
        return 'accepted';
      } catch (error) {
        expectUsage(error);
        return 'refused';
      }
    },
    { runs: 150 },
  );

  const fed = fc.sample(
    fc.array(
      word.filter((text) => !text.includes('\0')),
      { minLength: 1, maxLength: 4 },
    ),
    { numRuns: 4, seed: 7 },
  );
  it.concurrent.each(fed)(
    'ends as the check of its words says: %j %j %j %j',
    async (...given: (string | undefined)[]) => {
      const own = ['predict', ...given.filter((each) => each !== undefined)];
      const verdict = await checkWords(own);
      const result = await runCli(own, { cwd: workspace.folder });
      expect([0, 1, 2]).toContain(result.status);
      if (verdict === 'refused') {
        expect(result.status).toBe(2);
        expect(errorLines(result)).toHaveLength(1);
      }
      expect(result.stderr).not.toContain('Unexpected failure');
    },
  );
});
