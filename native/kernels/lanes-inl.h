// Loads and stores of a whole vector or of its first lanes; the test is the same for all vectors but the last of a row.
#ifndef MNIST_TRAIN_KERNELS_LANES_INL_H_
#define MNIST_TRAIN_KERNELS_LANES_INL_H_

#include <string.h>

#include "partition.h"

#if defined(_MSC_VER)
#include <intrin.h>
#endif

// For functions whose object must not go through memory: gcc leaves some of them out of line otherwise.
#if defined(_MSC_VER)
#define MNIST_TRAIN_INLINE __forceinline
#else
#define MNIST_TRAIN_INLINE inline __attribute__((always_inline))
#endif

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

inline Vec load_lanes(const float* p, size_t lanes) { return lanes == kLanes ? load(p) : load_partial(p, lanes); }
inline void store_lanes(float* p, Vec x, size_t lanes) {
  if (lanes == kLanes) {
    store(p, x);
  } else {
    store_partial(p, x, lanes);
  }
}

// The bits of a whole number in every lane.
inline Vec set1_bits(int32_t number) {
  float bits;
  memcpy(&bits, &number, sizeof(bits));
  return set1(bits);
}

// Vectors side by side; the last may have fewer lanes than the others.
template <int kVecs>
struct VecRow {
  Vec vecs[kVecs];
};

template <int kVecs>
MNIST_TRAIN_INLINE VecRow<kVecs> load_row(const float* p, size_t width) {
  VecRow<kVecs> row;
  for (int v = 0; v < kVecs - 1; v++) row.vecs[v] = load(p + static_cast<size_t>(v) * kLanes);
  const size_t before = (kVecs - 1) * kLanes;
  row.vecs[kVecs - 1] = load_lanes(p + before, width - before);
  return row;
}

template <int kVecs>
MNIST_TRAIN_INLINE void store_row(float* p, const VecRow<kVecs>& row, size_t width) {
  for (int v = 0; v < kVecs - 1; v++) store(p + static_cast<size_t>(v) * kLanes, row.vecs[v]);
  const size_t before = (kVecs - 1) * kLanes;
  store_lanes(p + before, row.vecs[kVecs - 1], width - before);
}

// Calls body.run<kVecs>(column, width) for stretches of columns of up to four vectors: for sums down the columns, whose
// chains then hide each other's latency.
template <class Body>
inline void for_vec_rows(size_t columns, const Body& body) {
  constexpr size_t kMostVecs = 4;
  for (size_t j = 0; j < columns; j += kMostVecs * kLanes) {
    const size_t width = smaller(kMostVecs * kLanes, columns - j);
    switch ((width + kLanes - 1) / kLanes) {
      case 1:
        body.template run<1>(j, width);
        break;
      case 2:
        body.template run<2>(j, width);
        break;
      case 3:
        body.template run<3>(j, width);
        break;
      default:
        body.template run<4>(j, width);
    }
  }
}

// The number of zeros behind the lowest one of a word that is not zero.
inline size_t trailing_zeros(uint64_t word) {
#if defined(_MSC_VER)
  unsigned long place;
  _BitScanForward64(&place, word);
  return place;
#else
  return static_cast<size_t>(__builtin_ctzll(word));
#endif
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_LANES_INL_H_
