import type { Backend } from '../../backends/backend.js';

/** A piece of work that any backend can do. */
export interface Benchmark {
  name: string;
  /** Floating-point operations of one repetition, a multiply-add counted as two, zeros counted as well. */
  flops?: number;
  /** Images that one repetition goes through. */
  images?: number;
  nativeOnly?: true;
  open(backend: Backend, threads: number): Work;
}

export interface Work {
  /** Returns seconds. */
  run(repetitions: number): Promise<number>;
  close(): void;
}

/** The seconds that a piece of work takes. */
export async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
