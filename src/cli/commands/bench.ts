import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import type { Backend } from '../../backends/backend.js';
import { selectBackend } from '../../backends/select.js';
import { MnistTrainError } from '../../index.js';
import { type Benchmark, benchmarks, type Work } from '../bench/benchmarks.js';
import { benchData } from '../bench/data.js';
import { type Measurement, measure } from '../bench/measure.js';
import type { Context, Run } from '../context.js';
import { engineOf, engineText } from '../engine.js';
import type { CommonOptions } from '../options.js';
import type { Output } from '../output.js';
import { count, duration } from '../ui/format.js';
import { errorText } from '../usage.js';

interface BenchOptions extends CommonOptions {
  quick?: true;
}

/** Rounds and the length of a sample: the median of fewer, shorter ones is good for a first look. */
const EFFORT = {
  full: { rounds: 11, longRounds: 3, sampleSeconds: 0.05, images: 60_000 },
  quick: { rounds: 5, longRounds: 1, sampleSeconds: 0.02, images: 6_000 },
};

export function benchCommand(run: Run): Command {
  return new Command('bench')
    .description(
      'Measure the native backend beside the TypeScript one, in turns: matrix products, a training step, an epoch and ' +
        'predictions of the default model.',
    )
    .option('--quick', 'fewer rounds, a tenth of the images')
    .action(run.action(bench));
}

/** A backend with a number of threads. */
interface Entrant {
  backend: Backend;
  threads: number;
}

async function bench({ output, signal }: Context, options: BenchOptions): Promise<void> {
  const effort = options.quick ? EFFORT.quick : EFFORT.full;
  const data = await benchData(effort.images, signal);
  const entrants = entrantsOf(output);
  output.say(`Medians of ${effort.rounds} rounds; data: ${data.title}`);
  for (const benchmark of benchmarks(data)) {
    const { rounds, longRounds, sampleSeconds } = effort;
    const measured = await compare(benchmark, entrants, {
      rounds: benchmark.long ? longRounds : rounds,
      sampleSeconds: benchmark.long ? null : sampleSeconds,
      signal,
    });
    report(output, benchmark, measured);
  }
}

/** Native with one thread, with two and with all, where it loads; TypeScript always. */
function entrantsOf(output: Output): Entrant[] {
  const script = { backend: selectBackend('js'), threads: 1 };
  let native: Backend;
  try {
    native = selectBackend('native');
  } catch (error) {
    if (!(error instanceof MnistTrainError && error.code === 'ERR_NATIVE_LOAD')) throw error;
    output.note(`${errorText(error)} Measuring TypeScript alone.`);
    return [script];
  }
  const threads = new Set([1, Math.min(2, availableParallelism()), native.defaultThreads]);
  return [...[...threads].map((count) => ({ backend: native, threads: count })), script];
}

async function compare(
  benchmark: Benchmark,
  entrants: readonly Entrant[],
  options: Parameters<typeof measure>[1],
): Promise<Measurement[]> {
  const opened: Work[] = [];
  try {
    const contenders = entrants.map(({ backend, threads }) => {
      const work = benchmark.open(backend, threads);
      opened.push(work);
      return { engine: engineOf(backend, threads), run: work.run };
    });
    return await measure(contenders, options);
  } finally {
    for (const work of opened) work.close();
  }
}

function report(output: Output, { name, flops, images }: Benchmark, measured: readonly Measurement[]): void {
  const script = measured.find(({ engine }) => engine.backend === 'js')!;
  output.say(`\n${output.style.strong(name)}`);
  for (const { engine, ...times } of measured) {
    const ratio = script.medianSeconds / times.medianSeconds;
    const gflops = flops && flops / times.medianSeconds / 1e9;
    const imagesPerSecond = images && images / times.medianSeconds;
    output.event({
      event: 'benchmark',
      name,
      ...engine,
      ...times,
      ...(gflops && { gflops }),
      ...(imagesPerSecond && { imagesPerSecond }),
      ...(engine.backend === 'native' && { ratio }),
    });
    const cells = [
      engineText(engine).padEnd(28),
      duration(times.medianSeconds).padStart(9),
      `best ${duration(times.minSeconds).padStart(9)}`,
      (gflops ? `${gflops.toPrecision(3)} GFLOP/s` : `${count(imagesPerSecond ?? 0)} images/s`).padStart(20),
      engine.backend === 'native' ? `${ratio.toPrecision(3)} times TypeScript` : '',
    ];
    output.say(`  ${cells.join('  ').trimEnd()}`);
  }
}
