// How outputs are divided among the parts of a slice: by whole rows where a kernel writes weights, slots or activations
// that the next kernels read, else by columns. Columns are divided at multiples of 16 floats, whatever the vector
// width.
#ifndef MNIST_TRAIN_KERNELS_PARTITION_INL_H_
#define MNIST_TRAIN_KERNELS_PARTITION_INL_H_

#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

constexpr size_t kGrain = 16;

struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

// A whole vector or the first lanes of one; the test is the same for all vectors but the last of a row.
inline Vec load_lanes(const float* p, size_t lanes) { return lanes == kLanes ? load(p) : load_partial(p, lanes); }
inline void store_lanes(float* p, Vec x, size_t lanes) {
  if (lanes == kLanes) {
    store(p, x);
  } else {
    store_partial(p, x, lanes);
  }
}

inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

// The part's share of `count` things that come in grains.
inline Range share(size_t count, size_t grain, Slice slice) {
  const size_t grains = (count + grain - 1) / grain;
  const size_t begin = grains * slice.part / slice.parts * grain;
  const size_t end = grains * (slice.part + 1) / slice.parts * grain;
  return {smaller(begin, count), smaller(end, count)};
}

struct Block {
  Range rows, columns;
};

// By columns where there are enough of them, else by rows: each thread then packs its own part of a transposed factor.
inline Block share_matrix(size_t rows, size_t columns, Slice slice) {
  if (columns >= kGrain * slice.parts) return {{0, rows}, share(columns, kGrain, slice)};
  return {share(rows, 1, slice), {0, columns}};
}

// The other way round, for what a thread writes: rows are contiguous. Where threads take columns instead, the
// prefetcher of one core keeps fetching lines that the other is about to write: the gradient and update of 784x128
// weights by two threads took 130 µs so, and 84 by rows. A matrix with few rows is divided by columns.
inline Block share_rows(size_t rows, size_t columns, Slice slice) {
  if (rows >= kGrain * slice.parts) return {share(rows, kGrain, slice), {0, columns}};
  return {{0, rows}, share(columns, kGrain, slice)};
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_PARTITION_INL_H_
