// Samples that runs read, in memory that nobody else can change.
#ifndef MNIST_TRAIN_ENGINE_DATA_H_
#define MNIST_TRAIN_ENGINE_DATA_H_

#include "memory.h"
#include "ops.h"

namespace mnist_train {

// Below this share of values that are not zero, lists are faster than full products (docs/performance.md). They take
// four bytes for each of an image's non-zeros, so below a quarter they also take less memory than its bytes.
constexpr double kSparseDensity = 0.55;

// Shared by the runs that read it.
struct Data {
  AlignedMemory inputs, starts, targets;
  DataView view;

  // Copies samples [count, columns] of bytes or floats (the other is null), as lists where that pays. False when there
  // is not enough memory.
  bool copy_inputs(const KernelTable& kernels, const uint8_t* bytes, const float* floats, size_t count, size_t columns);
  size_t bytes() const { return inputs.size() + starts.size() + targets.size(); }
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_DATA_H_
