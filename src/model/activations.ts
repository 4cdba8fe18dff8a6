import type { BufferName } from '../program/ops.js';
import { Engine } from './engine.js';
import type { EngineOptions } from './engine-options.js';
import { lowerModel } from './lower.js';
import { type PredictInputs, readInputs } from './samples.js';
import type { Stack } from './stack.js';
import { titleOfLayer } from './summary.js';

/** A layer and what comes out of it for one sample. */
export interface LayerOutput {
  /** The place in the list given to `sequential`. */
  layer: number;
  type: string;
  /** As `summary` calls it: "0 dense (relu)". */
  name: string;
  /** Of one sample. */
  shape: readonly number[];
}

export interface LayerActivations extends LayerOutput {
  /** [samples, ...shape], row-major. */
  values: Float32Array;
}

/** The weights of a model by the names of its parameters. */
export type WeightsByName = ReadonlyMap<BufferName, Float32Array>;

/** Weights in the order of the parameters, by their names. */
export function namedWeights({ parameters }: Stack, weights: readonly Float32Array[]): WeightsByName {
  return new Map(parameters.map(({ name }, index) => [name, weights[index]]));
}

/** Somebody looks at a few samples; memory for more would be laid out once per layer. Results do not depend on it. */
const CAPACITY = 16;

/** The layers that a model was made of. A flatten that was put in changes no value and is not shown. */
export function layerOutputs(stack: Stack): LayerOutput[] {
  return stack.layers.flatMap(({ layer, index, built }) => {
    if (index === null) return [];
    const { type } = layer;
    return [{ layer: index, type, name: titleOfLayer(String(index), layer), shape: built.outputShape }];
  });
}

interface Probe {
  output: LayerOutput;
  /** Infers up to this layer; null where it passes on what it gets, as dropout does. */
  engine: Engine | null;
}

/**
 * Shows what every layer puts out. The layers up to each one are a model of their own, lowered as the whole is: the last
 * gives the very bits of a prediction. Each has a copy of its weights, so that memory grows with the number of layers
 * times the weights.
 */
export class LayerProbes {
  readonly #stack: Stack;
  readonly #probes: readonly Probe[];
  readonly #parameters: readonly BufferName[][];

  constructor(stack: Stack, weights: WeightsByName, choice: EngineOptions) {
    this.#stack = stack;
    const probes: Probe[] = [];
    const parameters: BufferName[][] = [];
    let before: BufferName | null = 'infer/inputs';
    for (const output of layerOutputs(stack)) {
      const prefix = prefixOf(stack, output.layer);
      const program = lowerModel(prefix, null, { train: 0, evaluate: 0, infer: CAPACITY });
      const names = prefix.parameters.map(({ name }) => name);
      const last = program.sections.infer!.output;
      const values = new Map(names.map((name) => [name, weights.get(name)!]));
      // One thread: a few samples have no work for more.
      const engine = last === before ? null : new Engine(values, { ...choice, threads: 1 }, () => program);
      probes.push({ output, engine });
      parameters.push(names);
      before = last;
    }
    this.#probes = probes;
    this.#parameters = parameters;
  }

  /** Replaces the weights. */
  write(weights: WeightsByName): void {
    this.#probes.forEach(({ engine }, place) => {
      engine?.write(new Map(this.#parameters[place].map((name) => [name, weights.get(name)!])));
    });
  }

  /** See `Sequential.activations`. */
  activations(inputs: PredictInputs): LayerActivations[] {
    const values = readInputs(inputs, this.#stack);
    const count = values.length / this.#stack.inputSize;
    let before: Float32Array | null = null;
    return this.#probes.map(({ output, engine }) => {
      let own: Float32Array;
      if (engine) {
        own = new Float32Array(count * output.shape.reduce((size, dimension) => size * dimension, 1));
        engine.inferSync(values, own);
      } else {
        own = before?.slice() ?? Float32Array.from(values, values instanceof Uint8Array ? (v) => v / 255 : undefined);
      }
      before = own;
      return { ...output, values: own };
    });
  }

  /** Frees memory and threads. Idempotent. */
  dispose(): void {
    for (const { engine } of this.#probes) engine?.dispose();
  }
}

/** The stack up to a layer of the caller's. */
function prefixOf(stack: Stack, layer: number): Stack {
  const layers = stack.layers.slice(0, stack.layers.findIndex(({ index }) => index === layer) + 1);
  const outputShape = layers.at(-1)!.built.outputShape;
  const outputSize = outputShape.reduce((size, dimension) => size * dimension, 1);
  const parameters = stack.parameters.filter((parameter) => parameter.layer <= layer);
  return { ...stack, layers, parameters, outputShape, outputSize };
}
