import type { LayerActivations } from '../activations.js';
import type { Stack } from '../stack.js';
import type { ExplainedLayer, ExplainedNeuron } from './explanation.js';
import type { Part, SplitStack } from './split.js';

/** Layers that pass on what they get, outside training. */
const PASSING = new Set(['dropout', 'flatten']);
/** How many neurons of the next layer are named. */
const FED = 3;

export interface NeuronsContext {
  split: SplitStack;
  /** In the order of the split stack's parameters. */
  weights: ReadonlyMap<string, Float32Array>;
  /** What each layer of the split stack puts out. */
  outputs: readonly LayerActivations[];
  /** The sample. */
  input: Float32Array;
  /** The most neurons of a layer. */
  count: number;
}

/** A layer as the caller gave it. */
interface Place {
  /** Where its output stands among those of the split stack. */
  output: number;
  /** Where its weighted sums stand, the same place without an activation; null of layers without weighted sums. */
  sums: number | null;
}

/** The layers as the caller gave them, each with its strongest neurons. */
export function explainLayers(
  context: NeuronsContext,
  names: readonly { type: string; name: string }[],
): ExplainedLayer[] {
  const { outputs, split } = context;
  return placesOf(split.parts, split.stack).map((place, layer) => {
    const { shape, values } = outputs[place.output];
    const { type, name } = names[layer];
    return {
      layer,
      type,
      name,
      shape,
      off: values.reduce((count, value) => count + (value === 0 ? 1 : 0), 0),
      least: values.reduce((a, b) => Math.min(a, b)),
      greatest: values.reduce((a, b) => Math.max(a, b)),
      neurons: PASSING.has(type)
        ? []
        : strongest(values, shape, context.count).map((at) => neuronAt(context, place, at)),
    };
  });
}

function placesOf(parts: readonly Part[], { layers }: Stack): Place[] {
  const types = new Map(layers.map(({ index, layer }) => [index, layer.type]));
  const places: Place[] = [];
  parts.forEach(({ layer, of }, index) => {
    const hasSums = of !== 'activation' && (types.get(index) === 'dense' || types.get(index) === 'conv2d');
    places[layer] = { output: index, sums: of === 'activation' ? places[layer].sums : hasSums ? index : null };
  });
  return places;
}

/** Where the greatest absolute values stand, the first of equals; of images the greatest of each channel alone. */
function strongest(values: Float32Array, shape: readonly number[], count: number): number[] {
  const channels = shape.at(-1)!;
  const best = Array.from({ length: channels }, (_, channel) => channel);
  for (let i = channels; i < values.length; i++) {
    if (Math.abs(values[i]) > Math.abs(values[best[i % channels]])) best[i % channels] = i;
  }
  return best.sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b).slice(0, count);
}

function neuronAt(context: NeuronsContext, { output, sums }: Place, at: number): ExplainedNeuron {
  const { outputs } = context;
  const { shape, values } = outputs[output];
  const channels = shape.at(-1)!;
  const unit = at % channels;
  const position = (at - unit) / channels;
  const feeds = feedsOf(context, output, at);
  return {
    unit,
    ...(shape.length === 3 && { place: { row: Math.floor(position / shape[1]), column: position % shape[1] } }),
    activation: values[at],
    ...(sums !== null && weighted(context, sums, at, unit)),
    ...(feeds && { feeds }),
  };
}

function weighted(context: NeuronsContext, sums: number, at: number, unit: number): Partial<ExplainedNeuron> {
  const { outputs, weights, split } = context;
  const pixels = pixelsOf(context, sums, unit);
  return {
    weightedSum: outputs[sums].values[at],
    bias: weights.get(`${sums}.bias`)?.[unit] ?? 0,
    ...(pixels && split.stack.layers.length > 0 && { pixels }),
  };
}

/** weight × input, exactly: the product of two float32 has room in a float64. Null behind other layers. */
function pixelsOf({ split, outputs, weights, input }: NeuronsContext, sums: number, unit: number): number[] | null {
  const isFirst = outputs.slice(0, sums).every(({ type }) => PASSING.has(type));
  if (outputs[sums].type !== 'dense' || !isFirst) return null;
  const matrix = weights.get(`${sums}.weight`)!;
  const units = split.stack.layers.find(({ index }) => index === sums)!.built.outputShape[0];
  return Array.from(input, (value, pixel) => matrix[pixel * units + unit] * value);
}

/** What a neuron does for the dense layer behind it. Null where another layer comes next. */
function feedsOf({ outputs, weights }: NeuronsContext, output: number, at: number): ExplainedNeuron['feeds'] | null {
  const next = outputs.findIndex(({ type }, place) => place > output && !PASSING.has(type));
  if (next < 0 || outputs[next].type !== 'dense' || outputs[output].shape.length !== 1) return null;
  const [units] = outputs[next].shape;
  const row = weights.get(`${next}.weight`)!.subarray(at * units, (at + 1) * units);
  const activation = outputs[output].values[at];
  const all = Array.from(row, (weight, unit) => ({ unit, weight, contribution: activation * weight }));
  return all.sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, FED);
}
