/**
 * Functions of float64 numbers from + - * / alone. Those of Math differ in their last bit between versions of V8, and the
 * same seed shall give the same weights everywhere.
 */

/** ln 2 in two parts, after fdlibm: the first has 32 bits, so that a whole number of up to 20 bits times it is exact. */
const LN2_HIGH = 6.931471803691238e-1;
const LN2_LOW = 1.9082149292705877e-10;

/** cos(π t) for t in [0, 1], as -sin(π (t - 1/2)) by Taylor's series (error below 1e-16). */
export function cosineOfPi(t: number): number {
  const x = Math.PI * (t - 0.5);
  const square = x * x;
  let series = 1;
  for (let k = 22; k >= 2; k -= 2) series = 1 - (series * square) / (k * (k + 1));
  return -x * series;
}

/**
 * base^exponent for base > 0 and exponent of at least 0. The whole part of the exponent is done by multiplication, with a
 * relative error below exponent · 2⁻⁵³; a fraction f adds (3 + 5 f |ln base|) · 2⁻⁵³ at most.
 */
export function power(base: number, exponent: number): number {
  const whole = Math.floor(exponent);
  const fraction = exponent - whole;
  const multiplied = wholePower(base, whole);
  return fraction === 0 ? multiplied : multiplied * exponential(fraction * naturalLogarithm(base));
}

/** base^exponent for a whole exponent of at least 0, by repeated squaring. */
export function wholePower(base: number, exponent: number): number {
  let result = 1;
  // Not by bits: steps may be counted beyond 2³¹.
  for (let rest = exponent, square = base; rest > 0; square *= square) {
    if (rest % 2 === 1) result *= square;
    rest = Math.floor(rest / 2);
  }
  return result;
}

/** e^x for x in [-708, 709]; relative error below 1e-15. x = k ln 2 + r with |r| at most ln 2 / 2, then Taylor's series of r. */
export function exponential(x: number): number {
  const k = Math.round(x / Math.LN2);
  const r = x - k * LN2_HIGH - k * LN2_LOW;
  let series = 1;
  for (let n = 15; n >= 1; n--) series = 1 + (series * r) / n;
  return k >= 0 ? series * wholePower(2, k) : series / wholePower(2, -k);
}

/**
 * ln x for normal x > 0; relative error below 1e-15. x = m · 2^k with m from √½ to √2, and ln m = 2 artanh s with
 * s = (m - 1) / (m + 1), at most 0.172, by its series.
 */
export function naturalLogarithm(x: number): number {
  let m = x;
  let k = 0;
  for (; m > Math.SQRT2; k++) m /= 2;
  for (; m < Math.SQRT1_2; k--) m *= 2;
  const s = (m - 1) / (m + 1);
  let series = 0;
  for (let n = 23; n >= 1; n -= 2) series = series * s * s + 1 / n;
  return k * LN2_HIGH + (k * LN2_LOW + 2 * s * series);
}
