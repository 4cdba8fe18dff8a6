// Loads and stores of a whole vector or of its first lanes; the test is the same for all vectors but the last of a row.
#ifndef MNIST_TRAIN_KERNELS_LANES_INL_H_
#define MNIST_TRAIN_KERNELS_LANES_INL_H_

#include "partition.h"

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

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_LANES_INL_H_
