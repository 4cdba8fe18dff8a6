// Sums of windows of an image times numbers, from lists of both: the gradients of weights, where most gradients or most
// pixels are zero. The sums stay in registers while a list is gone through.
#ifndef MNIST_TRAIN_KERNELS_CONV_LISTS_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_LISTS_INL_H_

#include "conv_sizes.h"
#include "kernels.h"
#include "lanes-inl.h"
#include "matmul-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Where stretches begin, and what they are multiplied by.
struct WindowList {
  const NonZero* entries;  // index: floats from the input on
  size_t count;
};

// sums[rows, vectors] += window * factor for every entry of a list, where a window is rows of floats.
struct WindowSums {
  WindowList list;
  const float* input;
  size_t row;  // from a row of a window to the next
  float* sums;
  size_t sums_row;
};

template <int kRows, int kVecs>
void add_windows(const WindowSums& w) {
  Vec acc[kRows][kVecs];
  MNIST_TRAIN_UNROLL
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVecs; v++) acc[r][v] = load(w.sums + r * w.sums_row + v * kLanes);
  }
  for (size_t i = 0; i < w.list.count; i++) {
    const float* const x = w.input + w.list.entries[i].index;
    const Vec factor = set1(w.list.entries[i].value);
    MNIST_TRAIN_UNROLL
    for (int r = 0; r < kRows; r++) {
      for (int v = 0; v < kVecs; v++) acc[r][v] = fma(load(x + r * w.row + v * kLanes), factor, acc[r][v]);
    }
  }
  MNIST_TRAIN_UNROLL
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVecs; v++) store(w.sums + r * w.sums_row + v * kLanes, acc[r][v]);
  }
}

using AddWindowsFunction = void (*)(const WindowSums&);

template <int kRows, int kVecs>
AddWindowsFunction add_windows_of_width(size_t vecs) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return add_windows_of_width<kRows, kVecs - 1>(vecs);
  }
  return add_windows<kRows, kVecs>;
}

// Adds windows of one shape: all their rows at once where there are 3 or 5, else row by row, and as many vectors of a
// row as sums stay in registers.
class WindowAdder {
 public:
  explicit WindowAdder(const TapRows& rows) : rows_(rows.rows) {
    const size_t vecs = (rows.taps + kLanes - 1) / kLanes;
    if (rows.rows == 3) {
      at_once_ = 3;
      cut<3>(vecs);
    } else if (rows.rows == 5) {
      at_once_ = 5;
      cut<5>(vecs);
    } else {
      at_once_ = 1;
      cut<1>(vecs);
    }
  }

  void add(WindowSums w) const {
    for (size_t row = 0; row < rows_; row += at_once_) {
      WindowSums pass = w;
      for (size_t i = 0; i < passes_; i++) {
        const bool wide = i < wider_;
        (wide ? run_wider_ : run_)(pass);
        pass.input += (width_ + wide) * kLanes;
        pass.sums += (width_ + wide) * kLanes;
      }
      w.input += w.row;
      w.sums += w.sums_row;
    }
  }

 private:
  // Passes whose widths differ by one at most.
  template <int kRows>
  void cut(size_t vecs) {
    constexpr int kMost = kConvAccumulators / kRows < 8 ? kConvAccumulators / kRows : 8;
    passes_ = (vecs + kMost - 1) / kMost;
    width_ = vecs / passes_;
    wider_ = vecs % passes_;
    run_ = add_windows_of_width<kRows, kMost>(width_);
    run_wider_ = add_windows_of_width<kRows, kMost>(width_ + 1);
  }

  const size_t rows_;
  size_t at_once_, passes_, width_, wider_;
  AddWindowsFunction run_, run_wider_;
};

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_LISTS_INL_H_
