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

// A window of a batch: its place in the output, that of its first tap inside the image in the input, and how many taps
// are inside.
struct Window {
  size_t output, input;
  Taps y, x;
  size_t taps() const { return y.size() * x.size(); }
};

// Calls visit(Window) for every window of these samples, row by row.
template <class Visit>
inline void for_windows(const Windows& w, Range samples, const Visit& visit) {
  size_t output = samples.begin * w.output_height * w.output_width * w.channels;
  for (size_t sample = samples.begin; sample < samples.end; sample++) {
    for (size_t row = 0; row < w.output_height; row++) {
      const Taps y = taps_of(row, w.stride_y, w.pad_top, w.kernel_height, w.input_height);
      const size_t input_row = (sample * w.input_height + y.input) * w.input_width;
      for (size_t column = 0; column < w.output_width; column++) {
        const Taps x = taps_of(column, w.stride_x, w.pad_left, w.kernel_width, w.input_width);
        visit(Window{output, (input_row + x.input) * w.channels, y, x});
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

inline Vec number_of(size_t tap) { return set1(static_cast<float>(tap)); }

template <bool kWinners>
void max_pool2d_of(const MaxPool2dArgs& args, Range samples) {
  const Windows w = args.windows;
  for_windows(w, samples, [&](const Window& window) {
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      const float* input = args.input + window.input + c;
      Vec best = load_lanes(input, lanes);
      Vec winner = number_of(window.y.begin * w.kernel_width + window.x.begin);
      for_taps(w, window, [&](size_t offset, size_t tap) {
        const Vec x = load_lanes(input + offset, lanes);
        if (kWinners) winner = select(less(best, x), number_of(tap), winner);
        best = max(x, best);
      });
      store_lanes(args.output + window.output + c, best, lanes);
      if (kWinners) store_lanes(args.winners + window.output + c, winner, lanes);
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
  for_windows(w, share_samples(args.rows, slice), [&](const Window& window) {
    const Vec factor = set1(1.0f / static_cast<float>(window.taps()));
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      Vec sum = zero();
      for_taps(w, window, [&](size_t offset, size_t) {
        sum = add(sum, load_lanes(args.input + window.input + c + offset, lanes));
      });
      store_lanes(args.output + window.output + c, mul(sum, factor), lanes);
    }
  });
}

// Whether windows overlap, and whether every element of the image is in one: the first window begins at the image's
// edge or before it.
inline bool overlaps(const Windows& w) { return w.stride_y < w.kernel_height || w.stride_x < w.kernel_width; }
inline bool covers(const Windows& w) {
  return w.stride_y <= w.kernel_height && w.stride_x <= w.kernel_width &&
         (w.output_height - 1) * w.stride_y + w.kernel_height >= w.input_height + w.pad_top &&
         (w.output_width - 1) * w.stride_x + w.kernel_width >= w.input_width + w.pad_left;
}

// d_input: start 0, plus what each window in turn passes to its elements, which is gradients(window, c, lanes)(tap).
// Windows that do not overlap need not read it.
template <bool kOverlaps, class Gradients>
inline void scatter_windows(const Windows& w, float* d_input, Range samples, const Gradients& gradients) {
  for_windows(w, samples, [&](const Window& window) {
    for (size_t c = 0; c < w.channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, w.channels - c);
      const auto gradient_of = gradients(window, c, lanes);
      float* const dx = d_input + window.input + c;
      for_taps(w, window, [&](size_t offset, size_t tap) {
        const Vec g = gradient_of(tap);
        store_lanes(dx + offset, kOverlaps ? add(load_lanes(dx + offset, lanes), g) : g, lanes);
      });
    }
  });
}

template <class Gradients>
inline void backward_of_windows(const Windows& w, float* d_input, Range samples, const Gradients& gradients) {
  if (overlaps(w) || !covers(w)) {
    const size_t image = w.input_height * w.input_width * w.channels;
    const size_t length = samples.size() * image;
    for (size_t i = 0; i < length; i += kLanes) {
      store_lanes(d_input + samples.begin * image + i, zero(), smaller(kLanes, length - i));
    }
  }
  if (overlaps(w)) {
    scatter_windows<true>(w, d_input, samples, gradients);
  } else {
    scatter_windows<false>(w, d_input, samples, gradients);
  }
}

void max_pool2d_backward(const MaxPool2dBackwardArgs& args, Slice slice) {
  const auto gradients = [&](const Window& window, size_t c, size_t lanes) {
    const Vec dy = load_lanes(args.d_output + window.output + c, lanes);
    const Vec winner = load_lanes(args.winners + window.output + c, lanes);
    return [=](size_t tap) { return zero_where(not_equal(winner, number_of(tap)), dy); };
  };
  backward_of_windows(args.windows, args.d_input, share_samples(args.rows, slice), gradients);
}

void average_pool2d_backward(const AveragePool2dBackwardArgs& args, Slice slice) {
  const auto gradients = [&](const Window& window, size_t c, size_t lanes) {
    const Vec factor = set1(1.0f / static_cast<float>(window.taps()));
    const Vec g = mul(load_lanes(args.d_output + window.output + c, lanes), factor);
    return [=](size_t) { return g; };
  };
  backward_of_windows(args.windows, args.d_input, share_samples(args.rows, slice), gradients);
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_POOLING_INL_H_
