import { checkNumber, expected } from './errors.js';
import { checkOptions } from './options.js';
import { sizeOf } from './program/program.js';
import { RandomPurpose, RandomStream } from './random.js';

const SCALED = ['glorotUniform', 'glorotNormal', 'heUniform', 'heNormal', 'lecunUniform', 'lecunNormal'] as const;
export const KERNEL_INITIALIZERS = [...SCALED, 'orthogonal', 'zeros', 'ones'] as const;
/** How weights start. Biases always start at zero. `{ constant: 0.1 }` gives every weight that value. */
export type Initializer = (typeof KERNEL_INITIALIZERS)[number] | { readonly constant: number };
export type KernelInitializer = Initializer;

/** A kernelInitializer as it was given, or a frozen copy. Throws ERR_ARGUMENT. */
export function checkInitializer(value: unknown): Initializer {
  if (typeof value !== 'object') {
    const choices: readonly string[] = KERNEL_INITIALIZERS;
    if (typeof value === 'string' && choices.includes(value)) return value as Initializer;
    throw expected(`one of ${choices.join(', ')} or { constant: number }`, 'kernelInitializer', value);
  }
  const { constant } = checkOptions(value as { constant: number }, 'kernelInitializer', { constant: true });
  return Object.freeze({ constant: checkNumber(constant, 'kernelInitializer.constant') });
}

interface Initialized {
  initializer: Initializer;
  /** The last dimension counts outputs. */
  shape: readonly number[];
  fanIn: number;
  fanOut: number;
}

/**
 * The first values of a parameter, as a function of (seed, stream) alone.
 *
 * - glorotUniform: uniform in ±sqrt(6 / (fanIn + fanOut)); glorotNormal: normal of variance 2 / (fanIn + fanOut).
 *   Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
 * - heUniform: uniform in ±sqrt(6 / fanIn); heNormal: normal of variance 2 / fanIn.
 *   He et al., "Delving deep into rectifiers" (2015).
 * - lecunUniform: uniform in ±sqrt(3 / fanIn); lecunNormal: normal of variance 1 / fanIn.
 *   LeCun et al., "Efficient backprop" (1998).
 * - orthogonal: a random matrix of [all other dimensions, outputs] whose columns, or whose rows where those are fewer, are
 *   of length 1 and orthogonal. Saxe et al., "Exact solutions to the nonlinear dynamics of learning" (2014).
 *
 * A convolution's fans count a whole window: fanIn = height · width · channels, fanOut = height · width · filters. Normal
 * values are not cut off, as in PyTorch (Keras draws them again beyond two standard deviations).
 */
export function initialize(parameter: Initialized, seed: number, stream: number): Float32Array {
  const { initializer, shape } = parameter;
  const values = new Float32Array(sizeOf(shape));
  if (initializer === 'zeros') return values;
  if (initializer === 'ones') return values.fill(1);
  if (typeof initializer === 'object') return values.fill(initializer.constant);
  const random = new RandomStream(seed, RandomPurpose.initialize, stream);
  if (initializer === 'orthogonal') return orthogonal(values, shape.at(-1)!, random);
  const variance = varianceOf(parameter);
  if (initializer.endsWith('Uniform')) {
    const limit = Math.sqrt(3 * variance);
    for (let index = 0; index < values.length; index++) values[index] = (2 * random.uniform() - 1) * limit;
  } else {
    const deviation = Math.sqrt(variance);
    for (let index = 0; index < values.length; index++) values[index] = random.normal() * deviation;
  }
  return values;
}

function varianceOf({ initializer, fanIn, fanOut }: Initialized): number {
  const name = initializer as (typeof SCALED)[number];
  if (name.startsWith('glorot')) return 2 / (fanIn + fanOut);
  return name.startsWith('he') ? 2 / fanIn : 1 / fanIn;
}

/**
 * Fills a [rows, columns] matrix: normal vectors as long as its longer side, as many as its shorter one, made orthogonal
 * by Gram and Schmidt in float64. That is the Q of a normal matrix whose R has a positive diagonal, as Keras makes it.
 */
function orthogonal(values: Float32Array, columns: number, random: RandomStream): Float32Array {
  const rows = values.length / columns;
  const [length, count] = rows >= columns ? [rows, columns] : [columns, rows];
  const [step, next] = rows >= columns ? [columns, 1] : [1, columns];
  const basis: Float64Array[] = [];
  while (basis.length < count) {
    const vector = Float64Array.from({ length }, () => random.normal());
    const drawn = norm(vector);
    // Twice is enough: once leaves the rounding errors of what cancelled.
    for (let pass = 0; pass < 2; pass++) for (const other of basis) takeOut(vector, other);
    const left = norm(vector);
    // What is left of a vector that nearly lies among the others is rounding error: draw another one.
    if (!(left > 1e-8 * drawn)) continue;
    for (let index = 0; index < length; index++) {
      vector[index] /= left;
      values[index * step + basis.length * next] = vector[index];
    }
    basis.push(vector);
  }
  return values;
}

function norm(vector: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < vector.length; index++) sum += vector[index] * vector[index];
  return Math.sqrt(sum);
}

/** Takes out of `vector` its part in the direction of `unit`. */
function takeOut(vector: Float64Array, unit: Float64Array): void {
  let product = 0;
  for (let index = 0; index < vector.length; index++) product += vector[index] * unit[index];
  for (let index = 0; index < vector.length; index++) vector[index] -= product * unit[index];
}
