import { Command } from 'commander';
import { recipes } from '../../index.js';
import { RECIPE_NAMES } from '../../recipes/recipes.js';
import type { Benchmark, Work } from '../bench/benchmark.js';
import { benchmarks, LIMIT } from '../bench/benchmarks.js';
import { benchData } from '../bench/data.js';
import { type Entrant, entrantsOf } from '../bench/entrants.js';
import { type Measurement, type MeasureOptions, measure } from '../bench/measure.js';
import { measureRecipe } from '../bench/recipes.js';
import type { Context, Run } from '../context.js';
import { loadForCommand } from '../dataset.js';
import { chooseBackend, engineOf, engineText } from '../engine.js';
import { addDataDirOption, type CommonOptions, type DataOptions } from '../options.js';
import type { Output } from '../output.js';
import { count, duration, percent, plural } from '../ui/format.js';
import { table } from '../ui/tables.js';
import { UsageError } from '../usage.js';
import { integer, text } from '../values.js';

interface BenchOptions extends CommonOptions, Pick<DataOptions, 'dataDir'> {
  filter?: string;
  quick?: true;
  recipes?: true;
  seeds: number;
}

/** How much to measure: the median of fewer, shorter samples is good for a first look. */
const EFFORT = {
  full: { rounds: 11, leastRounds: 3, sampleSeconds: 0.05, contenderSeconds: 5, images: 60_000 },
  quick: { rounds: 3, leastRounds: 1, sampleSeconds: 0.01, contenderSeconds: 0.2, images: 6_000 },
};

export function benchCommand(run: Run): Command {
  const command = new Command('bench')
    .description(
      'Measure, in turns, every instruction set of the native backend by threads and the TypeScript backend: matrix ' +
        "products and convolutions beside the machine's multiply-add limit, training steps, epochs and predictions.",
    )
    .option(
      '--filter <text>',
      'only what has this in its name, such as "matmul" or "epoch 784-128-10"',
      text('--filter', 'a part of a name'),
    )
    .option('--quick', 'fewer rounds, a tenth of the images')
    .option('--recipes', 'train every recipe with several seeds instead: accuracy on the test set, and time')
    .option('--seeds <n>', 'with --recipes: the seeds 1 to n', integer('--seeds', 1, 10_000), 10);
  return addDataDirOption(command).action(run.action(bench));
}

async function bench(context: Context, options: BenchOptions): Promise<void> {
  const { output, signal, given } = context;
  if (options.recipes) return benchRecipes(context, options);
  if (given.has('seeds')) throw new UsageError('Expected --recipes with --seeds. Leave --seeds out, or add --recipes.');
  const effort = options.quick ? EFFORT.quick : EFFORT.full;
  const data = await benchData(effort.images, { dataDir: options.dataDir, signal });
  const chosen = choose(benchmarks(data), options.filter);
  const entrants = entrantsOf(output);
  output.say(
    `Medians of up to ${effort.rounds} rounds, least and greatest; ratio: times as fast as the first row; ` +
      `data: ${data.title}`,
  );
  for (const benchmark of chosen) {
    const able = entrants.filter(({ backend }) => !benchmark.nativeOnly || backend.name === 'native');
    if (able.length === 0) output.note(`Left out without the native addon: ${benchmark.name}.`);
    else report(output, benchmark, await compare(benchmark, able, { ...effort, signal }));
  }
}

/** Whole training runs, as a user would have them: the best backend, with as many threads as it takes. */
async function benchRecipes(context: Context, options: BenchOptions): Promise<void> {
  const { output, signal, given } = context;
  if (given.has('quick')) throw new UsageError('Expected no --quick with --recipes. Ask for fewer --seeds.');
  const chosen = choose(
    RECIPE_NAMES.map((name) => ({ name })),
    options.filter,
  );
  const backend = await chooseBackend({ backend: 'auto' }, output);
  const engine = engineOf(backend);
  output.say(`Seeds 1 to ${options.seeds}, the last epoch of each; ${engineText(engine)}`);
  const rows: string[][] = [];
  for (const { name } of chosen) {
    const data = await loadForCommand(context, { dataset: recipes[name].dataset, dataDir: options.dataDir });
    const onSeed = (seed: number, accuracy: number, seconds: number) =>
      output.say(`${name}, seed ${seed}: ${percent(accuracy)}, ${duration(seconds)}`);
    const measured = await measureRecipe(name, data, { backend, seeds: options.seeds, signal, onSeed });
    output.event({ event: 'recipe', ...measured, ...engine });
    rows.push([
      name,
      plural(measured.epochs, 'epoch'),
      ...[measured.meanAccuracy, measured.minAccuracy, measured.maxAccuracy].map((accuracy) => percent(accuracy)),
      ...[measured.medianSeconds, measured.minSeconds, measured.maxSeconds].map(duration),
    ]);
  }
  output.say(`\n${table(RECIPE_COLUMNS, rows)}`);
}

function choose<T extends { name: string }>(all: readonly T[], filter = ''): readonly T[] {
  const chosen = all.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  if (chosen.length > 0) return chosen;
  const names = all.map(({ name }) => name).join('; ');
  throw new UsageError(`Expected a part of a name for --filter, received ${JSON.stringify(filter)}. Names: ${names}.`);
}

interface Row extends Entrant, Measurement {
  /** GFLOP/s of the multiply-add limit, by the median of the same rounds. */
  limitGflops?: number;
}

/** Measures a benchmark and, where it has flops, the limit of each native entrant in the same rounds. */
async function compare(benchmark: Benchmark, entrants: readonly Entrant[], options: MeasureOptions): Promise<Row[]> {
  const limited = benchmark.flops ? entrants.filter(({ backend }) => backend.name === 'native') : [];
  const opened: Work[] = [];
  try {
    for (const { backend, threads } of entrants) opened.push(benchmark.open(backend, threads));
    for (const { backend, threads } of limited) opened.push(LIMIT.open(backend, threads));
    const measured = await measure(opened, options);
    const limits = new Map(limited.map((entrant, index) => [entrant, measured[entrants.length + index]]));
    return entrants.map((entrant, index) => {
      const limit = limits.get(entrant);
      return { ...entrant, ...measured[index], ...(limit && { limitGflops: 1 / limit.medianSeconds }) };
    });
  } finally {
    for (const work of opened) work.close();
  }
}

function report(output: Output, { name, flops, images }: Benchmark, rows: readonly Row[]): void {
  const cells = rows.map(({ backend, threads, limitGflops, ...times }, index) => {
    const engine = engineOf(backend, threads);
    const gflops = flops && flops / times.medianSeconds / 1e9;
    const percentOfLimit = gflops && limitGflops && (100 * gflops) / limitGflops;
    const imagesPerSecond = images && images / times.medianSeconds;
    const ratio = index > 0 && rows[0].medianSeconds / times.medianSeconds;
    output.event({
      event: 'benchmark',
      name,
      ...engine,
      ...times,
      ...(gflops && { gflops }),
      ...(percentOfLimit && { limitGflops, percentOfLimit }),
      ...(imagesPerSecond && { imagesPerSecond }),
      ...(ratio && { ratio }),
    });
    return [
      engineText(engine),
      duration(times.medianSeconds),
      duration(times.minSeconds),
      duration(times.maxSeconds),
      gflops ? gflops.toPrecision(3) : '',
      percentOfLimit ? percent(percentOfLimit / 100, 0) : '',
      imagesPerSecond ? count(imagesPerSecond) : '',
      ratio ? ratio.toPrecision(3) : '',
    ];
  });
  output.say(`\n${output.style.strong(name)}\n${table(COLUMNS, cells)}`);
}

const COLUMNS = [
  { title: '', align: 'left' as const },
  ...['median', 'min', 'max', 'GFLOP/s', 'of limit', 'images/s', 'ratio'].map((title) => ({ title })),
];

const RECIPE_COLUMNS = [
  { title: 'recipe', align: 'left' as const },
  ...['length', 'mean accuracy', 'least', 'greatest', 'median time', 'least', 'greatest'].map((title) => ({ title })),
];
