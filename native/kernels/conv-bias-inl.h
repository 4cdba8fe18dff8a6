// The gradient of a convolution's bias, and the order in which gradients of weights go through samples with it: what a
// sample's gradients were read for once should still be near.
#ifndef MNIST_TRAIN_KERNELS_CONV_BIAS_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_BIAS_INL_H_

#include <string.h>

#include "conv-inl.h"
#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// The gradients of a sample, [rows, columns, filters], which go block by block: pools are blocks already.
struct SampleGradients {
  const float* values;
  size_t rows, columns, block, filters;
};

// sums[vectors of filters] += the gradients. A sum is a chain that waits for itself, so vectors take turns.
template <int kVecs>
void add_gradients(const SampleGradients& g, size_t tail, float* to) {
  Vec sums[kVecs];
  for (int v = 0; v < kVecs; v++) sums[v] = load_lanes(to + v * kLanes, v == kVecs - 1 ? tail : kLanes);
  const auto add_position = [&](const float* values) {
    for (int v = 0; v < kVecs; v++) {
      sums[v] = add(sums[v], load_lanes(values + v * kLanes, v == kVecs - 1 ? tail : kLanes));
    }
  };
  for (size_t y = 0; y < g.rows; y += g.block) {
    for (size_t x = 0; x < g.columns; x += g.block) {
      for (size_t row = y; row < smaller(y + g.block, g.rows); row++) {
        const float* const first = g.values + (row * g.columns + x) * g.filters;
        add_position(first);
        if (g.block > 1 && x + 1 < g.columns) add_position(first + g.filters);
      }
    }
  }
  for (int v = 0; v < kVecs; v++) store_lanes(to + v * kLanes, sums[v], v == kVecs - 1 ? tail : kLanes);
}

template <int kVecs>
void add_gradients_of_width(size_t vecs, const SampleGradients& g, size_t tail, float* to) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return add_gradients_of_width<kVecs - 1>(vecs, g, tail, to);
  }
  add_gradients<kVecs>(g, tail, to);
}

inline void add_bias_gradient(const Conv2dBackwardArgs& args, size_t sample, float* sums) {
  const size_t scale = args.winners ? 2 : 1, filters = args.filters;
  const size_t rows = args.windows.output_height / scale, columns = args.windows.output_width / scale;
  for_panels(filters, [&](size_t begin, size_t end) {
    const size_t first = begin * kLanes, tail = smaller(end * kLanes, filters) - (end - 1) * kLanes;
    const SampleGradients gradients = {args.d_output + sample * rows * columns * filters + first, rows, columns,
                                       3 - scale, filters};
    add_gradients_of_width<kConvVecs>(end - begin, gradients, tail, sums + first);
  });
}

// Goes through the samples of a share part by part: begins a part, adds its samples, ends it. The gradient of the bias
// is made meanwhile, where it is wanted.
template <class Begin, class Add, class End>
inline void for_samples_in_parts(const Conv2dBackwardArgs& args, Range samples, const Begin& begin_part,
                                 const Add& add_sample, const End& end_part) {
  for (size_t first = samples.begin; first < samples.end; first += kSamplesPerPart) {
    const size_t part = first / kSamplesPerPart;
    float* const bias = args.d_bias_parts ? args.d_bias_parts + part * args.filters : nullptr;
    if (bias) memset(bias, 0, args.filters * sizeof(float));
    begin_part(part);
    for (size_t sample = first; sample < smaller(first + kSamplesPerPart, samples.end); sample++) {
      if (bias) add_bias_gradient(args, sample, bias);
      add_sample(sample);
    }
    end_part(part);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_BIAS_INL_H_
