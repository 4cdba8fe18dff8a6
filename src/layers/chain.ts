import { expected } from '../errors.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName } from '../program/ops.js';
import { flatten } from './flatten.js';
import type { BuiltShape, Layer, LowerContext, LoweredLayer } from './layer.js';

/** Layers one after the other, in a model or inside a layer: their shapes, and how they are lowered. */

export interface Link {
  layer: Layer;
  /** The place in the caller's list; null for a flatten that was put in. */
  index: number | null;
  inputShape: readonly number[];
  built: BuiltShape;
}

/** Works out shapes and parameters, with a flatten before a layer that takes rows and meets images. Throws ERR_SHAPE. */
export function buildChain(layers: readonly Layer[], inputShape: readonly number[]): Link[] {
  const links: Link[] = [];
  let shape = inputShape;
  const push = (layer: Layer, index: number | null) => {
    const built = layer.build(shape);
    links.push({ layer, index, inputShape: shape, built });
    shape = built.outputShape;
  };
  layers.forEach((layer, index) => {
    if (layer.inputRank === 1 && shape.length > 1) push(flatten(), null);
    push(layer, index);
  });
  return links;
}

/** Checks a list of layers. Throws ERR_ARGUMENT. */
export function checkLayers(layers: readonly Layer[], name = 'layers'): readonly Layer[] {
  if (!Array.isArray(layers) || layers.length === 0) throw expected('a list of at least one layer', name, layers);
  layers.forEach((layer, index) => {
    if (typeof layer !== 'object' || layer === null || typeof layer.build !== 'function') {
      throw expected('a layer, such as dense({ units: 10 })', `layer ${index} of ${name}`, layer);
    }
  });
  return layers;
}

export interface ChainContext extends Omit<LowerContext, 'prefix' | 'inputShape'> {
  /** Stands before the index of each layer: empty, or "3." in layer 3. */
  prefix: string;
}

/** Lowers layers one after the other. `parameters` and `gradients` are those of all of them, in order. */
export function lowerChain(builder: ProgramBuilder, links: readonly Link[], context: ChainContext): LoweredLayer {
  const lowered: LoweredLayer[] = [];
  const last = links.findLastIndex(({ layer }) => layer.outputActivation !== null);
  let { input, needsInputGradient } = context;
  let first = 0;
  links.forEach(({ layer, index, inputShape, built }, place) => {
    const end = first + built.parameters.length;
    const each = layer.lower(builder, {
      prefix: `${context.prefix}${index}`,
      input,
      inputShape,
      parameters: context.parameters.slice(first, end),
      gradients: context.gradients.slice(first, end),
      needsInputGradient,
      leftToLoss: place === last ? context.leftToLoss : null,
      shared: context.shared,
    });
    lowered.push(each);
    input = each.output;
    needsInputGradient ||= built.parameters.some(({ trainable }) => trainable);
    first = end;
  });
  return {
    output: input,
    backward: (dOutput, keep) => {
      let gradient: BufferName | null = dOutput;
      for (const layer of lowered.toReversed()) {
        if (gradient === null) break;
        gradient = layer.backward(gradient, keep && gradient === dOutput);
      }
      return gradient;
    },
  };
}
