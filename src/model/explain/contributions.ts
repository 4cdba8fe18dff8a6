import type { LayerConfig } from '../../layers/layer.js';
import type { WeightsByName } from '../activations.js';
import { ReferenceNetwork, type Trace } from '../reference/network.js';
import { roundingBounds } from './bound.js';
import type { Contributions, LayerContribution } from './explanation.js';
import type { SplitStack } from './split.js';

/** What logits are made of; see `Contributions`. */
export class ContributionSums {
  readonly #split: SplitStack;
  readonly #network: ReferenceNetwork;
  readonly #trace: Trace;
  /** The engine's. */
  readonly #logits: Float32Array;
  readonly #bounds: readonly number[] | null;

  constructor(split: SplitStack, weights: WeightsByName, input: Float32Array, logits: Float32Array) {
    this.#split = split;
    this.#network = new ReferenceNetwork(split.stack, weights);
    this.#trace = this.#network.forward(Float64Array.from(input));
    this.#logits = logits;
    this.#bounds = roundingBounds(split.stack, weights, input);
  }

  /** Of a class's logit, or of how far it is above another's. */
  of(label: number, rival: number | null): Contributions {
    const dLogits = new Float64Array(this.#logits.length);
    dLogits[label] = 1;
    if (rival !== null) dLogits[rival] = -1;
    const { dInput, layers } = this.#network.backward(this.#trace, dLogits);
    const input = this.#trace.layers[0].input;
    const pixels = Array.from(dInput, (gradient, i) => gradient * input[i]);
    const rest = layers.flatMap(({ offsets }, place) => this.#ownOf(place, offsets[0]));
    const logit = this.#logits[label] - (rival === null ? 0 : this.#logits[rival]);
    const sum = pixels.reduce((a, b) => a + b, 0) + rest.reduce((a, { contribution }) => a + contribution, 0);
    const bounds = this.#bounds;
    return {
      method: this.#isOneLayer ? 'weights' : 'gradient',
      logit,
      pixels,
      rest,
      rounding: logit - sum,
      roundingBound: bounds && bounds[label] + (rival === null ? 0 : bounds[rival]),
    };
  }

  /** The softmax that the logits stand before. */
  get #ending(): number {
    return this.#split.stack.layers.findLastIndex(({ layer }) => layer.outputActivation !== null);
  }

  get #isOneLayer(): boolean {
    const before = this.#split.stack.layers.slice(0, this.#ending);
    const working = before.filter(({ layer }) => layer.outputActivation !== null);
    return working.length === 1 && working[0].layer.type === 'dense';
  }

  /** What a layer adds that comes from no input: nothing of layers whose offsets are 0 but for float64's rounding. */
  #ownOf(place: number, contribution: number): LayerContribution[] {
    const { link } = this.#trace.layers[place];
    const { type, config } = link.layer;
    if (link.index === null) return [];
    const { layer } = this.#split.parts[link.index];
    switch (type) {
      case 'dense':
      case 'conv2d':
        return config.useBias ? [{ layer, of: 'biases', contribution }] : [];
      case 'batchNormalization':
        return [{ layer, of: 'shift', contribution }];
      case 'activation':
      case 'softmax':
        return isCurved(config) && place !== this.#ending ? [{ layer, of: 'curvature', contribution }] : [];
      case 'residual':
        return [{ layer, of: isCurved(config) ? 'curvature' : 'biases', contribution }];
      default:
        return [];
    }
  }
}

const CURVED = new Set<unknown>(['tanh', 'sigmoid', 'gelu', 'softmax']);

/** Whether a layer, or one inside it, has an activation whose tangents do not go through 0. */
function isCurved({ type, activation, layers, shortcut }: LayerConfig): boolean {
  const inner = [...((layers ?? []) as LayerConfig[]), ...((shortcut ?? []) as LayerConfig[])];
  return CURVED.has(type) || CURVED.has(activation) || inner.some(isCurved);
}
