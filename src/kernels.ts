/**
 * The engine's kernels by themselves, for programs that bring their own arithmetic. Each object opens its operation once,
 * for one shape, and runs it as often as wanted; `matmul` and `denseForward` do it for one call.
 */
import type { Session } from './backends/backend.js';
import { selectBackend } from './backends/select.js';
import { checkInteger, checkNumber, checkOneOf, expected, MnistTrainError } from './errors.js';
import { type BackendChoice, checkEngineOptions, type EngineOptions } from './model/engine-options.js';
import { checkBoolean, checkOptions, type OptionNames } from './options.js';
import { atOnce } from './pieces.js';
import { ProgramBuilder } from './program/builder.js';
import { ACTIVATIONS, type Activation } from './program/ops.js';

export type { Activation, BackendChoice, EngineOptions };

export interface MatmulOptions extends EngineOptions {
  /** Rows of the result. */
  m: number;
  /** Columns of the result. */
  n: number;
  /** The length of the sums. */
  k: number;
  /** True when `a` is stored as [k, m]. */
  transposeA?: boolean;
  /** True when `b` is stored as [n, k]. */
  transposeB?: boolean;
}

export interface DenseForwardOptions extends EngineOptions {
  rows: number;
  inputs: number;
  units: number;
  /** Default linear. */
  activation?: Activation;
  /** The slope of leakyRelu below zero; default 0.2. */
  negativeSlope?: number;
  /** Whether `run` takes a bias; default true. */
  useBias?: boolean;
}

/** One operation, opened for one shape. Calls take turns; operands must stay as they are until theirs is over. */
export interface Kernel {
  /** A new array with the result. Rejects with ERR_SHAPE for operands of another number or length. */
  run(...operands: Float32Array[]): Promise<Float32Array>;
  /** Frees memory and threads. Later calls reject with ERR_STATE. Idempotent. */
  dispose(): void;
}

const ENGINE_OPTIONS: OptionNames<EngineOptions> = { backend: true, threads: true };
const MATMUL_OPTIONS = { m: true, n: true, k: true, transposeA: true, transposeB: true, ...ENGINE_OPTIONS } as const;
const DENSE_OPTIONS = {
  rows: true,
  inputs: true,
  units: true,
  activation: true,
  negativeSlope: true,
  useBias: true,
  ...ENGINE_OPTIONS,
} as const;

/** output[m, n] = a[m, k] · b[k, n], row-major; `run` takes a and b. Throws ERR_ARGUMENT for options out of range. */
export function createMatmul(options: MatmulOptions): Kernel {
  const checked = checkOptions<MatmulOptions>(options, 'matmul', MATMUL_OPTIONS);
  const m = checkInteger(checked.m, 'm', 1);
  const n = checkInteger(checked.n, 'n', 1);
  const k = checkInteger(checked.k, 'k', 1);
  const transposeA = checkBoolean(checked.transposeA ?? false, 'transposeA');
  const transposeB = checkBoolean(checked.transposeB ?? false, 'transposeB');
  const builder = new ProgramBuilder().section('train', 1);
  const a = builder.fixed('a', transposeA ? [k, m] : [m, k]);
  const b = builder.fixed('b', transposeB ? [n, k] : [k, n]);
  const output = builder.fixed('output', [m, n]);
  builder.add({ op: 'matmul', a, b, output, transposeA, transposeB });
  return openKernel(builder, [a, b], output, 1, checked);
}

/** activation(input[rows, inputs] · weights[inputs, units] + bias[units]), row-major; `run` takes them in this order. */
export function createDenseForward(options: DenseForwardOptions): Kernel {
  const checked = checkOptions<DenseForwardOptions>(options, 'denseForward', DENSE_OPTIONS);
  const rows = checkInteger(checked.rows, 'rows', 1);
  const inputs = checkInteger(checked.inputs, 'inputs', 1);
  const units = checkInteger(checked.units, 'units', 1);
  const activation = checkOneOf(checked.activation ?? 'linear', 'activation', ACTIVATIONS);
  const negativeSlope = checkNumber(checked.negativeSlope ?? 0.2, 'negativeSlope', 0);
  const builder = new ProgramBuilder().section('train', rows);
  const input = builder.batched('input', [inputs]);
  const weights = builder.persistent('weights', 'parameter', [inputs, units]);
  const bias = checkBoolean(checked.useBias ?? true, 'useBias')
    ? builder.persistent('bias', 'parameter', [units])
    : null;
  let output = builder.batched('output', [units]);
  const fused = activation === 'gelu' ? 'linear' : activation;
  builder.add({ op: 'dense', input, weights, bias, output, activation: fused, negativeSlope });
  if (activation === 'gelu') {
    const sums = output;
    output = builder.batched('activated', [units]);
    builder.add({ op: 'activation', input: sums, output, activation, negativeSlope });
  }
  return openKernel(builder, bias ? [input, weights, bias] : [input, weights], output, rows, checked);
}

/** One product; see `createMatmul`. */
export function matmul(a: Float32Array, b: Float32Array, options: MatmulOptions): Promise<Float32Array> {
  return runOnce(createMatmul(options), [a, b]);
}

/** One layer; see `createDenseForward`. Without `bias` it has none. */
export function denseForward(
  input: Float32Array,
  weights: Float32Array,
  bias: Float32Array | null,
  options: Omit<DenseForwardOptions, 'useBias'>,
): Promise<Float32Array> {
  const kernel = createDenseForward({ ...options, useBias: bias !== null });
  return runOnce(kernel, bias ? [input, weights, bias] : [input, weights]);
}

async function runOnce(kernel: Kernel, operands: Float32Array[]): Promise<Float32Array> {
  try {
    return await kernel.run(...operands);
  } finally {
    kernel.dispose();
  }
}

function openKernel(
  builder: ProgramBuilder,
  names: readonly string[],
  output: string,
  rows: number,
  options: EngineOptions,
): Kernel {
  const { backend = 'auto', threads } = checkEngineOptions(options);
  const opened = typeof backend === 'object' ? backend : selectBackend(backend);
  const program = builder.build();
  const session: Session = opened.open(program, { threads: opened.name === 'js' ? 1 : threads });
  const sizes = names.map((name) => builder.shapeOf(name).reduce((product, dimension) => product * dimension, 1));
  let last: Promise<unknown> = Promise.resolve();
  let disposed = false;
  const compute = async (operands: Float32Array[]) => {
    if (disposed) throw new MnistTrainError('ERR_STATE', 'The kernel was disposed of. Create a new one.');
    names.forEach((name, index) => {
      atOnce(session.write(name, operands[index]));
    });
    await session.run('train', null, new Uint32Array(rows), { batchSize: rows, scalars: new Float32Array(0) });
    return atOnce(session.read(output));
  };
  return {
    run: async (...operands) => {
      if (operands.length !== names.length) {
        throw expected(`${names.length} arrays`, 'the operands', operands.length, '', 'ERR_SHAPE');
      }
      names.forEach((name, index) => {
        const values = operands[index];
        if (!(values instanceof Float32Array) || values.length !== sizes[index]) {
          throw expected(
            `a Float32Array of ${sizes[index]} elements`,
            name.replace('train/', ''),
            values,
            '',
            'ERR_SHAPE',
          );
        }
      });
      const result = last.then(() => compute(operands));
      last = result.catch(() => undefined);
      return result;
    },
    dispose: () => {
      disposed = true;
      session.dispose();
    },
  };
}
