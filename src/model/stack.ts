import { checkInteger, expected } from '../errors.js';
import { initialize } from '../initializers.js';
import { buildChain, checkLayers, type Link } from '../layers/chain.js';
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

/** Layers with their shapes worked out: the part of a model that does not change. Holds no weights. */
export interface Stack {
  layers: readonly Link[];
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
  const links = buildChain(checkLayers(layers), [...inputShape]);
  const parameters = links.flatMap(({ index, built }) =>
    built.parameters.map((spec) => ({ name: `${index}.${spec.name}`, layer: index ?? -1, spec })),
  );
  if (!parameters.some(({ spec }) => spec.trainable)) {
    throw expected(
      'at least one layer with weights',
      'layers',
      layers.map(({ type }) => type),
      'Add a dense layer.',
    );
  }
  const outputShape = links.at(-1)!.built.outputShape;
  return {
    layers: links,
    parameters,
    inputShape: [...inputShape],
    inputSize: sizeOf(inputShape),
    outputShape,
    outputSize: sizeOf(outputShape),
    outputActivation: links.findLast(({ layer }) => layer.outputActivation)?.layer.outputActivation ?? 'linear',
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

/** Streams of random numbers of the parameters inside one layer are so far apart; a layer without any has stream 0. */
const STREAMS = 65_536;

/** The first weights of every parameter, in order. */
export function initialWeights(stack: Stack, seed: number): Float32Array[] {
  return stack.parameters.map(({ layer, spec }) => initialize(spec, seed, layer + STREAMS * (spec.stream ?? 0)));
}

/** The numbers in all parameters. */
export function sizeOfParameters({ parameters }: Stack): number {
  return parameters.reduce((sum, { spec }) => sum + sizeOf(spec.shape), 0);
}

/** Views of the parameters in an array that holds them one behind the other. */
export function splitParameters({ parameters }: Stack, values: Float32Array): Float32Array[] {
  let end = 0;
  return parameters.map(({ spec }) => {
    const start = end;
    end += sizeOf(spec.shape);
    return values.subarray(start, end);
  });
}
