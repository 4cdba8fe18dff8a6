// The gradient of weights of a convolution of images of one channel, pixel by pixel: a pixel that is not zero, times
// the gradients of all positions whose windows hold it, which are rows of memory around it. Few pixels of a digit are
// set, and the sums of all taps stay in registers meanwhile.
#ifndef MNIST_TRAIN_KERNELS_CONV_PIXEL_BACKWARD_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_PIXEL_BACKWARD_INL_H_

#include <string.h>

#include "conv-bias-inl.h"
#include "conv-inl.h"
#include "conv-lists-inl.h"
#include "kernels.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// The gradient of every position of an image, spread by the strides, with zeros around: of the position whose window
// begins at padded pixel (y, x) at [y + kernel_height - 1, x + kernel_width - 1].
class SpreadGradient {
 public:
  SpreadGradient(const Conv2dBackwardArgs& args, Scratch* scratch)
      : args_(args), sizes_(args.windows, args.filters), values_(scratch->take(sizes_.floats())) {
    memset(values_, 0, sizes_.floats() * sizeof(float));
  }

  void take(size_t sample) {
    const Windows& w = args_.windows;
    const size_t scale = args_.winners ? 2 : 1, filters = args_.filters;
    const size_t rows = w.output_height / scale, columns = w.output_width / scale;
    size_t at = sample * rows * columns * filters;
    for (size_t y = 0; y < rows; y++) {
      if (!args_.winners && w.stride_x == 1) {
        memcpy(position(y, 0), args_.d_output + at, columns * filters * sizeof(float));
        at += columns * filters;
        continue;
      }
      for (size_t x = 0; x < columns; x++, at += filters) {
        float* const to = position(scale * y, scale * x);
        if (args_.winners) {
          spread_pool(args_.d_output + at, args_.winners + at, to);
        } else {
          memcpy(to, args_.d_output + at, filters * sizeof(float));
        }
      }
    }
  }

  // Where the rows of gradients begin that a pixel meets, the last tap's first.
  size_t begin_of(size_t y, size_t x) const {
    return ((y + args_.windows.pad_top) * sizes_.width + x + args_.windows.pad_left) * args_.filters;
  }
  const float* values() const { return values_; }
  size_t row() const { return sizes_.width * args_.filters; }

 private:
  float* position(size_t y, size_t x) const {
    const Windows& w = args_.windows;
    return values_ + (y * w.stride_y + w.kernel_height - 1) * row() +
           (x * w.stride_x + w.kernel_width - 1) * args_.filters;
  }

  // The gradient at the place that won, zero at the other three.
  void spread_pool(const float* d_output, const int32_t* winners, float* first) const {
    const size_t down = args_.windows.stride_y * row(), right = args_.windows.stride_x * args_.filters;
    float* const places[4] = {first, first + right, first + down, first + down + right};
    for (size_t f = 0; f < args_.filters; f += kLanes) {
      const size_t lanes = smaller(kLanes, args_.filters - f);
      const Vec gradient = load_lanes(d_output + f, lanes);
      const Vec winner = load_lanes(reinterpret_cast<const float*>(winners + f), lanes);
      for (int32_t place = 0; place < 4; place++) {
        store_lanes(places[place] + f, zero_where(not_equal(winner, set1_bits(place)), gradient), lanes);
      }
    }
  }

  const Conv2dBackwardArgs& args_;
  const SpreadGradientSizes sizes_;
  float* const values_;
};

// Lists the pixels of an image that are not zero, with where the gradients that they meet begin.
inline WindowList list_pixels(const Windows& w, size_t filters, const float* image, const SpreadGradient& gradient,
                              NonZero* list) {
  NonZero* end = list;
  for (size_t y = 0; y < w.input_height; y++) {
    NonZero* const first = end;
    for (size_t x = 0; x < w.input_width; x += kLanes) {
      const Vec pixels = load_lanes(image + y * w.input_width + x, smaller(kLanes, w.input_width - x));
      const Mask set = not_equal(pixels, zero());
      store_pairs(reinterpret_cast<float*>(end), compress(index_bits(static_cast<uint32_t>(x)), set),
                  compress(pixels, set));
      end += count(set);
    }
    const uint32_t begin = static_cast<uint32_t>(gradient.begin_of(y, 0));
    for (NonZero* entry = first; entry < end; entry++) {
      entry->index = begin + entry->index * static_cast<uint32_t>(filters);
    }
  }
  return {list, static_cast<size_t>(end - list)};
}

inline void pixel_weights_gradient(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  const size_t filters = args.filters, pixels = w.input_height * w.input_width;
  // Taps stand in the order in which a pixel meets them: the last one first.
  const TapRows rows = {w.kernel_height, w.kernel_width * filters};
  float* const sums = scratch.take(rows.rows * rows.padded());
  NonZero* const list = reinterpret_cast<NonZero*>(scratch.take(2 * (pixels + kMostLanes)));
  SpreadGradient gradient(args, &scratch);
  const WindowAdder adder(rows);
  for_samples_in_parts(
      args, samples, [&](size_t) { memset(sums, 0, rows.rows * rows.padded() * sizeof(float)); },
      [&](size_t sample) {
        gradient.take(sample);
        const WindowList pixels_of = list_pixels(w, filters, args.input + sample * pixels, gradient, list);
        adder.add({pixels_of, gradient.values(), gradient.row(), sums, rows.padded()});
      },
      [&](size_t part) {
        float* to = args.d_weight_parts + part * taps_of(w) * filters;
        for (size_t ky = w.kernel_height; ky-- > 0;) {
          for (size_t kx = w.kernel_width; kx-- > 0; to += filters) {
            memcpy(to, sums + ky * rows.padded() + kx * filters, filters * sizeof(float));
          }
        }
      });
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_PIXEL_BACKWARD_INL_H_
