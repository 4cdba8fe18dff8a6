import type { Backend } from '../../backends/backend.js';
import { windowsOf } from '../../layers/windows.js';
import { atOnce } from '../../pieces.js';
import { ProgramBuilder } from '../../program/builder.js';
import { partsOf } from '../../program/ops.js';
import type { Program } from '../../program/program.js';
import { type Benchmark, seconds, type Work } from './benchmark.js';
import type { BenchData } from './data.js';
import { ramp } from './matmul.js';

const BATCH_SIZE = 64;

/** A convolution with bias and ReLU, of stride 1 without padding. */
interface Convolution {
  image: readonly [number, number, number];
  kernel: number;
  filters: number;
  /** With the 2 × 2 max-pool behind it. */
  pool: boolean;
  /** Digits as input and, as behind the first layer of a network, no gradient of the input; else values without zeros. */
  digits: boolean;
  /** 4 GFLOP a pass: seconds in TypeScript, of which the others tell as much. */
  nativeOnly?: true;
}

const CONVOLUTIONS: readonly Convolution[] = [
  { image: [26, 26, 32], kernel: 3, filters: 64, pool: false, digits: false, nativeOnly: true },
  { image: [28, 28, 1], kernel: 5, filters: 24, pool: true, digits: true },
  { image: [12, 12, 24], kernel: 3, filters: 32, pool: true, digits: false },
];

/** Forward alone, and with the gradients of weights, bias and input, as in a training step. */
export function convolutionBenchmarks(data: Pick<BenchData, 'inputs'>): Benchmark[] {
  return CONVOLUTIONS.flatMap((convolution) =>
    [false, true].map((learns) => ({
      name: nameOf(convolution, learns),
      flops: flopsOf(convolution) * (learns ? (convolution.digits ? 2 : 3) : 1),
      images: BATCH_SIZE,
      ...(convolution.nativeOnly && { nativeOnly: convolution.nativeOnly }),
      open: (backend: Backend, threads: number) => open(convolution, learns, data, backend, threads),
    })),
  );
}

/** "conv2d 5x5 of 28x28x1 to 24, pooled, digits, batch 64, forward". */
function nameOf({ image, kernel, filters, pool, digits }: Convolution, learns: boolean): string {
  const options = [...(pool ? ['pooled'] : []), ...(digits ? ['digits'] : []), `batch ${BATCH_SIZE}`];
  const passes = learns ? 'forward and gradients' : 'forward';
  return `conv2d ${kernel}x${kernel} of ${image.join('x')} to ${filters}, ${options.join(', ')}, ${passes}`;
}

const windows = ({ image, kernel }: Convolution) =>
  windowsOf('conv2d', image, { kernel: [kernel, kernel], strides: [1, 1], padding: 'valid' });

/** Of one pass, at every position: a pool's gradient comes from a quarter of them, and counts as if it came from all. */
function flopsOf(convolution: Convolution): number {
  const { outputHeight, outputWidth, channels } = windows(convolution);
  const { kernel, filters } = convolution;
  return 2 * BATCH_SIZE * outputHeight * outputWidth * filters * kernel ** 2 * channels;
}

function open(
  convolution: Convolution,
  learns: boolean,
  { inputs }: Pick<BenchData, 'inputs'>,
  backend: Backend,
  threads: number,
): Work {
  const program = programOf(convolution, learns);
  const session = backend.open(program, { threads });
  for (const { name, role, shape } of program.buffers) {
    const size = shape.reduce((product, dimension) => product * dimension);
    if (role !== 'input' && role !== 'parameter') continue;
    const isDigits = role === 'input' && convolution.digits;
    const values = isDigits ? Float32Array.from(inputs.subarray(0, size), (pixel) => pixel / 255) : ramp(size);
    atOnce(session.write(name, values));
  }
  const plan = { batchSize: BATCH_SIZE, scalars: new Float32Array(0) };
  return {
    run: (repetitions) => seconds(() => session.run('train', null, new Uint32Array(repetitions * BATCH_SIZE), plan)),
    close: () => session.dispose(),
  };
}

/** What a training step does for the layer, but for its update. */
function programOf(convolution: Convolution, learns: boolean): Program {
  const builder = new ProgramBuilder().section('train', BATCH_SIZE);
  const { image, filters, pool, digits } = convolution;
  const geometry = windows(convolution);
  const { kernelHeight, kernelWidth, channels } = geometry;
  const side = (positions: number) => (pool ? Math.floor(positions / 2) : positions);
  const outputShape = [side(geometry.outputHeight), side(geometry.outputWidth), filters];
  const weightShape = [kernelHeight, kernelWidth, channels, filters];
  const input = builder.batched('input', image, 'input');
  const weights = builder.persistent('weights', 'parameter', weightShape);
  const bias = builder.persistent('bias', 'parameter', [filters]);
  const output = builder.batched('output', outputShape);
  const winners = pool ? builder.batched('winners', outputShape, 'activation', 'int32') : null;
  const relu = { activation: 'relu', negativeSlope: 0 } as const;
  builder.add({ op: 'conv2d', input, weights, bias, output, winners, ...geometry, ...relu, pool });
  if (!learns) return builder.build();
  const given = builder.batched('given', outputShape, 'input');
  const dOutput = builder.batched('dOutput', outputShape);
  builder.add({ op: 'activationBackward', reference: output, dOutput: given, dInput: dOutput, ...relu });
  const parts = (name: string, shape: readonly number[]) =>
    builder.fixed(`${name}Parts`, [partsOf(BATCH_SIZE), ...shape], 'gradient');
  const dWeightParts = parts('dWeights', weightShape);
  const dBiasParts = parts('dBias', [filters]);
  const dInput = digits ? null : builder.batched('dInput', image);
  const gradients = { dWeightParts, dBiasParts, dInput };
  builder.add({ op: 'conv2dBackward', input, weights, dOutput, winners, ...gradients, ...geometry, pool });
  builder.add({ op: 'sumParts', parts: dWeightParts, output: builder.fixed('dWeights', weightShape, 'gradient') });
  builder.add({ op: 'sumParts', parts: dBiasParts, output: builder.fixed('dBias', [filters], 'gradient') });
  return builder.build();
}
