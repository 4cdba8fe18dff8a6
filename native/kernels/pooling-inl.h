// Pooling of images [height, width, channels]: the largest value or the mean of each window, and their gradients.
// Vectors run along the channels; threads divide the samples by parts.
#ifndef MNIST_TRAIN_KERNELS_POOLING_INL_H_
#define MNIST_TRAIN_KERNELS_POOLING_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// The taps of a window that lie inside the image, along one dimension: [begin, end) of the kernel, of which the first
// is at `input` of the image.
struct Taps {
  size_t begin, end, input;
  size_t size() const { return end - begin; }
};

inline Taps taps_of(size_t window, size_t stride, size_t pad, size_t kernel, size_t input) {
  const size_t start = window * stride;  // as if the image began at `pad`
  const size_t begin = start < pad ? pad - start : 0;
  return {begin, smaller(kernel, input + pad - start), start + begin - pad};
}

// A window: its place in the output, and its taps inside the image.
struct Window {
  size_t output;
  Taps y, x;
  size_t taps() const { return y.size() * x.size(); }
};

// Calls visit(Window, input) for every window of these samples, row by row; `input` is where its first tap inside the
// image is.
template <class Visit>
inline void for_windows(const Windows& w, Range samples, const Visit& visit) {
  size_t output = samples.begin * w.output_height * w.output_width * w.channels;
  for (size_t sample = samples.begin; sample < samples.end; sample++) {
    for (size_t row = 0; row < w.output_height; row++) {
      const Taps y = taps_of(row, w.stride_y, w.pad_top, w.kernel_height, w.input_height);
      const size_t input_row = (sample * w.input_height + y.input) * w.input_width;
      for (size_t column = 0; column < w.output_width; column++) {
        const Taps x = taps_of(column, w.stride_x, w.pad_left, w.kernel_width, w.input_width);
        visit(Window{output, y, x}, (input_row + x.input) * w.channels);
        output += w.channels;
      }
    }
  }
}

// Calls visit(offset, tap) for the taps of a window inside the image: where they are in the input, counted from the
// first, and their numbers in the kernel.
template <class Visit>
MNIST_TRAIN_INLINE void for_taps(const Windows& w, const Window& window, const Visit& visit) {
  for (size_t ky = 0; ky < window.y.size(); ky++) {
    const size_t row = ky * w.input_width * w.channels;
    const size_t tap = (window.y.begin + ky) * w.kernel_width + window.x.begin;
    for (size_t kx = 0; kx < window.x.size(); kx++) visit(row + kx * w.channels, tap + kx);
  }
}

// Winners are whole numbers; vectors hold their bits.
inline Vec bits_of_tap(size_t tap) { return set1_bits(static_cast<int32_t>(tap)); }

template <bool kWinners>
void max_pool2d_of(const MaxPool2dArgs& args, Range samples) {
  const Windows w = args.windows;
  for_windows(w, samples, [&](const Window& window, size_t input) {
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      const float* const from = args.input + input + c;
      Vec best = load_lanes(from, lanes);
      Vec winner = bits_of_tap(window.y.begin * w.kernel_width + window.x.begin);
      for_taps(w, window, [&](size_t offset, size_t tap) {
        const Vec x = load_lanes(from + offset, lanes);
        if (kWinners) winner = select(less(best, x), bits_of_tap(tap), winner);
        best = max(x, best);
      });
      store_lanes(args.output + window.output + c, best, lanes);
      if (kWinners) store_lanes(reinterpret_cast<float*>(args.winners) + window.output + c, winner, lanes);
    }
  });
}

void max_pool2d(const MaxPool2dArgs& args, Slice slice) {
  const Range samples = share_samples(args.rows, slice);
  if (args.winners) {
    max_pool2d_of<true>(args, samples);
  } else {
    max_pool2d_of<false>(args, samples);
  }
}

void average_pool2d(const AveragePool2dArgs& args, Slice slice) {
  const Windows w = args.windows;
  for_windows(w, share_samples(args.rows, slice), [&](const Window& window, size_t input) {
    const Vec factor = set1(1.0f / static_cast<float>(window.taps()));
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      Vec sum = zero();
      for_taps(w, window,
               [&](size_t offset, size_t) { sum = add(sum, load_lanes(args.input + input + c + offset, lanes)); });
      store_lanes(args.output + window.output + c, mul(sum, factor), lanes);
    }
  });
}

// Whether every position along a dimension is in exactly one window. The first window reaches into the image.
inline bool tiles(size_t windows, size_t stride, size_t pad, size_t kernel, size_t input) {
  const bool side_by_side = windows == 1 || stride == kernel;
  return side_by_side && (windows - 1) * stride + kernel >= input + pad;
}
inline bool tiles(const Windows& w) {
  return tiles(w.output_height, w.stride_y, w.pad_top, w.kernel_height, w.input_height) &&
         tiles(w.output_width, w.stride_x, w.pad_left, w.kernel_width, w.input_width);
}

// d_input: start 0, plus what each window in turn passes to its taps, which is gradients.of(window, c, lanes)(tap).
// Where windows tile the image, d_input need not be read. (To sum up the windows of each element instead, without
// reading it either, took half as long again for pools of 3 x 3 at every second position.)
template <bool kTiles, class Gradients>
inline void pass_to_taps(const Gradients& gradients, const Windows& w, float* d_input, Range samples) {
  for_windows(w, samples, [&](const Window& window, size_t input) {
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      const auto gradient_of = gradients.of(window, c, lanes);
      float* const dx = d_input + input + c;
      for_taps(w, window, [&](size_t offset, size_t tap) {
        const Vec gradient = gradient_of(tap);
        store_lanes(dx + offset, kTiles ? gradient : add(load_lanes(dx + offset, lanes), gradient), lanes);
      });
    }
  });
}

inline void clear_images(const Windows& w, float* images, Range samples) {
  const size_t image = w.input_height * w.input_width * w.channels;
  for (size_t i = samples.begin * image; i < samples.end * image; i += kLanes) {
    store_lanes(images + i, zero(), smaller(kLanes, samples.end * image - i));
  }
}

template <class Gradients>
inline void backward_of_windows(const Gradients& gradients, const Windows& w, float* d_input, Range samples) {
  if (tiles(w)) return pass_to_taps<true>(gradients, w, d_input, samples);
  clear_images(w, d_input, samples);
  pass_to_taps<false>(gradients, w, d_input, samples);
}

struct MaxPoolGradients {
  const float* d_output;
  const int32_t* winners;

  MNIST_TRAIN_INLINE auto of(const Window& window, size_t c, size_t lanes) const {
    const Vec dy = load_lanes(d_output + window.output + c, lanes);
    // Numbers of taps are exact as floats, and no larger number rounds to one.
    const Vec bits = load_lanes(reinterpret_cast<const float*>(winners) + window.output + c, lanes);
    const Vec winner = numbers_of(bits_of(bits));
    return [=](size_t tap) { return zero_where(not_equal(winner, set1(static_cast<float>(tap))), dy); };
  }
};

struct AveragePoolGradients {
  const float* d_output;

  MNIST_TRAIN_INLINE auto of(const Window& window, size_t c, size_t lanes) const {
    const Vec dy = load_lanes(d_output + window.output + c, lanes);
    const Vec share = mul(dy, set1(1.0f / static_cast<float>(window.taps())));
    return [=](size_t) { return share; };
  }
};

void max_pool2d_backward(const MaxPool2dBackwardArgs& args, Slice slice) {
  backward_of_windows(MaxPoolGradients{args.d_output, args.winners}, args.windows, args.d_input,
                      share_samples(args.rows, slice));
}

void average_pool2d_backward(const AveragePool2dBackwardArgs& args, Slice slice) {
  backward_of_windows(AveragePoolGradients{args.d_output}, args.windows, args.d_input, share_samples(args.rows, slice));
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_POOLING_INL_H_
