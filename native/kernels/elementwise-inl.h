// Kernels whose output elements are independent: activations and their gradients, gather.
#ifndef MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
#define MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_

#include "kernels.h"
#include "math-inl.h"
#include "partition-inl.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

void activation(const ActivationArgs& args, Slice slice) {
  const Range range = share(args.count, kGrain, slice);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec x = load_lanes(args.input + i, lanes);
    store_lanes(args.output + i, activate(x, args.activation, args.negative_slope), lanes);
  }
}

void activation_backward(const ActivationBackwardArgs& args, Slice slice) {
  const Range range = share(args.count, kGrain, slice);
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    const Vec reference = load_lanes(args.reference + i, lanes);
    const Vec dy = load_lanes(args.d_output + i, lanes);
    store_lanes(args.d_input + i, activate_backward(reference, dy, args.activation, args.negative_slope), lanes);
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

// A row of pixels / 255, or of floats as they are, `lanes` at a time.
struct PixelRow {
  const uint8_t* bytes;
  Vec load(size_t j, size_t lanes) const {
    return scale_pixels(lanes == kLanes ? load_bytes(bytes + j) : load_bytes_partial(bytes + j, lanes));
  }
};

struct FloatRow {
  const float* floats;
  Vec load(size_t j, size_t lanes) const { return load_lanes(floats + j, lanes); }
};

template <class Row>
inline void gather_row(const Row& source, const GatherArgs& args, size_t row) {
  if (args.sparse && args.sparse->active) {
    list_row(*args.sparse, row, [&](size_t j, size_t lanes) { return source.load(j, lanes); });
    return;
  }
  float* output = args.output + row * args.columns;
  for (size_t j = 0; j < args.columns; j += kLanes) {
    const size_t lanes = smaller(kLanes, args.columns - j);
    store_lanes(output + j, source.load(j, lanes), lanes);
  }
}

// Starts bringing a sample into the cache.
inline void fetch_sample(const GatherArgs& args, size_t sample) {
  constexpr size_t kCacheLine = 64;
  const size_t size = args.columns * (args.bytes ? 1 : sizeof(float));
  const char* data =
      args.bytes ? reinterpret_cast<const char*>(args.bytes) : reinterpret_cast<const char*>(args.floats);
  for (size_t offset = 0; offset < size; offset += kCacheLine) prefetch(data + sample * size + offset);
}

// output[rows, columns], or the row lists of the same numbers.
void gather(const GatherArgs& args, Slice slice) {
  const Range rows = share(args.rows, 1, slice);
  for (size_t row = rows.begin; row < rows.end; row++) {
    // Shuffled samples lie anywhere: fetching three ahead takes the lists of 128 images from 74 µs to 29.
    if (args.order && row + 3 < rows.end) fetch_sample(args, args.order[row + 3]);
    const size_t source = (args.order ? args.order[row] : row) * args.columns;
    if (args.bytes) {
      gather_row(PixelRow{args.bytes + source}, args, row);
    } else {
      gather_row(FloatRow{args.floats + source}, args, row);
    }
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_ELEMENTWISE_INL_H_
