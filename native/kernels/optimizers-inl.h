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

// The gradient with that of the L2 penalty, where there is one.
struct Penalty {
  explicit Penalty(float factor) : weight_decay(set1(factor)), decays(factor != 0.0f) {}
  MNIST_TRAIN_INLINE Vec apply(Vec g, Vec w) const { return decays ? add(g, mul(weight_decay, w)) : g; }

  Vec weight_decay;
  bool decays;
};

// v = momentum * v + g;  w = w - learning_rate * (nesterov ? g + momentum * v : v)
struct SgdRule {
  explicit SgdRule(const SgdArgs& args)
      : parameter(args.parameter),
        velocity(args.velocity),
        rate(set1(args.learning_rate)),
        momentum(set1(args.momentum)),
        penalty(args.weight_decay),
        nesterov(args.nesterov) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec w = load_lanes(parameter + i, lanes);
    g = penalty.apply(g, w);
    if (velocity) {
      const Vec v = flush_subnormal(add(mul(momentum, load_lanes(velocity + i, lanes)), g));
      store_lanes(velocity + i, v, lanes);
      g = nesterov ? add(g, mul(momentum, v)) : v;
    }
    store_lanes(parameter + i, sub(w, mul(rate, g)), lanes);
  }

  float* parameter;
  float* velocity;
  Vec rate, momentum;
  Penalty penalty;
  bool nesterov;
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
        penalty(args.weight_decay),
        step_size(set1(args.step_size)),
        correction(set1(args.correction)),
        decay(set1(args.decay)) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec w = load_lanes(parameter + i, lanes);
    g = penalty.apply(g, w);
    const Vec m = flush_subnormal(add(mul(beta1, load_lanes(first_moment + i, lanes)), mul(one_minus_beta1, g)));
    const Vec v =
        flush_subnormal(add(mul(beta2, load_lanes(second_moment + i, lanes)), mul(one_minus_beta2, mul(g, g))));
    store_lanes(first_moment + i, m, lanes);
    store_lanes(second_moment + i, v, lanes);
    const Vec update = div(mul(step_size, m), add(mul(sqrt(v), correction), epsilon));
    store_lanes(parameter + i, sub(mul(w, decay), update), lanes);  // decay 1 changes no bit
  }

  float* parameter;
  float* first_moment;
  float* second_moment;
  Vec beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon;
  Penalty penalty;
  Vec step_size, correction, decay;
};

// v = α v + (1 - α) g²;  centered: a = α a + (1 - α) g, d = sqrt(v - a²) + ε, else d = sqrt(v) + ε;
// with momentum b = momentum * b + g / d, w = w - learning_rate * b, else w = w - learning_rate * g / d
struct RmspropRule {
  explicit RmspropRule(const RmspropArgs& args)
      : parameter(args.parameter),
        mean_square(args.mean_square),
        mean_gradient(args.mean_gradient),
        velocity(args.velocity),
        alpha(set1(args.alpha)),
        one_minus_alpha(set1(args.one_minus_alpha)),
        epsilon(set1(args.epsilon)),
        momentum(set1(args.momentum)),
        rate(set1(args.learning_rate)),
        penalty(args.weight_decay) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec w = load_lanes(parameter + i, lanes);
    g = penalty.apply(g, w);
    Vec v = mean(mean_square + i, mul(g, g), lanes);
    if (mean_gradient) {
      const Vec a = mean(mean_gradient + i, g, lanes);
      v = sub(v, mul(a, a));
      v = zero_where(less(v, zero()), v);
    }
    const Vec d = add(sqrt(v), epsilon);
    Vec update;
    if (velocity) {
      const Vec b = flush_subnormal(add(mul(momentum, load_lanes(velocity + i, lanes)), div(g, d)));
      store_lanes(velocity + i, b, lanes);
      update = mul(rate, b);
    } else {
      update = div(mul(rate, g), d);
    }
    store_lanes(parameter + i, sub(w, update), lanes);
  }

  // Moves a mean on by x.
  MNIST_TRAIN_INLINE Vec mean(float* slot, Vec x, size_t lanes) const {
    const Vec m = flush_subnormal(add(mul(alpha, load_lanes(slot, lanes)), mul(one_minus_alpha, x)));
    store_lanes(slot, m, lanes);
    return m;
  }

  float* parameter;
  float* mean_square;
  float* mean_gradient;
  float* velocity;
  Vec alpha, one_minus_alpha, epsilon, momentum, rate;
  Penalty penalty;
};

// s = s + g²;  w = w - rate * g / (sqrt(s) + ε)
struct AdagradRule {
  explicit AdagradRule(const AdagradArgs& args)
      : parameter(args.parameter),
        sum_of_squares(args.sum_of_squares),
        epsilon(set1(args.epsilon)),
        rate(set1(args.rate)),
        penalty(args.weight_decay) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec w = load_lanes(parameter + i, lanes);
    g = penalty.apply(g, w);
    const Vec s = flush_subnormal(add(load_lanes(sum_of_squares + i, lanes), mul(g, g)));
    store_lanes(sum_of_squares + i, s, lanes);
    store_lanes(parameter + i, sub(w, div(mul(rate, g), add(sqrt(s), epsilon))), lanes);
  }

  float* parameter;
  float* sum_of_squares;
  Vec epsilon, rate;
  Penalty penalty;
};

// c = β1 m + (1 - β1) g;  w = w * decay - learning_rate * sign(c);  m = β2 m + (1 - β2) g. NaN has the sign NaN.
struct LionRule {
  explicit LionRule(const LionArgs& args)
      : parameter(args.parameter),
        momentum(args.momentum),
        beta1(set1(args.beta1)),
        one_minus_beta1(set1(args.one_minus_beta1)),
        beta2(set1(args.beta2)),
        one_minus_beta2(set1(args.one_minus_beta2)),
        rate(set1(args.learning_rate)),
        minus_rate(set1(-args.learning_rate)),
        decay(set1(args.decay)) {}

  MNIST_TRAIN_INLINE void apply(size_t i, Vec g, size_t lanes) const {
    const Vec m = load_lanes(momentum + i, lanes);
    const Vec c = add(mul(beta1, m), mul(one_minus_beta1, g));
    store_lanes(momentum + i, flush_subnormal(add(mul(beta2, m), mul(one_minus_beta2, g))), lanes);
    const Vec update = select(less(zero(), c), rate, select(less(c, zero()), minus_rate, c));
    store_lanes(parameter + i, sub(mul(load_lanes(parameter + i, lanes), decay), update), lanes);
  }

  float* parameter;
  float* momentum;
  Vec beta1, one_minus_beta1, beta2, one_minus_beta2, rate, minus_rate, decay;
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

void rmsprop(const RmspropArgs& args, Slice slice) { apply_rule(RmspropRule(args), args.gradient, args.layout, slice); }

void adagrad(const AdagradArgs& args, Slice slice) { apply_rule(AdagradRule(args), args.gradient, args.layout, slice); }

void lion(const LionArgs& args, Slice slice) { apply_rule(LionRule(args), args.gradient, args.layout, slice); }

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_
