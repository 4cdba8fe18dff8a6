/**
 * How far float32 predictions may be from the reference in double precision: errors carried through the layers. U is the
 * error of one rounding; a sum of n products is off by at most (n + 1) · U times the same sum of absolute values, which the
 * reference itself computes of absolute weights and inputs.
 */
import { buildChain, type Link } from '../../src/layers/chain.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import type { LayerConfig } from '../../src/layers/layer.js';
import { referenceLayers } from '../../src/model/reference/chain.js';
import type { ReferenceLayer, ReferenceWeights } from '../../src/model/reference/layer.js';
import { U } from './differences.js';

/** The numbers of a layer for one sample, and by how much each may be off in the engine. */
interface Values {
  values: Float64Array;
  errors: Float64Array;
}

/** Of one sample through all layers. */
export function errorsThrough(
  links: readonly Link[],
  weights: ReferenceWeights,
  values: Float64Array,
  prefix = '',
): Values {
  return links.reduce<Values>((before, link) => throughLayer(link, weights, before, prefix), {
    values,
    errors: new Float64Array(values.length),
  });
}

function throughLayer(link: Link, weights: ReferenceWeights, before: Values, prefix: string): Values {
  const { config } = link.layer;
  if (config.type === 'residual') return throughResidual(link, weights, before, prefix);
  const activation = config.type === 'softmax' ? 'softmax' : ((config.activation as string | undefined) ?? 'linear');
  const linear = { ...link, layer: { ...link.layer, config: linearOf(config) } };
  const layer = (w: ReferenceWeights) => referenceLayers([linear], prefix, { weights: w, mode: 'inference' }, null)[0];
  const sums = layer(weights)(before.values, 1).output;
  const magnitudes = magnitudesOf(weights, `${prefix}${link.index}.`);
  const errors = linearErrors(layer(magnitudes), before, roundingsOf(link));
  return activated(activation, (config.negativeSlope as number | undefined) ?? 1, { values: sums, errors });
}

/** Errors of the input carried on, and the layer's own. */
function linearErrors(magnitude: ReferenceLayer, { values, errors }: Values, roundings: number): Float64Array {
  const zero = magnitude(
    values.map(() => 0),
    1,
  ).output;
  const carried = magnitude(errors, 1).output;
  const own = magnitude(values.map(Math.abs), 1).output;
  return own.map((size, i) => (1 + roundings * U) * (carried[i] - zero[i]) + roundings * U * size);
}

/**
 * One for each product and sum. Weights into which a batch normalization was folded have five of their own: the root, its
 * inverse and gamma, the sum before it and the product.
 */
function roundingsOf({ layer: { type, config }, inputShape }: Link): number {
  const [height, width] = inputShape;
  const pair = (value: unknown) => (value as number[])[0] * (value as number[])[1];
  switch (type) {
    case 'dense':
      return inputShape[0] + 6;
    case 'conv2d':
      return pair(config.kernelSize) * inputShape[2] + 6;
    case 'averagePooling2d':
      return pair(config.poolSize) + 2;
    case 'globalAveragePooling2d':
      return height * width + 2;
    case 'batchNormalization':
      return 8;
    default:
      return 0;
  }
}

const linearOf = (config: LayerConfig): LayerConfig =>
  config.type === 'softmax'
    ? { type: 'activation', activation: 'linear' }
    : 'activation' in config
      ? { ...config, activation: 'linear' }
      : config;

/** Moving means are subtracted. */
function magnitudesOf(weights: ReferenceWeights, prefix: string): ReferenceWeights {
  const sign = (name: string) => (name.endsWith('running_mean') ? -1 : 1);
  return new Map(
    [...weights]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, values]) => [name, Float64Array.from(values, (value) => sign(name) * Math.abs(value))]),
  );
}

/** The greatest slopes of activations; 1 of the others, but for leakyRelu's own. */
const STEEPEST: Record<string, number> = { sigmoid: 0.25, gelu: 1.13 };

function activated(activation: string, slope: number, { values, errors }: Values): Values {
  const { output } = referenceLayers(
    [activationLink(activation, slope, values.length)],
    '',
    { weights: new Map(), mode: 'inference' },
    null,
  )[0](values, 1);
  if (activation === 'softmax') {
    const mean = output.reduce((sum, p, j) => sum + p * errors[j], 0);
    // Twice for what is of second order; e is off by some roundings, their sum by one for each.
    return { values: output, errors: output.map((p, j) => p * (2 * (errors[j] + mean) + (values.length + 16) * U)) };
  }
  const steepest = STEEPEST[activation] ?? Math.max(1, slope);
  const exact = activation === 'linear' || activation === 'relu';
  const own = (y: number, x: number) =>
    exact ? 0 : 10 * U * Math.max(1, Math.abs(y)) + (activation === 'gelu' ? 7.5e-8 * Math.abs(x) : 0);
  return { values: output, errors: output.map((y, i) => steepest * errors[i] + own(y, values[i])) };
}

function activationLink(activation: string, negativeSlope: number, size: number): Link {
  const own = activation === 'leakyRelu' ? { activation, negativeSlope } : { activation };
  return buildChain([layerFromConfig({ type: 'activation', ...own })], [size])[0];
}

function throughResidual(link: Link, weights: ReferenceWeights, { values, errors }: Values, prefix: string): Values {
  const { layers, shortcut = [] } = link.layer.config;
  const way = (list: unknown, inner: string) =>
    buildChain((list as LayerConfig[]).map(layerFromConfig), link.inputShape).reduce<Values>(
      (before, each) => throughLayer(each, weights, before, `${prefix}${link.index}.${inner}`),
      { values, errors },
    );
  const [a, b] = [way(layers, ''), way(shortcut, 'shortcut.')];
  const sum = a.values.map((value, i) => value + b.values[i]);
  return { values: sum, errors: sum.map((y, i) => a.errors[i] + b.errors[i] + 2 * U * Math.abs(y)) };
}
