// Samples that runs read, in memory that nobody else can change.
#ifndef MNIST_TRAIN_ENGINE_DATA_H_
#define MNIST_TRAIN_ENGINE_DATA_H_

#include "memory.h"
#include "ops.h"

namespace mnist_train {

// Below this share of values that are not zero, lists are faster than full products (docs/performance.md). They take
// four bytes for each of an image's non-zeros, so below a quarter they also take less memory than its bytes.
constexpr double kSparseDensity = 0.55;

// Shared by the runs that read it. Samples are copied a few at a time, so that the thread that copies can do other
// things in between: what they are copied from may change meanwhile.
struct Data {
  AlignedMemory inputs, starts, targets;
  DataView view;

  // Makes room for `count` samples of `columns` bytes or floats, as lists where so many values that are not zero pay
  // for them, and for targets of `target_columns` floats or one class. False when there is not enough memory.
  struct Room {
    size_t count = 0, columns = 0, target_columns = 0;
    bool bytes = false, classes = false;
    size_t non_zeros = 0;
  };
  bool allocate(const Room& room);
  // Copies the next samples: bytes or floats, and classes or targets, of which the others are null. False when they are
  // more than there is room for; nothing is copied then.
  struct Samples {
    const uint8_t* bytes = nullptr;
    const float* floats = nullptr;
    const int32_t* classes = nullptr;
    const float* targets = nullptr;
    size_t count = 0;
  };
  bool append(const KernelTable& kernels, const Samples& samples);
  bool complete() const { return appended == view.count; }
  size_t bytes() const { return inputs.size() + starts.size() + targets.size(); }

 private:
  size_t appended = 0;       // samples
  size_t list_capacity = 0;  // entries
};

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_DATA_H_
