// Optimizer updates (PyTorch's rules), element by element; matrices are divided among threads as their gradients are.
#ifndef MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_
#define MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_

#include "kernels.h"
#include "partition-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Zero for what is subnormal: a slot that decays towards zero must not stay subnormal for ever.
inline Vec flush_subnormal(Vec x) { return select(less(abs(x), set1(1.17549435e-38f)), zero(), x); }

// Calls update(offset, lanes) for every vector of the block.
template <class Update>
inline void for_each_vector(Block block, size_t columns, Update update) {
  for (size_t row = block.rows.begin; row < block.rows.end; row++) {
    for (size_t j = block.columns.begin; j < block.columns.end; j += kLanes) {
      update(row * columns + j, smaller(kLanes, block.columns.end - j));
    }
  }
}

// v = momentum * v + g;  w = w - learning_rate * (nesterov ? g + momentum * v : v)
void sgd(const SgdArgs& args, Slice slice) {
  const Vec rate = set1(args.learning_rate);
  const Vec momentum = set1(args.momentum);
  const Vec decay = set1(args.weight_decay);
  for_each_vector(share_matrix(args.rows, args.columns, slice), args.columns, [&](size_t i, size_t lanes) {
    const Vec w = load_partial(args.parameter + i, lanes);
    Vec g = load_partial(args.gradient + i, lanes);
    if (args.weight_decay != 0.0f) g = add(g, mul(decay, w));
    if (args.velocity) {
      const Vec v = flush_subnormal(add(mul(momentum, load_partial(args.velocity + i, lanes)), g));
      store_partial(args.velocity + i, v, lanes);
      g = args.nesterov ? add(g, mul(momentum, v)) : v;
    }
    store_partial(args.parameter + i, sub(w, mul(rate, g)), lanes);
  });
}

// m = β1 m + (1 - β1) g;  v = β2 v + (1 - β2) g²;  w = w * decay - step_size * m / (sqrt(v) * correction + ε)
void adam(const AdamArgs& args, Slice slice) {
  const Vec beta1 = set1(args.beta1), one_minus_beta1 = set1(args.one_minus_beta1);
  const Vec beta2 = set1(args.beta2), one_minus_beta2 = set1(args.one_minus_beta2);
  const Vec epsilon = set1(args.epsilon), step_size = set1(args.step_size);
  const Vec correction = set1(args.correction), decay = set1(args.decay);
  for_each_vector(share_matrix(args.rows, args.columns, slice), args.columns, [&](size_t i, size_t lanes) {
    const Vec g = load_partial(args.gradient + i, lanes);
    const Vec m = flush_subnormal(add(mul(beta1, load_partial(args.first_moment + i, lanes)), mul(one_minus_beta1, g)));
    const Vec v =
        flush_subnormal(add(mul(beta2, load_partial(args.second_moment + i, lanes)), mul(one_minus_beta2, mul(g, g))));
    store_partial(args.first_moment + i, m, lanes);
    store_partial(args.second_moment + i, v, lanes);
    const Vec w = mul(load_partial(args.parameter + i, lanes), decay);  // decay 1 changes no bit
    const Vec update = div(mul(step_size, m), add(mul(sqrt(v), correction), epsilon));
    store_partial(args.parameter + i, sub(w, update), lanes);
  });
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_OPTIMIZERS_INL_H_
