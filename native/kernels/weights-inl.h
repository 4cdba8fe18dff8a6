// What else happens to weights in training: gradients of penalties, columns held within a norm, and averages.
#ifndef MNIST_TRAIN_KERNELS_WEIGHTS_INL_H_
#define MNIST_TRAIN_KERNELS_WEIGHTS_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Divided among threads as updates are.
void regularize(const RegularizeArgs& args, Slice slice) {
  const Range range = share_elements(args.layout, slice);
  const Vec two_l2 = set1(args.two_l2), l1 = set1(args.l1), minus_l1 = set1(-args.l1);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec w = load_lanes(args.parameter + i, lanes);
    Vec g = load_lanes(args.gradient + i, lanes);
    if (args.two_l2 != 0.0f) g = add(g, mul(two_l2, w));
    if (args.l1 != 0.0f) {
      const Vec negative = select(less(w, zero()), minus_l1, zero());
      g = add(g, select(less(zero(), w), l1, negative));
    }
    store_lanes(args.gradient + i, g, lanes);
  }
}

// Columns side by side in memory, `stride` apart from row to row.
struct MaxNorm {
  float* weights;
  size_t rows, stride;
  float max_value;

  template <int kVecs>
  void run(size_t column, size_t width) const {
    float* const first = weights + column;
    VecRow<kVecs> factor;
    for (Vec& sum : factor.vecs) sum = zero();
    for (size_t row = 0; row < rows; row++) {
      const VecRow<kVecs> w = load_row<kVecs>(first + row * stride, width);
      for (int v = 0; v < kVecs; v++) factor.vecs[v] = add(factor.vecs[v], mul(w.vecs[v], w.vecs[v]));
    }
    bool any = false;
    const Vec most = set1(max_value);
    for (Vec& sum : factor.vecs) {
      const Vec norm = sqrt(sum);
      const Mask above = less(most, norm);
      any = any || count(above) > 0;
      sum = select(above, div(most, add(norm, set1(1e-7f))), set1(1.0f));  // times 1 changes no bit
    }
    if (any) scale(first, factor, width);
  }

  template <int kVecs>
  void scale(float* first, const VecRow<kVecs>& factor, size_t width) const {
    for (size_t row = 0; row < rows; row++) {
      VecRow<kVecs> w = load_row<kVecs>(first + row * stride, width);
      for (int v = 0; v < kVecs; v++) w.vecs[v] = mul(w.vecs[v], factor.vecs[v]);
      store_row<kVecs>(first + row * stride, w, width);
    }
  }
};

// By columns, however few.
void max_norm(const MaxNormArgs& args, Slice slice) {
  const Range columns = share(args.layout.columns, kGrain, slice);
  for_columns(args.layout, columns, args.layout.columns, [&](const Columns& c) {
    for_vec_rows(c.width, MaxNorm{args.parameter + c.offset, args.layout.rows, c.stride, args.max_value});
  });
}

// Divided among threads as updates are. From the average, or from the weight where the rate leads nearer to that: a
// rate of 1 gives the weight itself.
void average(const AverageArgs& args, Slice slice) {
  const Range range = share_elements(args.layout, slice);
  const bool from_average = args.rate < 0.5f;
  const Vec factor = set1(from_average ? args.rate : 1.0f - args.rate);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec w = load_lanes(args.parameter + i, lanes), a = load_lanes(args.average + i, lanes);
    const Vec way = mul(factor, sub(w, a));
    store_lanes(args.average + i, from_average ? add(a, way) : sub(w, way), lanes);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_WEIGHTS_INL_H_
