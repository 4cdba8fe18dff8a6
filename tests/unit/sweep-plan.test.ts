import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { planSweep, type SweepRequest, wordsForAll } from '../../src/cli/sweep/plan.js';
import { makeTrials } from '../../src/cli/sweep/trials.js';
import { type Range, readGrid, readRandom } from '../../src/cli/sweep/variables.js';
import { UsageError } from '../../src/cli/usage.js';
import { errorOf } from '../helpers/toy.js';

const request = (part: Partial<SweepRequest>): SweepRequest => ({ grid: [], random: [], seed: 0, fixed: [], ...part });
const plan = (part: Partial<SweepRequest>) => planSweep(request(part));
const optionsOf = (part: Partial<SweepRequest>) => plan(part).trials.map(({ options }) => options);

describe('the words of --grid and --random', () => {
  it('are options with their values, in words of their own or in quotes', () => {
    const wanted = [
      { name: 'hidden', values: ['64', '128,64'] },
      { name: 'learning-rate', values: ['0.1'] },
    ];
    expect(readGrid(['hidden=64', '128,64', 'learning-rate=0.1'])).toEqual(wanted);
    expect(readGrid(['hidden=64 128,64', 'learning-rate=0.1'])).toEqual(wanted);
    expect(readGrid(['hidden=64;128,64', 'learning-rate=', '0.1'])).toEqual(wanted);
  });

  it('are values or a range', () => {
    expect(readRandom(['batch-size=32', '64', 'learning-rate=1e-4..0.1:log', 'seed=1..9', 'momentum=0..0.9'])).toEqual([
      { name: 'batch-size', values: ['32', '64'] },
      { name: 'learning-rate', from: 1e-4, to: 0.1, log: true, whole: false },
      { name: 'seed', from: 1, to: 9, log: false, whole: true },
      { name: 'momentum', from: 0, to: 0.9, log: false, whole: false },
    ]);
  });

  it.each([
    [() => readGrid(['64']), /an option of train and its values, such as .* in --grid, received "64"/],
    [() => readGrid(['hidden=']), /values for hidden in --grid, received "hidden="/],
    [() => readGrid(['hidden=1', 'hidden=2']), /Expected hidden once in --grid/],
    [() => readGrid(['hidden=1', '2', '1']), /different values for hidden in --grid, received 1 twice/],
    [() => readGrid(['learning-rate=1..2']), /received "1..2"\. A range is for --random/],
    [() => readRandom(['learning-rate=2..1']), /from a lesser to a greater number.* for learning-rate in --random/],
    [() => readRandom(['learning-rate=1..1']), /received "1..1"/],
    [() => readRandom(['learning-rate=1..2..3']), /received "1..2..3"/],
    [() => readRandom(['learning-rate=1..2:lin']), /received "1..2:lin"/],
    [() => readRandom(['learning-rate=0..1:log']), /begins above 0.*Zero has no logarithm/],
    [() => readRandom(['learning-rate=1..2', '3']), /one range or some values for learning-rate/],
  ])('%# refuse what makes no sense', (read, says) => {
    const error = errorOf(read);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(says);
  });
});

describe('trials', () => {
  it('of a grid are all combinations, the last option changing first', () => {
    expect(optionsOf({ grid: ['hidden=64', '128,64', 'learning-rate=0.1', '0.2'] })).toEqual([
      { hidden: '64', 'learning-rate': '0.1' },
      { hidden: '64', 'learning-rate': '0.2' },
      { hidden: '128,64', 'learning-rate': '0.1' },
      { hidden: '128,64', 'learning-rate': '0.2' },
    ]);
  });

  const GOLDEN_RATES = ['0.0003356', '0.005036', '0.005289'];
  const RATE = ['learning-rate=0.0001..0.1:log'];

  it('at random are the same for the same seed, and more go on from fewer', () => {
    const rates = optionsOf({ random: RATE, draws: 20, seed: 3 });
    expect(rates).toHaveLength(20);
    expect(optionsOf({ random: RATE, draws: 20, seed: 3 })).toEqual(rates);
    expect(optionsOf({ random: RATE, draws: 5, seed: 3 })).toEqual(rates.slice(0, 5));
    expect(optionsOf({ random: RATE, draws: 20, seed: 4 })).not.toEqual(rates);
    expect(optionsOf({ random: RATE })).toHaveLength(10);
    // For ever: a sweep that goes on after an update has the trials that it had.
    expect(rates.slice(0, 3).map((options) => options['learning-rate'])).toEqual(GOLDEN_RATES);
  });

  it('spread over a range evenly, on a logarithmic scale where asked', () => {
    const draw = (variable: Range) =>
      makeTrials([], [variable], { draws: 3000, seed: 1 }).map(({ options }) => Number(options.x));
    const spread = (values: number[], within: (value: number) => boolean, share: number) => {
      const part = values.filter(within).length / values.length;
      expect(Math.abs(part - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / values.length));
    };
    const log = draw({ name: 'x', from: 0.001, to: 1, log: true, whole: false });
    for (const end of [0.01, 0.1]) spread(log, (value) => value >= end / 10 && value < end, 1 / 3);
    expect(Math.min(...log)).toBeGreaterThanOrEqual(0.001);
    expect(Math.max(...log)).toBeLessThanOrEqual(1);
    const linear = draw({ name: 'x', from: 2, to: 4.5, log: false, whole: false });
    spread(linear, (value) => value < 3, 0.4);
    // Few values: whatever is drawn twice is one trial.
    const whole = draw({ name: 'x', from: 3, to: 9, log: false, whole: true });
    expect(whole.sort()).toEqual([3, 4, 5, 6, 7, 8, 9]);
  });

  it('of a grid with random draws: every combination gets the same draws', () => {
    const options = optionsOf({ grid: ['optimizer=adam', 'sgd'], random: RATE, draws: 3 });
    expect(options).toHaveLength(6);
    const rates = (optimizer: string) =>
      options.filter((some) => some.optimizer === optimizer).map((some) => some['learning-rate']);
    expect(rates('adam')).toEqual(rates('sgd'));
    expect(new Set(rates('adam')).size).toBe(3);
  });

  it('that would repeat another are left out', () => {
    const { trials, repeated } = plan({ random: ['batch-size=32', '64'], draws: 20 });
    expect(trials.map(({ options }) => options['batch-size']).sort()).toEqual(['32', '64']);
    expect(repeated).toBe(18);
  });
});

describe('planSweep', () => {
  it('gives words for train, with a part for validation', () => {
    const { trials, folds } = plan({ grid: ['hidden=64'], fixed: ['--epochs', '3'] });
    expect(trials[0].words).toEqual(['--epochs', '3', '--validation-split', '0.1', '--hidden', '64']);
    expect(folds).toEqual([null]);
    expect(wordsForAll(trials[0])).toEqual(['--epochs', '3', '--hidden', '64']);
    const own = plan({ grid: ['hidden=64'], fixed: ['--validation-split=0.3', '--epochs', '2'] }).trials[0];
    expect(own.words).toEqual(['--validation-split=0.3', '--epochs', '2', '--hidden', '64']);
    expect(wordsForAll(own)).toEqual(['--epochs', '2', '--hidden', '64']);
    // Nobody can stop early who keeps no images aside.
    for (const stopping of [['--early-stopping', '2'], ['--early-stopping=2']]) {
      const [trial] = plan({ grid: ['hidden=64'], fixed: ['--epochs', '2', ...stopping] }).trials;
      expect(wordsForAll(trial)).toEqual(['--epochs', '2', '--hidden', '64']);
    }
  });

  it('trains k times with folds, and keeps nothing else aside', () => {
    const { trials, folds } = plan({ grid: ['hidden=64'], folds: 3 });
    expect(folds).toEqual([1, 2, 3]);
    expect(trials[0].words).toEqual(['--hidden', '64']);
  });

  it('names the data of all trials', () => {
    expect(plan({ grid: ['recipe=fast', 'cnn'], fixed: ['--data-dir', 'here'] }).data).toEqual([
      { dataset: 'mnist', dataDir: 'here' },
    ]);
    const both = plan({ grid: ['dataset=mnist', 'fashion-mnist'] });
    expect(both.data).toEqual([{ dataset: 'mnist' }, { dataset: 'fashion-mnist' }]);
  });

  it.each<[Partial<SweepRequest>, RegExp]>([
    [{}, /Expected what to try in --grid or --random/],
    [{ grid: ['hiden=64'] }, /unknown option '--hiden'[\s\S]*Did you mean --hidden/],
    [{ grid: ['hidden=64', '0'] }, /Trial 2 \(hidden=0\): Expected layer widths .* for --hidden, received "0"/],
    [{ random: ['learning-rate=0..1', 'epochs=0.5..2'] }, /Trial 1 .*for --epochs, received/],
    [
      { grid: ['optimizer=adam', 'sgd'], fixed: ['--momentum', '0.5'] },
      /Trial 1 \(optimizer=adam\): Expected --optimizer sgd/,
    ],
    [{ grid: ['recipe=fast'], fixed: ['--hidden', '3'] }, /Expected no --hidden with --recipe fast/],
    [{ grid: ['hidden=64'], fixed: ['extra'] }, /Expected options of train, received "extra"/],
    [{ grid: ['hidden=64'], fixed: ['--epochs', '0'] }, /--epochs, received "0"/],
    [{ grid: ['hidden=64'], fixed: ['--hidden', '3'] }, /Expected --hidden or hidden= in --grid or --random/],
    [{ grid: ['hidden=64'], random: ['hidden=1..2'] }, /Expected hidden in --grid or in --random, received both/],
    [{ grid: ['hidden=64'], draws: 3 }, /Expected --random with --trials/],
    [{ grid: ['hidden=64'], fixed: ['--out', 'x'] }, /other options of train than --out/],
    [{ grid: ['fold=1/2'] }, /other options of train than --fold/],
    [{ grid: ['hidden=64'], fixed: ['--json'] }, /unknown option '--json'/],
    [{ grid: ['hidden=64'], folds: 3, fixed: ['--validation-split', '0.2'] }, /--folds or --validation-split/],
    [{ grid: ['validation-split=0', '0.1'] }, /--validation-split above 0/],
    [{ random: ['learning-rate=1..2'], grid: ['seed=1', '2'], draws: 10_000 }, /at most 10000 trials, received 20000/],
  ])('%# refuses before anything runs: %j', (part, says) => {
    const error = errorOf(() => plan(part));
    expect(error instanceof UsageError || error instanceof CommanderError).toBe(true);
    expect((error as Error).message).toMatch(says);
  });
});
