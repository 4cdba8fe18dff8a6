// The convolution op, forward: images one by one, by the kernel that suits them.
#ifndef MNIST_TRAIN_KERNELS_CONV_FORWARD_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_FORWARD_INL_H_

#include "conv-inl.h"
#include "conv-sparse-inl.h"
#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// output[rows, positions or pools, filters] = activation(windows of input * weights + bias)
struct Conv2dForward {
  const Conv2dArgs& args;
  Range samples;

  // Calls convolve(sample, output) for the samples.
  template <class Convolve>
  void run(const Convolve& convolve) const {
    const Windows& w = args.windows;
    const size_t scale = args.pool ? 2 : 1;
    const size_t size = (w.output_height / scale) * (w.output_width / scale) * args.filters;
    const bool relu = args.pool && args.activation == Activation::kRelu;
    for (size_t sample = samples.begin; sample < samples.end; sample++) {
      float* const output = args.output + sample * size;
      convolve(sample, ConvOutput{output, args.winners ? args.winners + sample * size : nullptr, args.pool, relu});
      if (!args.pool) activate_rows(output, size, 1, size, {nullptr, args.activation, args.negative_slope, false});
    }
  }
};

void conv2d(const Conv2dArgs& args, Slice slice) {
  const Range samples = share_samples(args.rows, slice);
  if (samples.size() == 0) return;
  const Windows& w = args.windows;
  const size_t taps = taps_of(w);
  Scratch scratch(slice.scratch);
  float* const bias = scratch.take(args.filters);
  for (size_t j = 0; j < whole_vectors(args.filters); j++) {
    bias[j] = args.bias && j < args.filters ? args.bias[j] + 0.0f : 0.0f;
  }
  const FilterMatrix weights =
      whole_filters(args.weights, taps, args.filters, scratch.take(taps * whole_vectors(args.filters)));
  const ImageSource images(w, args.input, scratch.take(padded_input(w).size()));
  const Inside inside = inside_of(padded_input(w));
  const Conv2dForward forward = {args, samples};
  const auto convolve_fully = [&](size_t sample, const ConvOutput& output) {
    convolve({images.of(sample), inside, w.stride_y, w.stride_x, w.channels, weights, bias, args.filters,
              w.output_height, w.output_width},
             output);
  };
  if (!convolves_pixels(w, args.filters)) return forward.run(convolve_fully);
  SparseConvolution pixels(args, &scratch);
  forward.run([&](size_t sample, const ConvOutput& output) {
    if (pixels.take(sample)) return pixels.convolve(output);
    convolve_fully(sample, output);
  });
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_FORWARD_INL_H_
