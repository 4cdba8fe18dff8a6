// Kernels whose output elements are independent: activations and their gradients, gather.
#ifndef MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
#define MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_

#include "kernels.h"
#include "math-inl.h"
#include "partition-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

void activation(const ActivationArgs& args, Slice slice) {
  const Range range = share(args.count, kGrain, slice);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec x = load_partial(args.input + i, lanes);
    store_partial(args.output + i, activate(x, args.activation, args.negative_slope), lanes);
  }
}

void activation_backward(const ActivationBackwardArgs& args, Slice slice) {
  const Range range = share(args.count, kGrain, slice);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec reference = load_partial(args.reference + i, lanes);
    const Vec dy = load_partial(args.d_output + i, lanes);
    store_partial(args.d_input + i, activate_backward(reference, dy, args.activation, args.negative_slope), lanes);
  }
}

// v / 255, correctly rounded for every byte: a reciprocal and one correction step, a third of a division's time. The
// native tests check all 256 values.
inline Vec scale_pixels(Vec v) {
  const Vec reciprocal = set1(1.0f / 255.0f);
  const Vec q = mul(v, reciprocal);
  const Vec remainder = fma(q, set1(-255.0f), v);
  return fma(remainder, reciprocal, q);
}

// output[rows, columns]: pixels / 255, or floats as they are.
void gather(const GatherArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  for (size_t row = rows.begin; row < rows.end; row++) {
    const size_t source = (args.order ? args.order[row] : row) * args.columns;
    float* output = args.output + row * args.columns;
    size_t j = 0;
    if (args.bytes) {
      const uint8_t* bytes = args.bytes + source;
      for (; j + kLanes <= args.columns; j += kLanes) store(output + j, scale_pixels(load_bytes(bytes + j)));
      if (j < args.columns) {
        const size_t lanes = args.columns - j;
        store_partial(output + j, scale_pixels(load_bytes_partial(bytes + j, lanes)), lanes);
      }
    } else {
      const float* floats = args.floats + source;
      for (; j + kLanes <= args.columns; j += kLanes) store(output + j, load(floats + j));
      if (j < args.columns) store_partial(output + j, load_partial(floats + j, args.columns - j), args.columns - j);
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
