// Optimizer updates (PyTorch's rules), element by element. A rule takes the gradient of a vector of weights in a
// register and changes weights and slots in memory, so that it serves by itself and behind the kernel that computes the
// gradient.
#ifndef MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_
#define MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Zero for what is subnormal: a slot that decays towards zero must not stay subnormal for ever.
inline Vec flush_subnormal(Vec x) { return zero_where(less(abs(x), set1(1.17549435e-38f)), x); }

// No update: the gradient goes to memory.
struct StoreRule {
  float* gradient;
  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const { store_lanes(gradient + i, g, lanes); }
};

// v = momentum * v + g;  w = w - learning_rate * (nesterov ? g + momentum * v : v)
struct SgdRule {
  explicit SgdRule(const SgdArgs& args)
      : parameter(args.parameter),
        velocity(args.velocity),
        rate(set1(args.learning_rate)),
        momentum(set1(args.momentum)),
        weight_decay(set1(args.weight_decay)),
        decays(args.weight_decay != 0.0f),
        nesterov(args.nesterov) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec w = load_lanes(parameter + i, lanes);
    if (decays) g = add(g, mul(weight_decay, w));
    if (velocity) {
      const Vec v = flush_subnormal(add(mul(momentum, load_lanes(velocity + i, lanes)), g));
      store_lanes(velocity + i, v, lanes);
      g = nesterov ? add(g, mul(momentum, v)) : v;
    }
    store_lanes(parameter + i, sub(w, mul(rate, g)), lanes);
  }

  float* parameter;
  float* velocity;
  Vec rate, momentum, weight_decay;
  bool decays, nesterov;
};

// m = β1 m + (1 - β1) g;  v = β2 v + (1 - β2) g²;  w = w * decay - step_size * m / (sqrt(v) * correction + ε)
struct AdamRule {
  explicit AdamRule(const AdamArgs& args)
      : parameter(args.parameter),
        first_moment(args.first_moment),
        second_moment(args.second_moment),
        beta1(set1(args.beta1)),
        one_minus_beta1(set1(args.one_minus_beta1)),
        beta2(set1(args.beta2)),
        one_minus_beta2(set1(args.one_minus_beta2)),
        epsilon(set1(args.epsilon)),
        step_size(set1(args.step_size)),
        correction(set1(args.correction)),
        decay(set1(args.decay)) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec m = flush_subnormal(add(mul(beta1, load_lanes(first_moment + i, lanes)), mul(one_minus_beta1, g)));
    const Vec v =
        flush_subnormal(add(mul(beta2, load_lanes(second_moment + i, lanes)), mul(one_minus_beta2, mul(g, g))));
    store_lanes(first_moment + i, m, lanes);
    store_lanes(second_moment + i, v, lanes);
    const Vec w = mul(load_lanes(parameter + i, lanes), decay);  // decay 1 changes no bit
    const Vec update = div(mul(step_size, m), add(mul(sqrt(v), correction), epsilon));
    store_lanes(parameter + i, sub(w, update), lanes);
  }

  float* parameter;
  float* first_moment;
  float* second_moment;
  Vec beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon, step_size, correction, decay;
};

// Feeds `count` elements of a gradient, those of the parameter from `at` on, to a rule. By value: no store can change
// the copy, so its constants stay in registers.
template <class Rule>
inline void apply_to_row(const Rule rule, size_t at, const float* gradient, size_t count) {
  size_t j = 0;
  for (; j + kLanes <= count; j += kLanes) rule.apply(at + j, load(gradient + j), kLanes);
  if (j < count) rule.apply(at + j, load_partial(gradient + j, count - j), count - j);
}

// Feeds a whole gradient to a rule; matrices are divided among threads as their gradients are.
template <class Rule>
inline void apply_rule(const Rule& rule, const float* gradient, const MatrixLayout& layout, Slice slice) {
  const Range range = share_elements(layout, slice);
  apply_to_row(rule, range.begin, gradient + range.begin, range.size());
}

void sgd(const SgdArgs& args, Slice slice) { apply_rule(SgdRule(args), args.gradient, args.layout, slice); }

void adam(const AdamArgs& args, Slice slice) { apply_rule(AdamRule(args), args.gradient, args.layout, slice); }

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_
