// The machine's multiply-add limit, measured.
#ifndef MNIST_TRAIN_ENGINE_PEAK_H_
#define MNIST_TRAIN_ENGINE_PEAK_H_

#include <stddef.h>

#include "../kernels/kernels.h"

namespace mnist_train {

// Floating-point operations per second that `threads` threads do together at most, measured for so many milliseconds.
// The calling thread is one of them.
double measure_peak(const KernelTable& kernels, size_t threads, double milliseconds);

}  // namespace mnist_train

#endif  // MNIST_TRAIN_ENGINE_PEAK_H_
