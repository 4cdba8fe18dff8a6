// What keeps gradients small before the optimizer takes them: element by element, or all together by their norm.
#ifndef MNIST_TRAIN_KERNELS_CLIPPING_INL_H_
#define MNIST_TRAIN_KERNELS_CLIPPING_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Divided among threads as updates are.
void clip_by_value(const ClipByValueArgs& args, Slice slice) {
  const Range range = share_elements(args.layout, slice);
  const Vec limit = set1(args.limit), minus_limit = set1(-args.limit);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec g = load_lanes(args.gradient + i, lanes);
    const Vec below = select(less(g, minus_limit), minus_limit, g);
    store_lanes(args.gradient + i, select(less(limit, g), limit, below), lanes);
  }
}

// Columns side by side in memory, `stride` apart from row to row.
struct ColumnSquares {
  const float* gradient;
  float* output;
  size_t rows, stride;

  template <int kVecs>
  void run(size_t column, size_t width) const {
    VecRow<kVecs> sum;
    for (Vec& vec : sum.vecs) vec = zero();
    for (size_t row = 0; row < rows; row++) {
      const VecRow<kVecs> g = load_row<kVecs>(gradient + column + row * stride, width);
      for (int v = 0; v < kVecs; v++) sum.vecs[v] = add(sum.vecs[v], mul(g.vecs[v], g.vecs[v]));
    }
    store_row<kVecs>(output + column, sum, width);
  }
};

// By columns, however few.
void column_squares(const ColumnSquaresArgs& args, Slice slice) {
  const Range columns = share(args.layout.columns, kGrain, slice);
  for_columns(args.layout, columns, args.layout.columns, [&](const Columns& c) {
    for_vec_rows(c.width, ColumnSquares{args.gradient + c.offset, args.output + c.column, args.layout.rows, c.stride});
  });
}

// One chain, so one thread.
void add_squares(const AddSquaresArgs& args, Slice slice) {
  if (slice.part != 0) return;
  float total = args.first ? 0.0f : *args.total;
  for (size_t i = 0; i < args.count; i++) total += args.squares[i];
  *args.total = total;
}

// Divided among threads as updates are; each of them takes the root.
void clip_by_global_norm(const ClipByGlobalNormArgs& args, Slice slice) {
  const Vec norm = sqrt(set1(*args.total));
  const Vec factor = div(set1(args.max_norm), add(norm, set1(1e-6f)));
  if (count(less_equal(set1(1.0f), factor)) > 0) return;  // all lanes are alike; NaN goes on
  const Range range = share_elements(args.layout, slice);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    store_lanes(args.gradient + i, mul(load_lanes(args.gradient + i, lanes), factor), lanes);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CLIPPING_INL_H_
