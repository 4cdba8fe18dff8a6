// Convolution of images, backward, without a pool behind it: every position has a gradient.
//
// The gradient of the input is a convolution itself: of the output's gradient, padded and spread by the strides, with
// the weights mirrored. The gradient of the weights is a matrix product over positions: a tile is some taps of one row
// of the window by vectors of filters, and goes on from one image of the part to the next.
#ifndef MNIST_TRAIN_KERNELS_CONV_BACKWARD_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_BACKWARD_INL_H_

#include <string.h>

#include "conv-bias-inl.h"
#include "conv-inl.h"
#include "conv-pixel-backward-inl.h"
#include "conv-pool-backward-inl.h"
#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// to[ky, kx, f, c] = weights[KH - 1 - ky, KW - 1 - kx, c, f], rows of c in whole vectors.
inline FilterMatrix mirrored_weights(const float* weights, const Windows& w, size_t filters, float* to) {
  const size_t places = w.kernel_height * w.kernel_width, stride = whole_vectors(w.channels);
  memset(to, 0, places * filters * stride * sizeof(float));
  for (size_t place = 0; place < places; place++) {
    transpose(weights + (places - 1 - place) * w.channels * filters, filters, w.channels, filters,
              to + place * filters * stride, stride);
  }
  return {to, stride};
}

// Spreads the gradient of an image's positions over zeroed memory.
inline void spread_gradient(const PaddedShape& s, const Windows& w, const float* d_output, float* padded) {
  if (w.stride_y == 1 && w.stride_x == 1) return copy_into(s, d_output, padded);
  for (size_t y = 0; y < s.image_height && s.top + y * w.stride_y < s.height; y++) {
    for (size_t x = 0; x < s.image_width && s.left + x * w.stride_x < s.width; x++) {
      memcpy(padded + (s.top + y * w.stride_y) * s.row() + (s.left + x * w.stride_x) * s.channels,
             d_output + (y * s.image_width + x) * s.channels, s.channels * sizeof(float));
    }
  }
}

inline void input_gradient(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  const PaddedShape shape = padded_gradient(w, args.filters);
  float* const zeros = scratch.take(w.channels);
  memset(zeros, 0, whole_vectors(w.channels) * sizeof(float));
  float* const mirrored = scratch.take(w.kernel_height * w.kernel_width * args.filters * whole_vectors(w.channels));
  const FilterMatrix weights = mirrored_weights(args.weights, w, args.filters, mirrored);
  float* const padded = scratch.take(shape.size());
  memset(padded, 0, shape.size() * sizeof(float));
  const Inside inside = {{shape.top, smaller(shape.height, shape.top + (w.output_height - 1) * w.stride_y + 1)},
                         {shape.left, smaller(shape.width, shape.left + (w.output_width - 1) * w.stride_x + 1)}};
  const size_t row = shape.row();
  const TapSource source = {padded, row, row, args.filters, w.kernel_height, w.kernel_width * args.filters};
  const size_t positions = w.output_height * w.output_width * args.filters;
  const size_t size = w.input_height * w.input_width * w.channels;
  for (size_t sample = samples.begin; sample < samples.end; sample++) {
    spread_gradient(shape, w, args.d_output + sample * positions, padded);
    convolve({source, inside, 1, 1, args.filters, weights, zeros, w.channels, w.input_height, w.input_width},
             {args.d_input + sample * size, nullptr, false, false});
  }
}

// Where a position's window begins and where its gradient is, in floats; positions go block by block of 2 x 2.
struct Place {
  uint32_t window, gradient;
};

inline size_t list_places(const Windows& w, size_t filters, const TapSource& source, Place* places) {
  size_t count = 0;
  for (size_t y = 0; y < w.output_height; y += 2) {
    for (size_t x = 0; x < w.output_width; x += 2) {
      for (size_t i = 0; i < 4; i++) {
        const size_t row = y + i / 2, column = x + i % 2;
        if (row >= w.output_height || column >= w.output_width) continue;
        places[count++] = {static_cast<uint32_t>(row * source.step_y + column * source.step_x),
                           static_cast<uint32_t>((row * w.output_width + column) * filters)};
      }
    }
  }
  return count;
}

// Taps side by side in a row of the window, by vectors of filters: their gradients go on from what `sums` holds.
struct GradientTile {
  const float* input;  // the first tap of window (0, 0)
  const float* d_output;
  const Place* places;
  size_t count;
  float* sums;
  size_t filters;  // from one tap's sums to the next one's
  size_t tail;     // lanes of the last vector
};

template <int kTaps, int kVecs, bool kTail>
void gradient_tile(const GradientTile& tile) {
  Vec acc[kTaps][kVecs];
  MNIST_TRAIN_UNROLL
  for (int t = 0; t < kTaps; t++) {
    for (int v = 0; v < kVecs; v++) {
      acc[t][v] = load_tail(tile.sums + t * tile.filters + v * kLanes, kTail && v == kVecs - 1, tile.tail);
    }
  }
  for (size_t i = 0; i < tile.count; i++) {
    const float* const x = tile.input + tile.places[i].window;
    const float* const g = tile.d_output + tile.places[i].gradient;
    Vec gradient[kVecs];
    for (int v = 0; v < kVecs; v++) gradient[v] = load_tail(g + v * kLanes, kTail && v == kVecs - 1, tile.tail);
    MNIST_TRAIN_UNROLL
    for (int t = 0; t < kTaps; t++) {
      const Vec factor = set1(x[t]);
      for (int v = 0; v < kVecs; v++) acc[t][v] = fma(factor, gradient[v], acc[t][v]);
    }
  }
  MNIST_TRAIN_UNROLL
  for (int t = 0; t < kTaps; t++) {
    for (int v = 0; v < kVecs; v++) {
      store_lanes(tile.sums + t * tile.filters + v * kLanes, acc[t][v], kTail && v == kVecs - 1 ? tile.tail : kLanes);
    }
  }
}

using GradientTileFunction = void (*)(const GradientTile&);

template <int kTaps, int kVecs>
GradientTileFunction gradient_tile_of_height(size_t taps, bool tail) {
  if constexpr (kTaps > 1) {
    if (taps < kTaps) return gradient_tile_of_height<kTaps - 1, kVecs>(taps, tail);
  }
  return tail ? gradient_tile<kTaps, kVecs, true> : gradient_tile<kTaps, kVecs, false>;
}

// The taps of one row of the window, in tiles whose heights differ by one at most.
template <int kVecs>
void gradient_of_row(size_t vecs, GradientTile tile, size_t taps) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return gradient_of_row<kVecs - 1>(vecs, tile, taps);
  }
  constexpr int kMost = most_positions(kVecs);
  const size_t tiles = (taps + kMost - 1) / kMost;
  for (size_t i = 0; i < tiles; i++) {
    const size_t begin = taps * i / tiles, end = taps * (i + 1) / tiles;
    GradientTile own = tile;
    own.input += begin;
    own.sums += begin * tile.filters;
    gradient_tile_of_height<kMost, kVecs>(end - begin, tile.tail != kLanes)(own);
  }
}

// The gradients of weights that one image adds to its part's.
inline void weights_gradient_of_image(const TapSource& source, GradientTile tile, float* part) {
  for_panels(tile.filters, [&](size_t begin, size_t end) {
    GradientTile own = tile;
    own.d_output += begin * kLanes;
    own.tail = smaller(end * kLanes, tile.filters) - (end - 1) * kLanes;
    for (size_t ky = 0; ky < source.kernel_height; ky++) {
      own.input = source.data + ky * source.row;
      own.sums = part + ky * source.row_taps * tile.filters + begin * kLanes;
      gradient_of_row<kConvVecs>(end - begin, own, source.row_taps);
    }
  });
}

inline void weights_gradient_in_parts(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  Place* const places = reinterpret_cast<Place*>(scratch.take(2 * w.output_height * w.output_width));
  const ImageSource images(w, args.input, scratch.take(padded_input(w).size()));
  const size_t count = list_places(w, args.filters, images.shape(), places);
  const size_t positions = w.output_height * w.output_width * args.filters;
  const size_t weights = taps_of(w) * args.filters;
  float* sums = nullptr;
  for_samples_in_parts(
      args, samples,
      [&](size_t part) {
        sums = args.d_weight_parts + part * weights;
        memset(sums, 0, weights * sizeof(float));
      },
      [&](size_t sample) {
        const float* const d_output = args.d_output + sample * positions;
        weights_gradient_of_image(images.of(sample), {nullptr, d_output, places, count, nullptr, args.filters, 0},
                                  sums);
      },
      [](size_t) {});
}

void conv2d_backward(const Conv2dBackwardArgs& args, Slice slice) {
  const Range samples = share_samples(args.rows, slice);
  if (samples.size() == 0) return;
  const Scratch scratch(slice.scratch);
  if (args.d_weight_parts) {
    const auto gradient = args.windows.channels == 1 ? pixel_weights_gradient
                          : args.winners             ? pooled_weights_gradient
                                                     : weights_gradient_in_parts;
    gradient(args, samples, scratch);
  } else if (args.d_bias_parts) {
    for_samples_in_parts(args, samples, [](size_t) {}, [](size_t) {}, [](size_t) {});
  }
  if (args.d_input) (args.winners ? pooled_input_gradient : input_gradient)(args, samples, scratch);
}

// output = the sum of the parts, in their order
void sum_parts(const SumPartsArgs& args, Slice slice) {
  const Range range = share_elements(args.layout, slice);
  const size_t size = args.layout.rows * args.layout.columns;
  for (size_t i = range.begin; i < range.end; i += kLanes) {
    const size_t lanes = smaller(kLanes, range.end - i);
    Vec sum = zero();
    for (size_t part = 0; part < args.count; part++) sum = add(sum, load_lanes(args.parts + part * size + i, lanes));
    store_lanes(args.output + i, sum, lanes);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_BACKWARD_INL_H_
