import type { BuiltShape, Layer } from '../../layers/layer.js';
import type { BufferName } from '../../program/ops.js';
import { sizeOf } from '../../program/program.js';
import type { Stack } from '../stack.js';

/** Parameters and the numbers in them, in words. Rows, columns and all else count from 0. */

export interface ParameterWords {
  /** "weights of layer 0". */
  title: string;
  /** "pixel row 12 column 9 to neuron 37". */
  placeOf(index: number): string;
}

/** What the inputs and outputs of a layer are. */
interface Ends {
  /** In the shape that they have before they are made flat. */
  inputShape: readonly number[];
  /** Whether the inputs are those of the network. */
  fromSample: boolean;
  /** What an output of a layer of rows is called. */
  output: 'neuron' | 'class';
}

/** The words for every parameter, by its name. */
export function parameterWords({ layers, inputShape }: Stack): ReadonlyMap<BufferName, ParameterWords> {
  const lastWeighted = layers.findLastIndex(({ built }) => built.parameters.length > 0);
  const words: [BufferName, ParameterWords][] = [];
  let shape = inputShape;
  let fromSample = true;
  layers.forEach(({ layer, index, built }, place) => {
    if (index !== null) {
      const output = place === lastWeighted ? 'class' : 'neuron';
      words.push(...wordsOf(String(index), layer, built, { inputShape: shape, fromSample, output }));
    }
    const makesFlat = index === null || layer.type === 'flatten';
    if (!makesFlat) shape = built.outputShape;
    fromSample &&= layer.outputActivation === null;
  });
  return new Map(words);
}

/** An image's height, width and channels where numbers in rows are one: [28, 28, 1] and [784] alike; null where not. */
export function imageShapeOf(shape: readonly number[]): readonly [number, number, number] | null {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]];
  if (shape.length === 2) return [shape[0], shape[1], 1];
  const side = Math.sqrt(sizeOf(shape));
  return Number.isInteger(side) && side >= LEAST_SIDE ? [side, side, 1] : null;
}

/** A row of fewer than 8 × 8 numbers is a list of numbers, not an image. */
const LEAST_SIDE = 8;

/** Layers inside a layer have no names for their inputs. */
const INNER: Ends = { inputShape: [], fromSample: false, output: 'neuron' };

function wordsOf(name: string, layer: Layer, built: BuiltShape, ends: Ends): [BufferName, ParameterWords][] {
  if (built.nested)
    return built.nested.flatMap((each) => wordsOf(`${name}.${each.name}`, each.layer, each.built, INNER));
  return built.parameters.map(({ name: own, shape }) => [
    `${name}.${own}`,
    {
      title: `${titleOf(layer.type, own)} of layer ${name}`,
      placeOf: placesOf(own, shape, outputName(layer.type, built, ends), ends),
    },
  ]);
}

function titleOf(type: string, own: string): string {
  if (type === 'batchNormalization') return own === 'weight' ? 'gamma' : own === 'bias' ? 'beta' : own;
  return own === 'weight' ? 'weights' : 'biases';
}

function outputName(type: string, { outputShape }: BuiltShape, { output }: Ends): string {
  if (outputShape.length === 1) return output;
  return type === 'conv2d' ? 'filter' : 'channel';
}

function placesOf(own: string, shape: readonly number[], output: string, ends: Ends): (index: number) => string {
  const outputs = shape.at(-1)!;
  if (own !== 'weight' || shape.length === 1) return (index) => `${output} ${index}`;
  if (shape.length === 4) {
    const [, width, channels] = shape;
    return (index) => `${gridPlace(Math.floor(index / outputs), width, channels)} of filter ${index % outputs}`;
  }
  const input = inputWords(ends);
  return (index) => `${input(Math.floor(index / outputs))} to ${output} ${index % outputs}`;
}

function inputWords({ inputShape, fromSample }: Ends): (index: number) => string {
  const image = fromSample ? imageShapeOf(inputShape) : inputShape.length === 3 ? inputShape : null;
  if (!image) return (index) => `${fromSample || inputShape.length === 0 ? 'input' : 'neuron'} ${index}`;
  const [, width, channels] = image;
  return (index) => `${fromSample ? 'pixel ' : ''}${gridPlace(index, width, channels)}`;
}

/** "row 12 column 9", with the channel where there are several. */
function gridPlace(index: number, width: number, channels: number): string {
  const position = Math.floor(index / channels);
  const channel = channels > 1 ? ` channel ${index % channels}` : '';
  return `row ${Math.floor(position / width)} column ${position % width}${channel}`;
}
