import { RandomPurpose, RandomStream } from '../../random.js';
import { type Choices, isRange, type RandomVariable } from './variables.js';

/** What one trial tries: options of `train` by name, with the text that stands behind them. */
export interface Trial {
  /** From 1. */
  trial: number;
  options: Record<string, string>;
}

/**
 * Every combination of the grid's values, with every draw of the random variables. All combinations get the same draws, so
 * that they can be compared with each other. Draw n depends on the seed, n and the variables alone: more draws go on from
 * fewer. Trials that would repeat another one are left out: among a few values, draws come twice.
 */
export function makeTrials(
  grid: readonly Choices[],
  random: readonly RandomVariable[],
  { draws, seed }: { draws: number; seed: number },
): Trial[] {
  const combinations = combine(grid);
  const drawn = random.length === 0 ? [{}] : Array.from({ length: draws }, (_, index) => draw(random, seed, index));
  const different = new Map<string, Record<string, string>>();
  for (const some of drawn) {
    for (const combination of combinations) {
      const options = { ...combination, ...some };
      const key = JSON.stringify(options);
      if (!different.has(key)) different.set(key, options);
    }
  }
  return [...different.values()].map((options, index) => ({ trial: index + 1, options }));
}

/** How many trials there would be, before any is made. */
export function countTrials(grid: readonly Choices[], random: readonly RandomVariable[], draws: number): number {
  return grid.reduce((product, { values }) => product * values.length, 1) * (random.length === 0 ? 1 : draws);
}

/** The last variable changes first. */
function combine(grid: readonly Choices[]): Record<string, string>[] {
  return grid.reduce<Record<string, string>[]>(
    (combinations, { name, values }) =>
      combinations.flatMap((combination) => values.map((value) => ({ ...combination, [name]: value }))),
    [{}],
  );
}

function draw(random: readonly RandomVariable[], seed: number, index: number): Record<string, string> {
  const stream = new RandomStream(seed, RandomPurpose.sweep, index);
  return Object.fromEntries(random.map((variable) => [variable.name, drawValue(variable, stream)]));
}

function drawValue(variable: RandomVariable, stream: RandomStream): string {
  if (!isRange(variable)) return variable.values[stream.below(variable.values.length)];
  const { from, to, log, whole } = variable;
  // A whole number stands for the stretch of half a unit to both sides, so that both ends are as likely as the others.
  const [low, high] = whole ? [from - 0.5, to + 0.5] : [from, to];
  const share = stream.uniform();
  const value = log ? low * (high / low) ** share : low + share * (high - low);
  if (whole) return String(Math.min(to, Math.max(from, Math.round(value))));
  // Four digits tell values apart as well as sixteen do, and the same ones come out whatever a power function's last bit.
  return String(Math.min(to, Math.max(from, Number(value.toPrecision(4)))));
}
