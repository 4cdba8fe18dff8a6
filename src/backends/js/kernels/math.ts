/**
 * exp, log, sigmoid, tanh, sine, cosine and the normal distribution function in float32, every operation rounded by
 * itself in the order of docs/numerics.md. Not Math.exp and friends: ECMAScript leaves their last bits to the implementation.
 *
 * Coefficients: Moshier's Cephes library (expf, logf, tanhf, sinf); Abramowitz and Stegun 7.1.26. All are rounded to float32.
 */

const fround = Math.fround;

const LOG2_E = fround(Math.LOG2E);
/** 1.5 · 2^23: adding it leaves no room for a fraction, so that the sum is rounded to the nearest even whole number. */
const ROUNDING = 12582912;
const LN2_HIGH = 0.693359375;
const LN2_LOW = fround(-2.1219444e-4);
/** Below it, e^x is less than 2^-126. */
const EXP_UNDERFLOW = fround(-87.3365448);
const EXP_5 = fround(1.98756915e-4);
const EXP_4 = fround(1.3981999507e-3);
const EXP_3 = fround(8.3334519073e-3);
const EXP_2 = fround(4.1665795894e-2);
const EXP_1 = fround(1.6666665459e-1);
const EXP_0 = fround(5.0000001201e-1);

/** 2^0, 2^-1, ... 2^-127. */
const NEGATIVE_POWERS = Float64Array.from({ length: 128 }, (_, n) => 2 ** -n);

/** e^x for x <= 0 (or NaN). */
export function exp(x: number): number {
  if (x < EXP_UNDERFLOW) return 0;
  const n = fround(fround(fround(x * LOG2_E) + ROUNDING) - ROUNDING);
  const r = fround(fround(x - fround(n * LN2_HIGH)) - fround(n * LN2_LOW));
  let p = fround(fround(EXP_5 * r) + EXP_4);
  p = fround(fround(p * r) + EXP_3);
  p = fround(fround(p * r) + EXP_2);
  p = fround(fround(p * r) + EXP_1);
  p = fround(fround(p * r) + EXP_0);
  // A NaN becomes index 0 here, and p is NaN already.
  return fround(fround(fround(fround(fround(p * r) * r) + r) + 1) * NEGATIVE_POWERS[-n | 0]);
}

const SQRT_HALF = fround(Math.SQRT1_2);
const LOG_8 = fround(7.0376836292e-2);
const LOG_7 = fround(-1.151461031e-1);
const LOG_6 = fround(1.167699874e-1);
const LOG_5 = fround(-1.2420140846e-1);
const LOG_4 = fround(1.4249322787e-1);
const LOG_3 = fround(-1.6668057665e-1);
const LOG_2 = fround(2.0000714765e-1);
const LOG_1 = fround(-2.4999993993e-1);
const LOG_0 = fround(3.3333331174e-1);

const floatOfBits = new Float32Array(1);
const bitsOfFloat = new Int32Array(floatOfBits.buffer);

/** The natural logarithm of a normal, finite x > 0; NaN of NaN. */
export function log(x: number): number {
  if (Number.isNaN(x)) return x;
  floatOfBits[0] = x;
  const bits = bitsOfFloat[0];
  // Mantissa in [1/2, 1), as frexp gives it; then in [sqrt(1/2), sqrt(2)).
  let e = (bits >> 23) - 126;
  bitsOfFloat[0] = (bits & 0x007fffff) | 0x3f000000;
  let m = floatOfBits[0];
  if (m < SQRT_HALF) {
    e -= 1;
    m *= 2;
  }
  const f = fround(m - 1);
  const z = fround(f * f);
  let p = fround(fround(LOG_8 * f) + LOG_7);
  p = fround(fround(p * f) + LOG_6);
  p = fround(fround(p * f) + LOG_5);
  p = fround(fround(p * f) + LOG_4);
  p = fround(fround(p * f) + LOG_3);
  p = fround(fround(p * f) + LOG_2);
  p = fround(fround(p * f) + LOG_1);
  p = fround(fround(p * f) + LOG_0);
  let y = fround(fround(f * z) * p);
  y = fround(y + fround(e * LN2_LOW));
  y = fround(y - fround(0.5 * z));
  return fround(fround(f + y) + fround(e * LN2_HIGH));
}

/** 1 / (1 + e^-x). */
export function sigmoid(x: number): number {
  const e = exp(-Math.abs(x));
  const r = fround(1 / fround(1 + e));
  return x < 0 ? fround(e * r) : r;
}

const TANH_SERIES = fround(0.625);
const TANH_4 = fround(-5.70498872745e-3);
const TANH_3 = fround(2.06390887954e-2);
const TANH_2 = fround(-5.37397155531e-2);
const TANH_1 = fround(1.33314422036e-1);
const TANH_0 = fround(-3.33332819422e-1);

/** The hyperbolic tangent: a polynomial near zero, (1 - e^-2|x|) / (1 + e^-2|x|) with x's sign elsewhere. */
export function tanh(x: number): number {
  const magnitude = Math.abs(x);
  if (magnitude < TANH_SERIES) {
    const s = fround(x * x);
    let p = fround(fround(TANH_4 * s) + TANH_3);
    p = fround(fround(p * s) + TANH_2);
    p = fround(fround(p * s) + TANH_1);
    p = fround(fround(p * s) + TANH_0);
    return fround(fround(fround(p * s) * x) + x);
  }
  const e = exp(fround(-2 * magnitude));
  const t = fround(fround(1 - e) / fround(1 + e));
  return x < 0 ? -t : t;
}

const ERF_P = fround(0.3275911);
const ERF_5 = fround(1.061405429);
const ERF_4 = fround(-1.453152027);
const ERF_3 = fround(1.421413741);
const ERF_2 = fround(-0.284496736);
const ERF_1 = fround(0.254829592);

/** g = e^(-x²/2), the bell curve without its constant. */
export function gaussian(x: number): number {
  const z = fround(Math.abs(x) * SQRT_HALF);
  return exp(-fround(z * z));
}

/** Φ(x), the normal distribution function; `g` is gaussian(x). */
export function normalDistribution(x: number, g: number): number {
  const z = fround(Math.abs(x) * SQRT_HALF);
  const t = fround(1 / fround(1 + fround(ERF_P * z)));
  let q = fround(fround(ERF_5 * t) + ERF_4);
  q = fround(fround(q * t) + ERF_3);
  q = fround(fround(q * t) + ERF_2);
  q = fround(fround(q * t) + ERF_1);
  const u = fround(fround(0.5 * fround(q * t)) * g);
  return x < 0 ? u : fround(1 - u);
}

/** x · Φ(x). */
export function gelu(x: number): number {
  return fround(x * normalDistribution(x, gaussian(x)));
}

const SIN_2 = fround(-1.9515295891e-4);
const SIN_1 = fround(8.3321608736e-3);
const SIN_0 = fround(-1.6666654611e-1);

/** The sine of at most π / 4 either way. */
export function sine(x: number): number {
  const z = fround(x * x);
  let p = fround(fround(SIN_2 * z) + SIN_1);
  p = fround(fround(p * z) + SIN_0);
  return fround(fround(fround(p * z) * x) + x);
}

const COS_2 = fround(2.443315711809948e-5);
const COS_1 = fround(-1.388731625493765e-3);
const COS_0 = fround(4.166664568298827e-2);

/** The cosine of at most π / 4 either way. */
export function cosine(x: number): number {
  const z = fround(x * x);
  let p = fround(fround(COS_2 * z) + COS_1);
  p = fround(fround(p * z) + COS_0);
  return fround(fround(fround(fround(p * z) * z) - fround(0.5 * z)) + 1);
}
