import type { Activation } from '../../src/program/ops.js';

/** Rounded arithmetic and the elementary functions of docs/numerics.md, for the reference of ops. Shares no code with src. */

export const fl = Math.fround;
export const add = (a: number, b: number) => fl(a + b);
export const sub = (a: number, b: number) => fl(a - b);
export const mul = (a: number, b: number) => fl(a * b);
export const div = (a: number, b: number) => fl(a / b);
export const fma = (a: number, b: number, c: number) => fl(a * b + c);
export const flush = (x: number) => (Math.abs(x) < 2 ** -126 ? 0 : x);

/** c[0], then p = p * x + c[i]. */
function polynomial(x: number, coefficients: number[]): number {
  return coefficients.slice(1).reduce((p, c) => add(mul(p, x), fl(c)), fl(coefficients[0]));
}

export function referenceExp(x: number): number {
  if (x < fl(-87.3365448)) return 0;
  const n = sub(add(mul(x, fl(Math.LOG2E)), 12582912), 12582912);
  const r = sub(sub(x, mul(n, fl(0.693359375))), mul(n, fl(-2.1219444e-4)));
  const p = polynomial(
    r,
    [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.50000001201],
  );
  return fl(add(add(mul(mul(p, r), r), r), 1) * 2 ** n);
}

export function referenceSine(x: number): number {
  const z = mul(x, x);
  return add(mul(mul(polynomial(z, [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]), z), x), x);
}

export function referenceCosine(x: number): number {
  const z = mul(x, x);
  const p = polynomial(z, [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
  return add(sub(mul(mul(p, z), z), mul(0.5, z)), 1);
}

export function referenceLog(x: number): number {
  if (Number.isNaN(x)) return x;
  let e = 0;
  let m = x;
  for (; m >= 2; e++) m /= 2;
  for (; m < 1; e--) m *= 2;
  // m in [1, 2): one more step where half of it still reaches the boundary.
  if (m / 2 >= fl(Math.SQRT1_2)) {
    m /= 2;
    e++;
  }
  const f = sub(m, 1);
  const z = mul(f, f);
  const p = polynomial(
    f,
    [
      7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
      2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
    ],
  );
  let y = mul(mul(f, z), p);
  y = add(y, mul(e, fl(-2.1219444e-4)));
  y = sub(y, mul(0.5, z));
  return add(add(f, y), mul(e, fl(0.693359375)));
}

function sigmoid(x: number): number {
  const e = referenceExp(-Math.abs(x));
  const r = div(1, add(1, e));
  return x < 0 ? mul(e, r) : r;
}

function tanh(x: number): number {
  if (Math.abs(x) < 0.625) {
    const s = mul(x, x);
    const p = polynomial(
      s,
      [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1],
    );
    return add(mul(mul(p, s), x), x);
  }
  const e = referenceExp(mul(-2, Math.abs(x)));
  const t = div(sub(1, e), add(1, e));
  return x < 0 ? -t : t;
}

function normal(x: number): { distribution: number; g: number } {
  const z = mul(Math.abs(x), fl(Math.SQRT1_2));
  const t = div(1, add(1, mul(fl(0.3275911), z)));
  const q = polynomial(t, [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]);
  const g = referenceExp(-mul(z, z));
  const u = mul(mul(0.5, mul(q, t)), g);
  return { distribution: x < 0 ? u : sub(1, u), g };
}

export function activate(activation: Activation, x: number, slope: number): number {
  switch (activation) {
    case 'linear':
      return x;
    case 'relu':
      return Math.max(x, 0);
    case 'leakyRelu':
      return x > 0 ? x : mul(slope, x);
    case 'sigmoid':
      return sigmoid(x);
    case 'tanh':
      return tanh(x);
    case 'gelu':
      return mul(x, normal(x).distribution);
  }
}

export function activateBackward(activation: Activation, y: number, dy: number, slope: number): number {
  switch (activation) {
    case 'linear':
      return dy;
    case 'relu':
      return y > 0 ? dy : 0;
    case 'leakyRelu':
      return y > 0 ? dy : mul(slope, dy);
    case 'sigmoid':
      return mul(dy, mul(y, sub(1, y)));
    case 'tanh':
      return mul(dy, sub(1, mul(y, y)));
    case 'gelu': {
      const { distribution, g } = normal(y);
      return mul(dy, add(distribution, mul(y, mul(fl(0.39894228), g))));
    }
  }
}
