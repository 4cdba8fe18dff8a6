import type { Samples } from '../../backends/backend.js';
import type { Link } from '../../layers/chain.js';
import type { Loss } from '../../losses/loss.js';
import type { Pieces } from '../../pieces.js';
import type { BufferName } from '../../program/ops.js';
import { sizeOf } from '../../program/program.js';
import { RandomPurpose, RandomStream } from '../../random.js';
import type { WeightsByName } from '../activations.js';
import type { GradientChange } from '../reference/chain.js';
import { referenceLoss } from '../reference/loss.js';
import { ReferenceNetwork, referenceInputs, type Trace } from '../reference/network.js';
import type { Parameter, Stack } from '../stack.js';
import { type Difference, differenceOf } from './central-difference.js';

/** One weight whose gradient was checked. */
export interface CheckedWeight {
  /** Its place in the parameter, row-major. */
  index: number;
  /** What the engine computed. */
  engine: number;
  /** The difference quotient of the loss in double precision. */
  numerical: number;
  /** |engine - numerical|, relative to the greatest gradient in the parameter, or to a bound that is greater; so is `bound`. */
  error: number;
  bound: number;
}

export interface ParameterCheck {
  name: string;
  layer: number;
  /** The weights that were checked, in the order of their places. */
  weights: CheckedWeight[];
  /** Weights that were drawn and left out: so near to a kink of the loss that no step was small enough. */
  skipped: number;
  /** The one whose error is the greatest part of its bound; null without any. */
  worst: CheckedWeight | null;
  ok: boolean;
}

export interface CheckSetup {
  stack: Stack;
  weights: WeightsByName;
  loss: Loss;
  samples: Samples;
  /** Those under test, of the mean loss with penalties. */
  gradients: ReadonlyMap<BufferName, Float32Array>;
  /** Weights to draw of each parameter. */
  count: number;
  seed: number;
  onChecked?: () => void;
}

/** The error of one float32 rounding. */
const ROUNDING = 2 ** -24;
/** Random changes of the weights from which the effect of rounding is estimated, and how far it may go beyond them. */
const DRAWS = 8;
const SAFETY = 8;
/** The relative error of a sum of so many terms, and of a few operations around it. */
const errorOf = (terms: number) => (Math.sqrt(terms) + 4) * ROUNDING;

/**
 * Compares gradients with central differences of the loss that the reference computes in double precision. Pauses after
 * every few passes.
 *
 * How far float32 may be off follows from its backward error: a sum of n products is the exact sum of products with weights
 * that are changed by about √n roundings each (Higham and Mary, "A new approach to probabilistic rounding error analysis",
 * 2019; at most by n), and a probability is off by a few. So the reference's own gradients are
 * computed again some times with weights, and gradients between layers, changed at random by as much. Eight times the greatest
 * change that this makes, and what the difference itself may be off by, is the bound.
 */
export function* checkGradients(setup: CheckSetup): Pieces<ParameterCheck[]> {
  const reference = new CheckedReference(setup);
  const exact = reference.gradients();
  const changes = yield* reference.changes(exact);
  const checks: ParameterCheck[] = [];
  for (const parameter of setup.stack.parameters) {
    if (!parameter.spec.trainable) continue;
    checks.push(yield* checkParameter(setup, reference, parameter, exact, changes));
  }
  return checks;
}

type Gradients = ReadonlyMap<BufferName, Float64Array>;

function* checkParameter(
  setup: CheckSetup,
  reference: CheckedReference,
  { name, layer }: Parameter,
  exact: Gradients,
  changes: Gradients,
): Pieces<ParameterCheck> {
  const engine = setup.gradients.get(name)!;
  const own = exact.get(name)!;
  const scale = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const weights: CheckedWeight[] = [];
  let skipped = 0;
  for (const index of drawn(setup, name, own, engine)) {
    const difference = yield* reference.difference(name, layer, index);
    setup.onChecked?.();
    if (!difference) {
      skipped++;
      continue;
    }
    const error = Math.abs(engine[index] - difference.value);
    const bound = SAFETY * changes.get(name)![index] + difference.error;
    weights.push({ index, engine: engine[index], numerical: difference.value, error, bound });
  }
  const unit = weights.reduce((most, { bound }) => Math.max(most, bound), scale) || 1;
  for (const weight of weights) {
    weight.error /= unit;
    weight.bound /= unit;
  }
  const worst = weights.reduce<CheckedWeight | null>((a, b) => (a && excess(a) >= excess(b) ? a : b), null);
  return { name, layer, weights, skipped, worst, ok: weights.every(({ error, bound }) => error <= bound) };
}

/** How much of its bound an error takes. A gradient that is not a number is beyond any. */
const excess = ({ error, bound }: CheckedWeight) => (Number.isNaN(error) ? Infinity : error === 0 ? 0 : error / bound);

/**
 * Places of weights, the same for the same seed: among those with a gradient as far as there are enough, since most pixels
 * at the border of an image have none.
 */
function drawn(
  { count, seed, stack }: CheckSetup,
  name: string,
  exact: Float64Array,
  engine: Float32Array,
): Uint32Array {
  const stream = new RandomStream(
    seed,
    RandomPurpose.gradientCheck,
    stack.parameters.findIndex((parameter) => parameter.name === name),
  );
  const places = Uint32Array.from(exact, (_, index) => index);
  const alive = places.filter((index) => exact[index] !== 0 || engine[index] !== 0);
  const pool = alive.length >= count ? alive : places;
  for (let place = 0; place < Math.min(count, pool.length); place++) {
    const other = place + stream.below(pool.length - place);
    [pool[place], pool[other]] = [pool[other], pool[place]];
  }
  return pool.slice(0, count).sort();
}

/** The loss of the samples in double precision, as a function of the weights. */
class CheckedReference {
  readonly #setup: CheckSetup;
  readonly #weights: Map<BufferName, Float64Array>;
  readonly #network: ReferenceNetwork;
  readonly #trace: Trace;
  readonly #switches: readonly Int32Array[];

  constructor(setup: CheckSetup) {
    this.#setup = setup;
    this.#weights = new Map([...setup.weights].map(([name, values]) => [name, Float64Array.from(values)]));
    this.#network = this.#networkOf(this.#weights);
    this.#trace = this.#network.forward(referenceInputs(setup.samples.inputs));
    this.#switches = this.#measure(this.#trace).switches;
  }

  /** The sums over samples, and positions of images, that make a gradient of a layer. */
  terms(link: Link): number {
    const positions = Math.max(...[link.inputShape, link.built.outputShape].map((shape) => sizeOf(shape.slice(0, -1))));
    return this.#trace.rows * positions;
  }

  #link(layer: number): Link {
    return this.#setup.stack.layers.find(({ index }) => index === layer)!;
  }

  /** Without rounding to speak of. */
  gradients(): Gradients {
    const { dLogits } = this.#measure(this.#trace);
    return this.#withPenalties(this.#network.backward(this.#trace, dLogits).gradients);
  }

  /** How far each gradient moves, at most, under changes of the size of float32's errors. */
  *changes(exact: Gradients): Pieces<Gradients> {
    const { seed, stack } = this.#setup;
    const most = new Map([...exact].map(([name, values]) => [name, new Float64Array(values.length)]));
    for (let draw = 0; draw < DRAWS; draw++) {
      yield;
      const stream = new RandomStream(seed, RandomPurpose.gradientCheck, stack.parameters.length + draw);
      const moved = this.#movedGradients(() => 2 * stream.uniform() - 1);
      for (const [name, values] of moved) {
        const [own, to] = [exact.get(name)!, most.get(name)!];
        values.forEach((value, i) => {
          to[i] = Math.max(to[i], Math.abs(value - own[i]));
        });
      }
    }
    return most;
  }

  #movedGradients(random: () => number): Gradients {
    const { stack } = this.#setup;
    const weights = new Map(this.#weights);
    for (const { name, layer, spec } of stack.parameters) {
      // What is added or multiplied channel by channel stands for the sums over a batch that are normalized with it.
      const terms = spec.fanIn + (spec.shape.length === 1 ? this.terms(this.#link(layer)) : 0);
      const own = weights.get(name)!;
      weights.set(
        name,
        own.map((value) => value * (1 + errorOf(terms) * random())),
      );
    }
    // Sums over samples and positions may cancel where a normalization follows: then what counts is the size of their terms.
    const terms = Math.max(...this.#trace.layers.map(({ link }) => this.terms(link)));
    const network = this.#networkOf(weights, (gradient) =>
      gradient.map((value) => value * (1 + errorOf(terms) * random())),
    );
    const trace = network.forward(this.#trace.layers[0].input);
    const { dLogits } = this.#measure(trace);
    const size = dLogits.reduce((greatest, value) => Math.max(greatest, Math.abs(value)), 1 / this.#trace.rows);
    const rounded = dLogits.map((value) => value + errorOf(trace.logits.length / trace.rows) * size * random());
    return this.#withPenalties(network.backward(trace, rounded).gradients);
  }

  /** The derivative by one weight; null where no step is small enough for a loss without a kink. */
  *difference(name: BufferName, layer: number, index: number): Pieces<Difference | null> {
    const values = this.#weights.get(name)!;
    const place = this.#trace.layers.findIndex(({ link }) => link.index === layer);
    const { l1 = 0, l2 = 0 } = this.#setup.stack.parameters.find((each) => each.name === name)!.spec.regularizer ?? {};
    const before = values[index];
    const at = (weight: number) => {
      values[index] = weight;
      const { mean, switches } = this.#measure(this.#network.again(this.#trace, place));
      values[index] = before;
      if (!same(switches, this.#switches) || (l1 > 0 && Math.sign(weight) !== Math.sign(before))) return null;
      return mean + l1 * Math.abs(weight) + l2 * weight * weight;
    };
    return yield* differenceOf(at, before);
  }

  #networkOf(weights: ReadonlyMap<BufferName, Float64Array>, changeGradient?: GradientChange): ReferenceNetwork {
    const { stack, loss } = this.#setup;
    return new ReferenceNetwork(stack, weights, { mode: 'training', leftOut: loss.activation, changeGradient });
  }

  #measure({ logits, rows, layers }: Trace) {
    const { loss, samples } = this.#setup;
    const measured = referenceLoss(loss, logits, samples.targets, rows);
    return { ...measured, switches: [...layers.flatMap((layer) => layer.switches()), ...measured.switches] };
  }

  #withPenalties(gradients: Gradients): Gradients {
    for (const { name, spec } of this.#setup.stack.parameters) {
      const { l1 = 0, l2 = 0 } = spec.regularizer ?? {};
      if (l1 === 0 && l2 === 0) continue;
      const [gradient, weights] = [gradients.get(name)!, this.#weights.get(name)!];
      weights.forEach((weight, i) => {
        gradient[i] += 2 * l2 * weight + l1 * Math.sign(weight);
      });
    }
    return gradients;
  }
}

function same(a: readonly Int32Array[], b: readonly Int32Array[]): boolean {
  return a.every((values, list) => values.every((value, i) => value === b[list][i]));
}
