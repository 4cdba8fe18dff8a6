import type { Backend } from '../../backends/backend.js';
import { atOnce } from '../../pieces.js';
import { ProgramBuilder } from '../../program/builder.js';
import { type Benchmark, seconds, type Work } from './benchmark.js';

interface Shape {
  m: number;
  n: number;
  k: number;
  transposeA?: boolean;
  transposeB?: boolean;
}

/**
 * The products of a training step of dense layers, and a large square. bench/peers measures OpenBLAS and oneDNN on the
 * same ones. Forward passes are NN here and NT in libraries that store weights as [units, inputs]: both are measured.
 */
const SHAPES: readonly Shape[] = [
  { m: 64, n: 128, k: 784, transposeB: true }, // forward
  { m: 128, n: 128, k: 784, transposeB: true },
  { m: 64, n: 10, k: 128, transposeB: true },
  { m: 784, n: 128, k: 64, transposeA: true }, // weight gradient
  { m: 128, n: 784, k: 64, transposeA: true },
  { m: 64, n: 128, k: 10 }, // input gradient
  { m: 256, n: 128, k: 784 }, // forward
  { m: 128, n: 512, k: 784 },
  { m: 512, n: 512, k: 128, transposeA: true }, // weight gradient
  { m: 1024, n: 1024, k: 1024 },
];

export function matmulBenchmarks(): Benchmark[] {
  return SHAPES.map((shape) => ({
    name: nameOf(shape),
    flops: 2 * shape.m * shape.n * shape.k,
    open: (backend, threads) => open(shape, backend, threads),
  }));
}

/** "matmul 64x128x784 NT": rows, columns and depth; T for a transposed factor. */
function nameOf({ m, n, k, transposeA, transposeB }: Shape): string {
  return `matmul ${m}x${n}x${k} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
}

function open({ m, n, k, transposeA = false, transposeB = false }: Shape, backend: Backend, threads: number): Work {
  const builder = new ProgramBuilder().section('train', 1);
  const a = builder.fixed('a', transposeA ? [k, m] : [m, k]);
  const b = builder.fixed('b', transposeB ? [n, k] : [k, n]);
  const output = builder.fixed('output', [m, n]);
  builder.add({ op: 'matmul', a, b, output, transposeA, transposeB });
  const session = backend.open(builder.build(), { threads });
  atOnce(session.write(a, ramp(m * k)));
  atOnce(session.write(b, ramp(k * n)));
  const plan = { batchSize: 1, scalars: new Float32Array(0) };
  return {
    // A step is a product, and a run has many: crossing into the backend once costs nothing per product.
    run: (repetitions) => seconds(() => session.run('train', null, new Uint32Array(repetitions), plan)),
    close: () => session.dispose(),
  };
}

/** Values without a zero among them, from -1 to 1. */
export function ramp(size: number): Float32Array {
  return Float32Array.from({ length: size }, (_, index) => ((index * 37) % 101) / 50 - 1 + 1 / 128);
}
