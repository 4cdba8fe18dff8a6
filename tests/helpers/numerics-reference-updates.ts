import type { Op, OpOf } from '../../src/program/ops.js';
import { add, div, fl, flush, mul, sub } from './numerics-functions.js';
import type { OpValues } from './numerics-reference-images.js';

/** What is done to gradients, the optimizers' rules and averages: docs/numerics.md, like numerics-reference.ts. */

export const UPDATE_OPS = [
  'clipByValue',
  'columnSquares',
  'addSquares',
  'clipByGlobalNorm',
  'average',
  'sgd',
  'adam',
  'rmsprop',
  'adagrad',
  'lion',
] as const;
export type UpdateOpName = (typeof UPDATE_OPS)[number];

export const isUpdateOp = (op: Op): op is OpOf<UpdateOpName> => (UPDATE_OPS as readonly string[]).includes(op.op);

const root = (x: number) => fl(Math.sqrt(x));
/** decay · slot + (1 - decay) · x, flushed. */
const mean = (decay: number, slot: number, x: number) => flush(add(mul(fl(decay), slot), mul(fl(1 - decay), x)));

/** The gradient that a rule takes. */
function penalized(op: { parameter: string; gradient: string; weightDecay: number }, { get }: OpValues): Float32Array {
  const w = get(op.parameter);
  const { weightDecay } = op;
  return get(op.gradient).map((value, i) => (weightDecay !== 0 ? add(value, mul(fl(weightDecay), w[i])) : value));
}

const REFERENCES: { [K in UpdateOpName]: (op: OpOf<K>, values: OpValues) => void } = {
  clipByValue(op, { get, set }) {
    const limit = fl(op.limit);
    set(
      op.gradient,
      get(op.gradient).map((g) => (g > limit ? limit : g < -limit ? -limit : g)),
    );
  },
  columnSquares(op, { shapeOf, get, set }) {
    const g = get(op.gradient);
    const columns = shapeOf(op.gradient).at(-1)!;
    const sums = Float32Array.from({ length: columns }, (_, column) => {
      const own = g.filter((_, at) => at % columns === column);
      return own.reduce((s, value) => add(s, mul(value, value)), 0);
    });
    set(op.output, sums);
  },
  addSquares(op, { get, set }) {
    const start = op.first ? 0 : get(op.total)[0];
    set(op.total, Float32Array.of(get(op.squares).reduce(add, start)));
  },
  clipByGlobalNorm(op, { get, set }) {
    const factor = div(fl(op.maxNorm), add(root(get(op.total)[0]), fl(1e-6)));
    set(
      op.gradient,
      get(op.gradient).map((g) => (factor >= 1 ? g : mul(g, factor))),
    );
  },
  average(op, { scalars, get, set }) {
    const w = get(op.parameter);
    const rate = scalars[op.rate];
    const made = get(op.average).map((a, i) =>
      rate < 0.5 ? add(a, mul(rate, sub(w[i], a))) : sub(w[i], mul(sub(1, rate), sub(w[i], a))),
    );
    set(op.average, made);
  },
  sgd(op, values) {
    const { scalars, get, set } = values;
    const momentum = fl(op.momentum);
    const g = penalized(op, values);
    const v = op.velocity ? get(op.velocity).map((value, i) => flush(add(mul(momentum, value), g[i]))) : g;
    const d = op.nesterov ? v.map((value, i) => add(g[i], mul(momentum, value))) : v;
    set(op.velocity, v);
    set(
      op.parameter,
      get(op.parameter).map((w, i) => sub(w, mul(scalars[op.learningRate], d[i]))),
    );
  },
  adam(op, values) {
    const { scalars, get, set } = values;
    const g = penalized(op, values);
    const m = get(op.firstMoment).map((value, i) => mean(op.beta1, value, g[i]));
    const v = get(op.secondMoment).map((value, i) => mean(op.beta2, value, mul(g[i], g[i])));
    const made = get(op.parameter).map((w, i) => {
      const decayed = scalars[op.decay] !== 1 ? mul(w, scalars[op.decay]) : w;
      const divisor = add(mul(root(v[i]), scalars[op.correction]), fl(op.epsilon));
      return sub(decayed, div(mul(scalars[op.stepSize], m[i]), divisor));
    });
    set(op.firstMoment, m);
    set(op.secondMoment, v);
    set(op.parameter, made);
  },
  rmsprop(op, values) {
    const { scalars, get, set } = values;
    const rate = scalars[op.learningRate];
    const g = penalized(op, values);
    const v = get(op.meanSquare).map((value, i) => mean(op.alpha, value, mul(g[i], g[i])));
    const a = op.meanGradient && get(op.meanGradient).map((value, i) => mean(op.alpha, value, g[i]));
    const d = v.map((value, i) => {
      const x = a ? sub(value, mul(a[i], a[i])) : value;
      return add(root(x < 0 ? 0 : x), fl(op.epsilon));
    });
    const b =
      op.velocity && get(op.velocity).map((value, i) => flush(add(mul(fl(op.momentum), value), div(g[i], d[i]))));
    set(op.meanSquare, v);
    if (a) set(op.meanGradient, a);
    if (b) set(op.velocity, b);
    set(
      op.parameter,
      get(op.parameter).map((w, i) => sub(w, b ? mul(rate, b[i]) : div(mul(rate, g[i]), d[i]))),
    );
  },
  adagrad(op, values) {
    const { scalars, get, set } = values;
    const g = penalized(op, values);
    const s = get(op.sumOfSquares).map((value, i) => flush(add(value, mul(g[i], g[i]))));
    set(op.sumOfSquares, s);
    set(
      op.parameter,
      get(op.parameter).map((w, i) => sub(w, div(mul(scalars[op.rate], g[i]), add(root(s[i]), fl(op.epsilon))))),
    );
  },
  lion(op, { scalars, get, set }) {
    const g = get(op.gradient);
    const m = get(op.momentum);
    const made = get(op.parameter).map((w, i) => {
      const c = add(mul(fl(op.beta1), m[i]), mul(fl(1 - op.beta1), g[i]));
      return sub(mul(w, scalars[op.decay]), mul(scalars[op.learningRate], Math.sign(c)));
    });
    set(op.parameter, made);
    set(
      op.momentum,
      m.map((value, i) => mean(op.beta2, value, g[i])),
    );
  },
};

export function referenceUpdate(op: OpOf<UpdateOpName>, values: OpValues): void {
  const reference = REFERENCES[op.op] as (op: OpOf<UpdateOpName>, values: OpValues) => void;
  reference(op, values);
}
