import type { Benchmark } from './benchmark.js';
import { convolutionBenchmarks } from './convolutions.js';
import type { BenchData } from './data.js';
import { measureLimit } from './entrants.js';
import { matmulBenchmarks } from './matmul.js';
import { modelBenchmarks } from './models.js';

/** 10^9 operations at the limit of an instruction set and a number of threads; measured beside whatever has flops. */
export const LIMIT: Benchmark = {
  name: 'multiply-add limit',
  flops: 1e9,
  nativeOnly: true,
  open: ({ isa }, threads) => ({
    run: async (repetitions) => repetitions / measureLimit(isa!, threads),
    close: () => {},
  }),
};

export function benchmarks(data: BenchData): Benchmark[] {
  return [LIMIT, ...matmulBenchmarks(), ...convolutionBenchmarks(data), ...modelBenchmarks(data)];
}
