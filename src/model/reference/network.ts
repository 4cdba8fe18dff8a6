import type { Link } from '../../layers/chain.js';
import type { LossActivation } from '../../losses/loss.js';
import type { BufferName } from '../../program/ops.js';
import type { Stack } from '../stack.js';
import { activationOf } from './activations.js';
import {
  backwardThrough,
  forwardThrough,
  type GradientChange,
  parametersOf,
  type ReferenceMode,
  referenceLayers,
} from './chain.js';
import type { LayerResult, ReferenceLayer, ReferenceWeights } from './layer.js';

export interface ReferenceOptions {
  /**
   * Default inference. In `training`, batch normalization uses the batch's statistics; dropout and augmentation are left
   * out all the same, since their random numbers belong to the engine.
   */
  mode?: ReferenceMode;
  /** The activation at the model's end that the logits stand before; default softmax or sigmoid, whichever is there. */
  leftOut?: LossActivation | null;
  /** Default none. */
  changeGradient?: GradientChange;
}

/** What a network made of some samples, layer by layer. Arrays are row-major and begin with the samples. */
export interface Trace {
  readonly rows: number;
  /** One for each of the stack's layers, a flatten that was put in among them. */
  readonly layers: readonly LayerTrace[];
  /** [rows, outputs], before the activation that is left out; without one, the output. */
  readonly logits: Float64Array;
  /** [rows, outputs], as the model predicts them. */
  readonly output: Float64Array;
}

export interface LayerTrace extends Pick<LayerResult, 'output' | 'sums' | 'switches' | 'pullback'> {
  readonly link: Link;
  readonly input: Float64Array;
}

export interface TraceGradients {
  /** With respect to the input, [rows, ...inputShape]. */
  readonly dInput: Float64Array;
  /** By the parameters' names, summed over the rows; moving statistics have none. */
  readonly gradients: ReadonlyMap<BufferName, Float64Array>;
  /** One for each of the trace's layers. */
  readonly layers: readonly LayerTraceGradients[];
}

export interface LayerTraceGradients {
  readonly dOutput: Float64Array;
  readonly dInput: Float64Array;
  /** With respect to the weighted sums; null where there are none. */
  readonly dSums: Float64Array | null;
  /**
   * For each row, what this layer adds of its own: Σ dOutput · output - Σ dInput · input. These telescope. With dLogits
   * 1 at logit j and 0 elsewhere, in inference,
   *
   *     logit j = Σ dInput · input (of the network) + Σ over layers of offset
   *
   * whatever the layers are. Of a dense layer or a convolution with a linear activation or a rectifier it is Σ dSums · bias, of
   * batch normalization what its shift beta - mean · scale adds, of pools, rectifiers and flatten 0; of activations that
   * are curved, what their tangent has at 0.
   */
  readonly offsets: Float64Array;
}

/**
 * A model in double precision, layer by layer, forward and backward: to explain what a network does, and to check the
 * engine. It is written to be read and shares no arithmetic with the kernels. Weights are read when a pass begins, from
 * the arrays that were given.
 */
export class ReferenceNetwork {
  readonly #stack: Stack;
  readonly #layers: readonly ReferenceLayer[];
  /** What makes the output of the logits. */
  readonly #ending: ReferenceLayer;

  constructor(stack: Stack, weights: ReferenceWeights, options: ReferenceOptions = {}) {
    const { mode = 'inference', leftOut, changeGradient } = options;
    const { outputActivation } = stack;
    const atEnd = outputActivation === 'softmax' || outputActivation === 'sigmoid' ? outputActivation : null;
    const left = (leftOut === undefined ? atEnd : leftOut) === atEnd ? atEnd : null;
    this.#stack = stack;
    this.#layers = referenceLayers(stack.layers, '', { weights, mode, changeGradient }, left);
    this.#ending = activationOf({ type: 'activation', activation: left ?? 'linear' });
  }

  /** @param inputs [rows, ...inputShape], as the network sees them: pixels as `referenceInputs` makes them. */
  forward(inputs: Float64Array, rows = inputs.length / this.#stack.inputSize): Trace {
    return this.#trace([], inputs, rows);
  }

  /** The same trace again with the layers from number `place` of the stack on computed anew: after a change of weights. */
  again({ layers, rows }: Trace, place: number): Trace {
    return this.#trace(layers.slice(0, place), layers[place].input, rows);
  }

  #trace(before: readonly LayerTrace[], inputs: Float64Array, rows: number): Trace {
    const results = forwardThrough(this.#layers.slice(before.length), inputs, rows);
    const layers = [...before];
    let input = inputs;
    for (const result of results) {
      layers.push({ link: this.#stack.layers[layers.length], input, ...result });
      input = result.output;
    }
    return { rows, layers, logits: input, output: this.#ending(input, rows).output };
  }

  /** The gradients of Σ dLogits · logits. */
  backward({ rows, layers }: Trace, dLogits: Float64Array): TraceGradients {
    const each = backwardThrough(layers, dLogits);
    return {
      dInput: each[0].dInput,
      gradients: parametersOf(each),
      layers: each.map(({ dInput, dSums }, place) => {
        const dOutput = each[place + 1]?.dInput ?? dLogits;
        const { input, output } = layers[place];
        const [out, back] = [dotsOf(dOutput, output, rows), dotsOf(dInput, input, rows)];
        return { dOutput, dInput, dSums, offsets: out.map((value, row) => value - back[row]) };
      }),
    };
  }
}

/** Σ a · b of each row. */
function dotsOf(a: Float64Array, b: Float64Array, rows: number): Float64Array {
  const sums = new Float64Array(rows);
  const columns = a.length / rows;
  for (let i = 0; i < a.length; i++) sums[Math.floor(i / columns)] += a[i] * b[i];
  return sums;
}

/** Samples as the network sees them: pixel v is the float32 nearest to v / 255. */
export function referenceInputs(values: Uint8Array | Float32Array): Float64Array {
  return Float64Array.from(values, values instanceof Uint8Array ? (v) => Math.fround(v / 255) : undefined);
}
