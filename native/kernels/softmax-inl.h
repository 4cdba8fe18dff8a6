// Softmax and its gradient, row by row. Exponentials are vectors; sums run along the row, one addition after the other.
#ifndef MNIST_TRAIN_KERNELS_SOFTMAX_INL_H_
#define MNIST_TRAIN_KERNELS_SOFTMAX_INL_H_

#include "kernels.h"
#include "lanes-inl.h"
#include "math-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

struct Maximum {
  float value;
  size_t index;  // of the first that is largest
};

inline Maximum row_maximum(const float* x, size_t columns) {
  Maximum m = {x[0], 0};
  for (size_t j = 1; j < columns; j++) {
    const bool larger = x[j] > m.value;
    m.value = larger ? x[j] : m.value;
    m.index = larger ? j : m.index;
  }
  return m;
}

// e[j] = exp(x[j] - maximum); returns their sum. e may be x.
inline float exponentials(const float* x, size_t columns, float maximum, float* e) {
  for (size_t j = 0; j < columns; j += kLanes) {
    const size_t lanes = smaller(kLanes, columns - j);
    store_lanes(e + j, exp_nonpositive(sub(load_lanes(x + j, lanes), set1(maximum))), lanes);
  }
  float sum = 0.0f;
  for (size_t j = 0; j < columns; j++) sum = sum + e[j];
  return sum;
}

void softmax(const SoftmaxArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  for (size_t row = rows.begin; row < rows.end; row++) {
    const float* x = args.input + row * args.columns;
    float* p = args.output + row * args.columns;
    const float reciprocal = 1.0f / exponentials(x, args.columns, row_maximum(x, args.columns).value, p);
    for (size_t j = 0; j < args.columns; j += kLanes) {
      const size_t lanes = smaller(kLanes, args.columns - j);
      store_lanes(p + j, mul(load_lanes(p + j, lanes), set1(reciprocal)), lanes);
    }
  }
}

// d_input = y * (d_output - sum of d_output * y)
void softmax_backward(const SoftmaxBackwardArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  for (size_t row = rows.begin; row < rows.end; row++) {
    const float* y = args.output + row * args.columns;
    const float* dy = args.d_output + row * args.columns;
    float* dx = args.d_input + row * args.columns;
    float dot = 0.0f;
    for (size_t j = 0; j < args.columns; j++) dot = dot + dy[j] * y[j];
    for (size_t j = 0; j < args.columns; j += kLanes) {
      const size_t lanes = smaller(kLanes, args.columns - j);
      store_lanes(dx + j, mul(load_lanes(y + j, lanes), sub(load_lanes(dy + j, lanes), set1(dot))), lanes);
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_SOFTMAX_INL_H_
