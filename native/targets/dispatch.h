// Chooses the kernels for this processor.
#ifndef MNIST_TRAIN_TARGETS_DISPATCH_H_
#define MNIST_TRAIN_TARGETS_DISPATCH_H_

#include <stddef.h>

#include "../kernels/kernels.h"

namespace mnist_train {

struct Target {
  const char* name;
  bool supported;
  const KernelTable* table;
};

// The instruction sets that this binary was built with, best first; returns how many and points `targets` at them.
size_t all_targets(const Target** targets);

// The kernels for the named instruction set, or for the best supported one when `name` is null or empty. Null when
// there is none: unknown name, or not supported here.
const KernelTable* choose_target(const char* name);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_TARGETS_DISPATCH_H_
