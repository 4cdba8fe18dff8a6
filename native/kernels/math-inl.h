// Elementary functions, each operation rounded by itself, in the order that docs/numerics.md states (coefficients:
// Moshier's Cephes library; gelu: Abramowitz and Stegun 7.1.26).
#ifndef MNIST_TRAIN_KERNELS_MATH_INL_H_
#define MNIST_TRAIN_KERNELS_MATH_INL_H_

#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// p * x + c with two roundings: what TypeScript can do exactly.
inline Vec step(Vec p, Vec x, float c) { return add(mul(p, x), set1(c)); }

// exp(x) for x <= 0; 0 below -87.34, where the result would be subnormal.
inline Vec exp_nonpositive(Vec x) {
  const Vec magic = set1(12582912.0f);  // 1.5 * 2^23: adding and subtracting it rounds to a whole number
  const Mask tiny = less(x, set1(-87.3365448f));
  const Vec n = sub(add(mul(x, set1(1.44269504f)), magic), magic);
  const Vec r = sub(sub(x, mul(n, set1(0.693359375f))), mul(n, set1(-2.12194440e-4f)));
  Vec p = set1(1.9875691500e-4f);
  p = step(p, r, 1.3981999507e-3f);
  p = step(p, r, 8.3334519073e-3f);
  p = step(p, r, 4.1665795894e-2f);
  p = step(p, r, 1.6666665459e-1f);
  p = step(p, r, 5.0000001201e-1f);
  const Vec y = add(add(mul(mul(p, r), r), r), set1(1.0f));
  return select(tiny, zero(), times_power_of_two(y, n));
}

// The sine and the cosine of one number of at most pi / 4 either way.
inline float sine_scalar(float x) {
  const float z = x * x;
  float p = -1.9515295891e-4f;
  p = p * z + 8.3321608736e-3f;
  p = p * z - 1.6666654611e-1f;
  return (p * z) * x + x;
}
inline float cosine_scalar(float x) {
  const float z = x * x;
  float p = 2.443315711809948e-5f;
  p = p * z - 1.388731625493765e-3f;
  p = p * z + 4.166664568298827e-2f;
  return ((p * z) * z - 0.5f * z) + 1.0f;
}

// The natural logarithm of one normal positive number.
inline float log_scalar(float x) {
  union {
    float value;
    uint32_t bits;
  } word = {x};
  if (!(x > 0.0f && x < 3.4028235e38f)) return x - x + x;  // NaN and infinity go through
  float e = static_cast<float>(static_cast<int32_t>(word.bits >> 23) - 126);
  word.bits = (word.bits & 0x007fffffu) | 0x3f000000u;  // m in [1/2, 1)
  float m = word.value;
  if (m < 0.707106781f) {
    m = m + m;
    e = e - 1.0f;
  }
  const float f = m - 1.0f;
  const float z = f * f;
  float p = 7.0376836292e-2f;
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  float y = (f * z) * p;
  y = y + e * -2.12194440e-4f;
  y = y - 0.5f * z;
  return (f + y) + e * 0.693359375f;
}

inline Vec sigmoid(Vec x) {
  const Vec e = exp_nonpositive(sub(zero(), abs(x)));
  const Vec r = div(set1(1.0f), add(set1(1.0f), e));
  return select(less(x, zero()), mul(e, r), r);
}

inline Vec tanh(Vec x) {
  const Vec magnitude = abs(x);
  const Vec s = mul(x, x);
  Vec p = set1(-5.70498872745e-3f);
  p = step(p, s, 2.06390887954e-2f);
  p = step(p, s, -5.37397155531e-2f);
  p = step(p, s, 1.33314422036e-1f);
  p = step(p, s, -3.33332819422e-1f);
  const Vec near_zero = add(mul(mul(p, s), x), x);
  const Vec e = exp_nonpositive(mul(set1(-2.0f), magnitude));
  const Vec t = div(sub(set1(1.0f), e), add(set1(1.0f), e));
  const Vec far = select(less(x, zero()), sub(zero(), t), t);
  return select(less(magnitude, set1(0.625f)), near_zero, far);
}

// The normal distribution function Φ(x), and exp(-x²/2) beside it.
struct Normal {
  Vec distribution, bell;
};

inline Normal normal(Vec x) {
  const Vec z = mul(abs(x), set1(0.707106781f));
  const Vec t = div(set1(1.0f), add(set1(1.0f), mul(set1(0.3275911f), z)));
  Vec q = set1(1.061405429f);
  q = step(q, t, -1.453152027f);
  q = step(q, t, 1.421413741f);
  q = step(q, t, -0.284496736f);
  q = step(q, t, 0.254829592f);
  const Vec g = exp_nonpositive(sub(zero(), mul(z, z)));
  const Vec u = mul(mul(set1(0.5f), mul(q, t)), g);
  return {select(less(x, zero()), u, sub(set1(1.0f), u)), g};
}

inline Vec activate(Vec x, Activation activation, float negative_slope) {
  switch (activation) {
    case Activation::kRelu:
      return select(less_equal(x, zero()), zero(), x);
    case Activation::kLeakyRelu:
      return select(less(zero(), x), x, mul(set1(negative_slope), x));
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kTanh:
      return tanh(x);
    case Activation::kGelu:
      return mul(x, normal(x).distribution);
    default:
      return x;
  }
}

// Calls work.run<true>(kRelu) for a rectifier and work.run<false>(activation) for the others: a loop that knows its
// activation is four times as fast as one that asks for every vector, and rectifiers are what most networks have.
template <class Work>
inline void with_activation(Activation activation, const Work& work) {
  if (activation == Activation::kRelu) {
    work.template run<true>(Activation::kRelu);
  } else {
    work.template run<false>(activation);
  }
}

// dy * activation'. `reference` is the activation's output; for gelu its input.
inline Vec activate_backward(Vec reference, Vec dy, Activation activation, float negative_slope) {
  const Vec one = set1(1.0f);
  switch (activation) {
    case Activation::kRelu:
      return select(less(zero(), reference), dy, zero());
    case Activation::kLeakyRelu:
      return select(less(zero(), reference), dy, mul(set1(negative_slope), dy));
    case Activation::kSigmoid:
      return mul(dy, mul(reference, sub(one, reference)));
    case Activation::kTanh:
      return mul(dy, sub(one, mul(reference, reference)));
    case Activation::kGelu: {
      const Normal n = normal(reference);
      return mul(dy, add(n.distribution, mul(reference, mul(set1(0.398942280f), n.bell))));
    }
    default:
      return dy;
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_MATH_INL_H_
