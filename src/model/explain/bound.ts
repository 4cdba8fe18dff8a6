import { buildChain, type Link } from '../../layers/chain.js';
import { layerFromConfig } from '../../layers/from-config.js';
import type { LayerConfig } from '../../layers/layer.js';
import type { BufferName } from '../../program/ops.js';
import { sizeOf } from '../../program/program.js';
import type { WeightsByName } from '../activations.js';
import { ReferenceNetwork } from '../reference/network.js';
import { buildStack, type Stack } from '../stack.js';

/**
 * How far the engine's float32 logits may be from the exact ones: γ(n) M, γ(n) = n u / (1 - n u), u = 2^-24.
 *
 * M is what the *magnitude network* gives: the same network with absolute values of inputs, weights and biases, where each
 * activation f is replaced by L |x| + |f(0)|, L the greatest slope of f. Claim: a number in the network is at most M in
 * absolute value and off by at most γ(n) M, M the number at its place in the magnitude network and n the roundings on the
 * longest way to it. A sum of k products keeps the claim with n + k + 1 (Higham 2002, section 3.1), an activation does since
 * |f(x) - f(y)| <= L |x - y| and |f(x)| <= L |x| + |f(0)|, the greatest of a pool and the sum of two ways do.
 */

const UNIT_ROUNDOFF = 2 ** -24;
/** Of batch normalization: folded into the weights before it or not, it takes fewer. */
const NORMALIZATION_ROUNDINGS = 8;

interface Activation {
  /** L. */
  slope: number;
  /** |f(0)|. */
  atZero: number;
  /** What it is off by, in units of u M: roundings, and the approximations of docs/numerics.md. */
  roundings: number;
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  linear: { slope: 1, atZero: 0, roundings: 0 },
  relu: { slope: 1, atZero: 0, roundings: 0 },
  leakyRelu: { slope: 1, atZero: 0, roundings: 2 },
  tanh: { slope: 1, atZero: 0, roundings: 16 },
  sigmoid: { slope: 0.25, atZero: 0.5, roundings: 16 },
  gelu: { slope: 1.13, atZero: 0, roundings: 16 },
};

/** The magnitude network while it is made. */
interface Magnitudes {
  weights: Map<BufferName, Float64Array>;
  /** n. */
  roundings: number;
}

/**
 * The bound for each logit of a network that ends with softmax, which is left out. Null with another softmax before, and
 * where the numbers become too great to say anything.
 */
export function roundingBounds(stack: Stack, weights: WeightsByName, input: Float32Array): number[] | null {
  const last = stack.layers.findLastIndex(({ layer }) => layer.outputActivation !== null);
  const links = stack.layers.slice(0, last);
  if (links.some(({ layer }) => hasSoftmax(layer.config))) return null;
  const made: Magnitudes = { weights: new Map(), roundings: 0 };
  const configs = magnitudeLayers(links, '', weights, made);
  const magnitudes = buildStack(configs.map(layerFromConfig), stack.inputShape);
  const { output } = new ReferenceNetwork(magnitudes, made.weights).forward(Float64Array.from(input, Math.abs));
  const gamma = (made.roundings * UNIT_ROUNDOFF) / (1 - made.roundings * UNIT_ROUNDOFF);
  const bounds = Array.from(output, (magnitude) => gamma * magnitude);
  return bounds.every((bound) => Number.isFinite(bound) && bound >= 0) ? bounds : null;
}

function hasSoftmax({ type, activation, layers, shortcut }: LayerConfig): boolean {
  const inner = [...((layers ?? []) as LayerConfig[]), ...((shortcut ?? []) as LayerConfig[])];
  return type === 'softmax' || activation === 'softmax' || inner.some(hasSoftmax);
}

function magnitudeLayers(
  links: readonly Link[],
  prefix: string,
  weights: WeightsByName,
  made: Magnitudes,
): LayerConfig[] {
  return links.flatMap((link) =>
    link.index === null ? [] : [magnitudeLayer(link, `${prefix}${link.index}`, weights, made)],
  );
}

function magnitudeLayer(link: Link, name: string, weights: WeightsByName, made: Magnitudes): LayerConfig {
  const { config } = link.layer;
  switch (config.type) {
    case 'dense':
    case 'conv2d':
      return magnitudeSums(link, name, weights, made);
    case 'activation':
      return magnitudeActivation(link, name, made);
    case 'batchNormalization':
      made.roundings += NORMALIZATION_ROUNDINGS;
      for (const own of ['weight', 'bias', 'running_mean', 'running_var']) {
        // The mean is subtracted.
        const sign = own === 'running_mean' ? -1 : 1;
        const values = weights.get(`${name}.${own}`);
        if (values)
          made.weights.set(
            `${name}.${own}`,
            Float64Array.from(values, (value) => sign * Math.abs(value)),
          );
      }
      return config;
    case 'residual':
      return magnitudeResidual(link, name, weights, made);
    case 'averagePooling2d':
      made.roundings += sizeOf(config.poolSize as number[]) + 2;
      return config;
    case 'globalAveragePooling2d':
      made.roundings += sizeOf(link.inputShape.slice(0, 2)) + 2;
      return config;
    default:
      return config;
  }
}

/** The activation becomes part of the weights. */
function magnitudeSums(link: Link, name: string, weights: WeightsByName, made: Magnitudes): LayerConfig {
  const { activation, negativeSlope, ...config } = link.layer.config;
  const { slope, atZero, roundings } = activationOf(activation, negativeSlope);
  const weight = weights.get(`${name}.weight`)!;
  const units = link.built.outputShape.at(-1)!;
  const bias = weights.get(`${name}.bias`) ?? new Float32Array(units);
  made.weights.set(
    `${name}.weight`,
    Float64Array.from(weight, (value) => slope * Math.abs(value)),
  );
  made.weights.set(
    `${name}.bias`,
    Float64Array.from(bias, (value) => slope * Math.abs(value) + atZero),
  );
  made.roundings += weight.length / units + 1 + roundings;
  return { ...config, type: config.type as string, useBias: true };
}

/** x · L + |f(0)|, which batch normalization can say. */
function magnitudeActivation(link: Link, name: string, made: Magnitudes): LayerConfig {
  const { activation, negativeSlope } = link.layer.config;
  const { slope, atZero, roundings } = activationOf(activation, negativeSlope);
  const channels = link.built.outputShape.at(-1)!;
  const fill = (own: string, value: number) =>
    made.weights.set(`${name}.${own}`, new Float64Array(channels).fill(value));
  fill('weight', slope);
  fill('bias', atZero);
  fill('running_mean', 0);
  fill('running_var', 1);
  made.roundings += roundings;
  return { type: 'batchNormalization', epsilon: UNIT_ROUNDOFF ** 4 };
}

function magnitudeResidual(
  { layer, inputShape }: Link,
  name: string,
  weights: WeightsByName,
  made: Magnitudes,
): LayerConfig {
  const { config } = layer;
  const way = (list: LayerConfig[string], prefix: string) => {
    const links = buildChain((list as unknown as readonly LayerConfig[]).map(layerFromConfig), inputShape);
    return magnitudeLayers(links, prefix, weights, made);
  };
  // Roundings of both ways are counted: more than on either.
  made.roundings += 1;
  const layers = way(config.layers, `${name}.`);
  return config.shortcut === undefined
    ? { ...config, layers }
    : { ...config, layers, shortcut: way(config.shortcut, `${name}.shortcut.`) };
}

function activationOf(
  activation: LayerConfig[string] | undefined,
  negativeSlope: LayerConfig[string] | undefined,
): Activation {
  const own = ACTIVATIONS[(activation ?? 'linear') as string];
  return { ...own, slope: Math.max(own.slope, (negativeSlope as number | undefined) ?? 0) };
}
