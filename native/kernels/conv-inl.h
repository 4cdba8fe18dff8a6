// Convolution of images, forward: an implicit matrix product. Rows are positions, depth the taps of a window, columns
// the filters, which lie in the vector lanes. The window of a position is kernel_height stretches of memory, so nothing
// is gathered into a matrix first: a tile of positions side by side reads its inputs by broadcasts at a fixed distance.
//
// With a 2 x 2 max-pool behind, a tile is two rows of positions, and only the maxima of its accumulators are stored.
#ifndef MNIST_TRAIN_KERNELS_CONV_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_INL_H_

#include <string.h>

#include "conv_sizes.h"
#include "kernels.h"
#include "lanes-inl.h"
#include "matmul-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Whether the image can be used where it is: nothing is added to its rows, and nothing is read behind its end.
inline bool is_whole(const PaddedShape& s) {
  return s.top == 0 && s.left == 0 && s.height <= s.image_height && s.width <= s.image_width;
}

// Copies an image into zeroed memory of the padded shape; what lies outside that is left out.
inline void copy_into(const PaddedShape& s, const float* image, float* padded) {
  const size_t rows = smaller(s.image_height, s.height - s.top);
  const size_t columns = smaller(s.image_width, s.width - s.left) * s.channels;
  for (size_t y = 0; y < rows; y++) {
    memcpy(padded + (s.top + y) * s.row() + s.left * s.channels, image + y * s.image_width * s.channels,
           columns * sizeof(float));
  }
}

// Where the windows of an image are read: distances in floats.
struct TapSource {
  const float* data;  // tap (0, 0) of position (0, 0)
  size_t row;         // from a row of taps to the next
  size_t step_y, step_x;
  size_t kernel_height, row_taps;
};

// The part of a padded image that is not padding.
struct Inside {
  Range rows, columns;
};

// Takes stretches of a part's scratch memory, each of whole vectors; conv_sizes.h says how much there is.
class Scratch {
 public:
  explicit Scratch(float* begin) : next_(begin) {}
  float* take(size_t floats) {
    float* const taken = next_;
    next_ += padded_lanes(floats);
    return taken;
  }

 private:
  float* next_;
};

// The sources of images one after the other, padded in `scratch` where they must be: so, or because vectors that begin
// in an image are read up to `behind` floats behind its end.
class ImageSource {
 public:
  ImageSource(const Windows& w, const float* images, float* scratch, size_t behind = 0)
      : windows_(w),
        shape_(padded_input(w)),
        images_(images),
        scratch_(is_whole(shape_) && !behind ? nullptr : scratch) {
    if (scratch_) memset(scratch_, 0, (shape_.size() + behind) * sizeof(float));
  }
  TapSource of(size_t sample) const {
    const Windows& w = windows_;
    const float* image = images_ + sample * w.input_height * w.input_width * w.channels;
    if (scratch_) copy_into(shape_, image, scratch_);
    TapSource source = shape();
    source.data = scratch_ ? scratch_ : image;
    return source;
  }
  // The distances alone.
  TapSource shape() const {
    const Windows& w = windows_;
    const size_t row = scratch_ ? shape_.row() : w.input_width * w.channels;
    return {nullptr, row, w.stride_y * row, w.stride_x * w.channels, w.kernel_height, w.kernel_width * w.channels};
  }

 private:
  const Windows& windows_;
  const PaddedShape shape_;
  const float* const images_;
  float* const scratch_;
};

inline Inside inside_of(const PaddedShape& s) {
  return {{s.top, smaller(s.height, s.top + s.image_height)}, {s.left, smaller(s.width, s.left + s.image_width)}};
}

// Which of `taps` in a row reach into a range, of windows of which the first begins at `first` and the last at `last`.
inline Range taps_inside(size_t first, size_t last, size_t taps, const Range& inside) {
  const size_t begin = last < inside.begin ? smaller(inside.begin - last, taps) : 0;
  const size_t end = first < inside.end ? smaller(inside.end - first, taps) : 0;
  return {begin, larger(begin, end)};
}

// Weights [taps, filters] whose rows can be read in whole vectors.
struct FilterMatrix {
  const float* data;
  size_t stride;
};

inline size_t whole_vectors(size_t columns) { return (columns + kLanes - 1) / kLanes * kLanes; }

inline FilterMatrix whole_filters(const float* weights, size_t taps, size_t filters, float* scratch) {
  const size_t stride = whole_vectors(filters);
  if (stride == filters) return {weights, filters};
  for (size_t k = 0; k < taps; k++) {
    for (size_t j = 0; j < stride; j++) scratch[k * stride + j] = j < filters ? weights[k * filters + j] : 0.0f;
  }
  return {scratch, stride};
}

// A tile of positions: kRows below each other, kColumns side by side.
struct ConvTile {
  TapSource source;  // of the first position, without taps that meet padding alone
  FilterMatrix weights;
  size_t skipped;     // rows of weights between two rows of taps
  const float* bias;  // whole vectors
  float* output;      // of the first position, or pool
  int32_t* winners;
  size_t filters;  // from one position's output to the next one's
  size_t tail;     // lanes of the last vector
  bool relu;       // behind a pool
};

template <int kRows, int kColumns, int kVecs>
MNIST_TRAIN_INLINE void accumulate_taps(const ConvTile& tile, Vec (&acc)[kRows * kColumns][kVecs]) {
  MNIST_TRAIN_UNROLL
  for (int i = 0; i < kRows * kColumns; i++) {
    for (int v = 0; v < kVecs; v++) acc[i][v] = load(tile.bias + v * kLanes);
  }
  const size_t step_x = tile.source.step_x * sizeof(float), step_y = tile.source.step_y * sizeof(float);
  const size_t weights_step = tile.weights.stride * sizeof(float);
  const size_t weights_skip = tile.skipped * weights_step;
  const float* row = tile.source.data;
  const float* w = tile.weights.data;
  for (size_t ky = tile.source.kernel_height; ky > 0; ky--) {
    const float* x = row;
    for (size_t k = tile.source.row_taps; k > 0; k--) {
      Vec filters[kVecs];
      for (int v = 0; v < kVecs; v++) filters[v] = load(w + v * kLanes);
      MNIST_TRAIN_UNROLL
      for (int r = 0; r < kRows; r++) {
        MNIST_TRAIN_UNROLL
        for (int q = 0; q < kColumns; q++) {
          const Vec factor = set1(*step(x, r * step_y + q * step_x));
          for (int v = 0; v < kVecs; v++) {
            acc[r * kColumns + q][v] = fma(factor, filters[v], acc[r * kColumns + q][v]);
          }
        }
      }
      x++;
      w = step(w, weights_step);
    }
    w = step(w, weights_skip);
    row += tile.source.row;
  }
}

template <int kColumns, int kVecs>
void conv_tile(const ConvTile& tile) {
  Vec acc[kColumns][kVecs];
  accumulate_taps<1, kColumns, kVecs>(tile, acc);
  MNIST_TRAIN_UNROLL
  for (int q = 0; q < kColumns; q++) {
    for (int v = 0; v < kVecs; v++) {
      store_lanes(tile.output + q * tile.filters + v * kLanes, acc[q][v], v == kVecs - 1 ? tile.tail : kLanes);
    }
  }
}

// The first of the largest of four, and which it was, as bits.
struct Best {
  Vec value, place;
  MNIST_TRAIN_INLINE void meet(Vec other, int32_t number) {
    const Mask larger = less(value, other);
    value = select(larger, other, value);
    place = select(larger, set1_bits(number), place);
  }
  // winners may be null.
  MNIST_TRAIN_INLINE void store_to(size_t at, size_t lanes, float* output, int32_t* winners, bool relu) {
    if (relu) value = zero_where(less_equal(value, zero()), value);
    store_lanes(output + at, value, lanes);
    if (winners) store_lanes(reinterpret_cast<float*>(winners + at), place, lanes);
  }
};

template <int kPools, int kVecs>
void pool_tile(const ConvTile& tile) {
  constexpr int kColumns = 2 * kPools;
  Vec acc[2 * kColumns][kVecs];
  accumulate_taps<2, kColumns, kVecs>(tile, acc);
  MNIST_TRAIN_UNROLL
  for (int q = 0; q < kPools; q++) {
    for (int v = 0; v < kVecs; v++) {
      Best best = {acc[2 * q][v], zero()};
      best.meet(acc[2 * q + 1][v], 1);
      best.meet(acc[kColumns + 2 * q][v], 2);
      best.meet(acc[kColumns + 2 * q + 1][v], 3);
      best.store_to(q * tile.filters + v * kLanes, v == kVecs - 1 ? tile.tail : kLanes, tile.output, tile.winners,
                    tile.relu);
    }
  }
}

// The widest tiles: accumulators, the vectors of a row of weights and a broadcast must stay in registers.
constexpr int most_positions(int vecs) { return kConvAccumulators / vecs < 12 ? kConvAccumulators / vecs : 12; }
constexpr int most_pools(int vecs) { return kConvAccumulators / vecs / 4; }

using ConvTileFunction = void (*)(const ConvTile&);

template <int kColumns, int kVecs>
ConvTileFunction conv_tile_of_width(size_t columns) {
  if constexpr (kColumns > 1) {
    if (columns < kColumns) return conv_tile_of_width<kColumns - 1, kVecs>(columns);
  }
  return conv_tile<kColumns, kVecs>;
}

template <int kPools, int kVecs>
ConvTileFunction pool_tile_of_width(size_t pools) {
  if constexpr (kPools > 1) {
    if (pools < kPools) return pool_tile_of_width<kPools - 1, kVecs>(pools);
  }
  return pool_tile<kPools, kVecs>;
}

// A row of positions or pools in tiles whose widths differ by one at most: the wider ones first.
struct Cut {
  size_t tiles, wider, width;
  ConvTileFunction run_wider, run;
};

template <int kVecs>
Cut cut_row(size_t vecs, size_t count, bool pool) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return cut_row<kVecs - 1>(vecs, count, pool);
  }
  constexpr int kMost = most_positions(kVecs), kMostPools = most_pools(kVecs);
  const size_t most = pool ? kMostPools : kMost;
  const size_t tiles = (count + most - 1) / most, width = count / tiles;
  const auto of_width = [&](size_t columns) {
    return pool ? pool_tile_of_width<kMostPools, kVecs>(columns) : conv_tile_of_width<kMost, kVecs>(columns);
  };
  return {tiles, count % tiles, width, of_width(width + 1), of_width(width)};
}

// Calls visit(first vector, vectors) for panels of filters of nearly equal width.
template <class Visit>
inline void for_panels(size_t filters, const Visit& visit) {
  const size_t vecs = (filters + kLanes - 1) / kLanes;
  const size_t panels = (vecs + kConvVecs - 1) / kConvVecs;
  for (size_t panel = 0; panel < panels; panel++) visit(vecs * panel / panels, vecs * (panel + 1) / panels);
}

struct ConvOutput {
  float* values;
  int32_t* winners;  // with a pool
  bool pool, relu;
};

// A product of the windows of one image: `height` x `width` positions, or half as many pools. Distances between
// positions are strides, in padded pixels of `channels` floats.
struct Convolution {
  TapSource source;
  Inside inside;
  size_t stride_y, stride_x, channels;
  FilterMatrix weights;
  const float* bias;
  size_t filters, height, width;
};

// Places a tile: `positions` side by side from column x on, `rows` below each other from row y on. Rows and columns of
// taps that meet padding alone are left out: of a full convolution of 8 x 8 gradients by 5 x 5, a third.
inline void place_tile(const Convolution& c, size_t first, size_t y, size_t rows, size_t x, size_t positions,
                       ConvTile* tile) {
  const TapSource& source = c.source;
  const size_t top = y * c.stride_y, left = x * c.stride_x;
  const Range ky = taps_inside(top, top + (rows - 1) * c.stride_y, source.kernel_height, c.inside.rows);
  const Range kx =
      taps_inside(left, left + (positions - 1) * c.stride_x, source.row_taps / c.channels, c.inside.columns);
  tile->source.kernel_height = ky.size();
  tile->source.row_taps = kx.size() * c.channels;
  tile->source.data =
      source.data + y * source.step_y + x * source.step_x + ky.begin * source.row + kx.begin * c.channels;
  tile->weights.data = c.weights.data + (ky.begin * source.row_taps + kx.begin * c.channels) * c.weights.stride + first;
  tile->skipped = source.row_taps - tile->source.row_taps;
}

inline void convolve(const Convolution& c, const ConvOutput& output) {
  const size_t scale = output.pool ? 2 : 1;
  const size_t rows = c.height / scale, columns = c.width / scale;
  for_panels(c.filters, [&](size_t begin, size_t end) {
    const size_t first = begin * kLanes;
    const Cut cut = cut_row<kConvVecs>(end - begin, columns, output.pool);
    ConvTile tile = {c.source, c.weights, 0, c.bias + first, nullptr, nullptr, c.filters, 0, output.relu};
    tile.tail = smaller(end * kLanes, c.filters) - (end - 1) * kLanes;
    for (size_t y = 0; y < rows; y++) {
      size_t x = 0;
      for (size_t i = 0; i < cut.tiles; i++) {
        const size_t width = cut.width + (i < cut.wider);
        const size_t at = (y * columns + x) * c.filters + first;
        place_tile(c, first, scale * y, scale, scale * x, scale * width, &tile);
        tile.output = output.values + at;
        tile.winners = output.winners ? output.winners + at : nullptr;
        (i < cut.wider ? cut.run_wider : cut.run)(tile);
        x += width;
      }
    }
  });
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_INL_H_
