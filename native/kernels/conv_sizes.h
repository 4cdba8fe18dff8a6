// Shapes and sizes that the convolution kernels and the engine, which gives them scratch memory, both work out.
// Internal linkage, as in partition.h.
#ifndef MNIST_TRAIN_KERNELS_CONV_SIZES_H_
#define MNIST_TRAIN_KERNELS_CONV_SIZES_H_

#include "partition.h"

namespace mnist_train {
namespace {

// Scratch memory is counted in whole vectors of the widest kind.
static inline size_t padded_lanes(size_t count) { return (count + kMostLanes - 1) / kMostLanes * kMostLanes; }

// An image with what windows reach beyond its borders.
struct PaddedShape {
  size_t height, width, channels;
  size_t top, left;                  // where the image begins
  size_t image_height, image_width;  // and how much of it there is
  size_t row() const { return width * channels; }
  size_t size() const { return height * row(); }
};

// What the windows of an input see.
static inline PaddedShape padded_input(const Windows& w) {
  const size_t height = (w.output_height - 1) * w.stride_y + w.kernel_height;
  const size_t width = (w.output_width - 1) * w.stride_x + w.kernel_width;
  return {height, width, w.channels, w.pad_top, w.pad_left, w.input_height, w.input_width};
}

// The gradient of a convolution's output, spread by its strides, such that its windows of the same kernel, a position
// for every element of the input, see what that element went into.
static inline PaddedShape padded_gradient(const Windows& w, size_t filters) {
  return {w.input_height + w.kernel_height - 1,
          w.input_width + w.kernel_width - 1,
          filters,
          w.kernel_height - 1 - w.pad_top,
          w.kernel_width - 1 - w.pad_left,
          w.output_height,
          w.output_width};
}

static inline size_t taps_of(const Windows& w) { return w.kernel_height * w.kernel_width * w.channels; }

// The taps of windows as rows, each of which is read in whole vectors.
struct TapRows {
  size_t rows, taps;
  size_t padded() const { return padded_lanes(taps); }
};

// See SpreadGradient in conv-pixel-backward-inl.h. A pixel meets as many positions as a window has taps.
struct SpreadGradientSizes {
  size_t height, width, filters;

  SpreadGradientSizes(const Windows& w, size_t count)
      : height(w.kernel_height - 1 + larger((w.output_height - 1) * w.stride_y + 1, w.input_height + w.pad_top)),
        width(w.kernel_width - 1 + larger((w.output_width - 1) * w.stride_x + 1, w.input_width + w.pad_left)),
        filters(count) {}
  // Vectors are read and written a little behind its end.
  size_t floats() const { return padded_lanes(height * width * filters) + kMostLanes; }
};

// What convolving an image of one channel pixel by pixel takes: see conv-sparse-inl.h. Whole blocks of positions are
// summed, two rows of 2 or, where that fills no two vectors, 4.
struct SparseConvSizes {
  PaddedShape shape;
  size_t block;  // columns of one
  size_t image, weights_row, weights, bias, sums_row;

  SparseConvSizes(const Windows& w, size_t filters) : shape(padded_input(w)), block(filters <= 8 ? 4 : 2) {
    const size_t columns = (w.output_width + block - 1) / block * block;
    shape.height = (w.output_height + 1) / 2 * 2 + w.kernel_height - 1;
    shape.width = columns + w.kernel_width - 1;
    image = padded_lanes(shape.size());
    weights_row = (w.kernel_width + 2 * block - 2) * filters;
    weights = padded_lanes((w.kernel_height + 2) * weights_row) + kMostLanes;
    bias = padded_lanes(block * filters);
    sums_row = padded_lanes(columns * filters) + 2 * kMostLanes;
  }
  size_t floats() const { return image + 2 * padded_lanes(2 * shape.height) + weights + bias + 2 * sums_row; }
};

// Whether that can be done: the pixels under a block, and those of a row, are bits of a word.
static inline bool convolves_pixels(const Windows& w, size_t filters) {
  const SparseConvSizes sizes(w, filters);
  return w.channels == 1 && w.stride_y == 1 && w.stride_x == 1 && sizes.shape.width <= 64 &&
         (w.kernel_height + 1) * (w.kernel_width + sizes.block - 1) <= 64;
}

// Floats of scratch memory.
static inline size_t conv2d_scratch(const Windows& w, size_t filters) {
  const size_t full = padded_lanes(filters) * (taps_of(w) + 1) + padded_lanes(padded_input(w).size());
  return full + (convolves_pixels(w, filters) ? SparseConvSizes(w, filters).floats() : 0);
}

static inline size_t input_gradient_scratch(const Windows& w, size_t filters, bool pool) {
  const size_t places = w.kernel_height * w.kernel_width, channels = padded_lanes(w.channels);
  if (!pool) return channels + places * filters * channels + padded_lanes(padded_gradient(w, filters).size());
  return padded_lanes(filters * w.kernel_height * padded_lanes(w.kernel_width * w.channels)) +
         4 * padded_lanes(filters + kMostLanes) + padded_lanes(padded_input(w).size() + kMostLanes);
}

static inline size_t weights_gradient_scratch(const Windows& w, size_t filters, bool pool) {
  const size_t image = padded_lanes(padded_input(w).size() + kMostLanes);
  if (w.channels == 1) {
    return w.kernel_height * padded_lanes(w.kernel_width * filters) +
           padded_lanes(2 * (w.input_height * w.input_width + kMostLanes)) + SpreadGradientSizes(w, filters).floats();
  }
  if (!pool) return image + padded_lanes(2 * w.output_height * w.output_width);
  const size_t pools = padded_lanes((w.output_height / 2) * (w.output_width / 2));
  return image + filters * w.kernel_height * padded_lanes(w.kernel_width * w.channels) + (2 * filters + 6) * pools +
         2 * kMostLanes;
}

static inline size_t conv2d_backward_scratch(const Windows& w, size_t filters, bool pool) {
  return larger(weights_gradient_scratch(w, filters, pool), input_gradient_scratch(w, filters, pool));
}

}  // namespace
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_SIZES_H_
