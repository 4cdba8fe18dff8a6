import { checkInteger, expected } from '../errors.js';
import { initialize } from '../initializers.js';
import { flatten } from '../layers/flatten.js';
import type { Layer, OutputActivation, ParameterSpec } from '../layers/layer.js';
import type { BufferName } from '../program/ops.js';
import { sizeOf } from '../program/program.js';

/** The most numbers in one sample or one parameter. */
const MAX_SIZE = 2 ** 31 - 1;

export interface Parameter {
  /** `<layer index>.<name>`: the buffer in a program and the tensor in a file. */
  name: BufferName;
  layer: number;
  spec: ParameterSpec;
}

export interface StackedLayer {
  layer: Layer;
  /** The place in the caller's list; null for a flatten that the stack put in by itself. */
  index: number | null;
  inputShape: readonly number[];
  outputShape: readonly number[];
  parameters: readonly Parameter[];
}

/** Layers with their shapes worked out: the part of a model that does not change. Holds no weights. */
export interface Stack {
  layers: readonly StackedLayer[];
  parameters: readonly Parameter[];
  inputShape: readonly number[];
  inputSize: number;
  outputShape: readonly number[];
  outputSize: number;
  outputActivation: OutputActivation;
}

/** Works out shapes and parameters. Throws ERR_ARGUMENT or ERR_SHAPE where layers do not fit. */
export function buildStack(layers: readonly Layer[], inputShape: readonly number[]): Stack {
  checkInputShape(inputShape);
  if (!Array.isArray(layers) || layers.length === 0) throw expected('a list of at least one layer', 'layers', layers);
  const stacked: StackedLayer[] = [];
  let shape: readonly number[] = [...inputShape];
  const push = (layer: Layer, index: number | null) => {
    const { outputShape, parameters } = layer.build(shape);
    stacked.push({
      layer,
      index,
      inputShape: shape,
      outputShape,
      parameters: parameters.map((spec) => ({ name: `${index}.${spec.name}`, layer: index ?? -1, spec })),
    });
    shape = outputShape;
  };
  layers.forEach((layer, index) => {
    if (typeof layer !== 'object' || layer === null || typeof layer.build !== 'function') {
      throw expected('a layer, such as dense({ units: 10 })', `layer ${index}`, layer);
    }
    if (layer.inputRank === 1 && shape.length > 1) push(flatten(), null);
    push(layer, index);
  });
  const parameters = stacked.flatMap((layer) => layer.parameters);
  if (parameters.length === 0) {
    throw expected(
      'at least one layer with weights',
      'layers',
      layers.map(({ type }) => type),
      'Add a dense layer.',
    );
  }
  return {
    layers: stacked,
    parameters,
    inputShape: [...inputShape],
    inputSize: sizeOf(inputShape),
    outputShape: shape,
    outputSize: sizeOf(shape),
    outputActivation: stacked.findLast(({ layer }) => layer.outputActivation)?.layer.outputActivation ?? 'linear',
  };
}

function checkInputShape(inputShape: readonly number[]): void {
  if (!Array.isArray(inputShape) || inputShape.length === 0) {
    throw expected('the shape of one sample, such as [28, 28, 1],', 'inputShape', inputShape);
  }
  inputShape.forEach((dimension, axis) => {
    checkInteger(dimension, `inputShape[${axis}]`, 1, MAX_SIZE);
  });
  if (sizeOf(inputShape) > MAX_SIZE) {
    throw expected(`at most ${MAX_SIZE} numbers a sample`, 'inputShape', inputShape, '', 'ERR_SHAPE');
  }
}

/** The first weights of every parameter, in order. */
export function initialWeights(stack: Stack, seed: number): Float32Array[] {
  return stack.parameters.map(({ layer, spec }) =>
    initialize(spec.initializer, sizeOf(spec.shape), spec.fanIn, spec.fanOut, seed, layer),
  );
}
