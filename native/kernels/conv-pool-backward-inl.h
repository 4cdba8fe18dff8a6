// Convolution of images, backward, with a 2 x 2 max-pool behind it: only the winner of a pool has a gradient, and none
// where a rectifier let nothing through. These kernels go from winner to winner, an eighth of the positions or so.
//
// Weights: by filter, lists of (where the winner's window begins, gradient); the window, some stretches of memory,
// times the gradient is added to the filter's sums, which stay in registers. Input: by position, a list of (filter,
// gradient); the filters' weights times the gradients are added to the window.
#ifndef MNIST_TRAIN_KERNELS_CONV_POOL_BACKWARD_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_POOL_BACKWARD_INL_H_

#include <string.h>

#include "conv-inl.h"
#include "kernels.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// Images one after the other, such that the taps of a window are rows as tap_rows() says, and whole vectors can be read
// from where a row begins. Where rows are short, the rows of a window are interleaved: [y][x][ky][channels].
class WindowRows {
 public:
  WindowRows(const Windows& w, const float* images, Scratch* scratch)
      : windows_(w),
        shape_(padded_input(w)),
        images_(images),
        padded_(scratch->take(shape_.size() + kMostLanes)),
        interleaved_(interleaves(w) ? scratch->take(w.output_height * w.kernel_height * shape_.row() + kMostLanes)
                                    : nullptr) {
    memset(padded_, 0, (shape_.size() + kMostLanes) * sizeof(float));
    if (!interleaved_) return;
    memset(interleaved_, 0, (w.output_height * w.kernel_height * shape_.row() + kMostLanes) * sizeof(float));
  }

  TapSource take(size_t sample) {
    const Windows& w = windows_;
    copy_into(shape_, images_ + sample * w.input_height * w.input_width * w.channels, padded_);
    const TapRows rows = tap_rows(w);
    const size_t row = shape_.row();
    if (!interleaved_) return {padded_, row, w.stride_y * row, w.stride_x * w.channels, rows.rows, rows.taps};
    for (size_t pool = 0; pool < w.output_height / 2; pool++) {
      bands_[pool % kBands] = counts_pixels() ? band_of(pool) : ~uint64_t{0};
      if (bands_[pool % kBands] == 0) continue;
      interleave(2 * pool);
      interleave(2 * pool + 1);
    }
    return {interleaved_, 0, w.kernel_height * row, w.stride_x * w.kernel_height * w.channels, rows.rows, rows.taps};
  }

  // The numbers of the pools that have a value other than zero under them, or of all where that is not known, and where
  // their first windows begin.
  size_t list_pools(const TapSource& source, uint32_t* numbers, uint32_t* begins) const {
    const Windows& w = windows_;
    const size_t rows = w.output_height / 2, columns = w.output_width / 2, width = w.stride_x + w.kernel_width;
    const bool counts = counts_pixels();
    size_t count = 0;
    for (size_t y = 0; y < rows; y++) {
      const uint64_t band = counts ? bands_[y] : 0;
      for (size_t x = 0; x < columns; x++) {
        numbers[count] = static_cast<uint32_t>(y * columns + x);
        begins[count] = static_cast<uint32_t>(2 * (y * source.step_y + x * source.step_x));
        count += !counts || (band >> (2 * x * w.stride_x) & ((uint64_t{1} << width) - 1)) != 0;
      }
    }
    return count;
  }

 private:
  static constexpr size_t kBands = 32;

  // Whether the pixels of a row are bits of a word, and there is a word for each row of pools.
  bool counts_pixels() const {
    return interleaved_ && windows_.channels == 1 && shape_.width < 64 && windows_.output_height / 2 <= kBands;
  }

  // The columns of pixels under a row of pools that are not zero.
  uint64_t band_of(size_t pool) const {
    const Windows& w = windows_;
    uint64_t bits = 0;
    for (size_t y = 2 * pool * w.stride_y; y < (2 * pool + 1) * w.stride_y + w.kernel_height; y++) {
      for (size_t x = 0; x < shape_.width; x += kLanes) {
        const Vec pixels = load_lanes(padded_ + y * shape_.width + x, smaller(kLanes, shape_.width - x));
        bits |= static_cast<uint64_t>(lane_bits(not_equal(pixels, zero()))) << x;
      }
    }
    return bits;
  }

  // Row y of windows.
  void interleave(size_t y) {
    const Windows& w = windows_;
    const size_t row = shape_.row(), height = w.kernel_height, channels = w.channels;
    float* const to = interleaved_ + y * height * row;
    for (size_t ky = 0; ky < height; ky++) {
      const float* const from = padded_ + (y * w.stride_y + ky) * row;
      if (channels == 1) {
        for (size_t x = 0; x < row; x++) to[x * height + ky] = from[x];
        continue;
      }
      for (size_t x = 0; x < shape_.width; x++) {
        for (size_t c = 0; c < channels; c++) to[(x * height + ky) * channels + c] = from[x * channels + c];
      }
    }
  }

  const Windows& windows_;
  const PaddedShape shape_;
  const float* const images_;
  float* const padded_;
  float* const interleaved_;
  uint64_t bands_[kBands];
};

// Who won, for one filter.
struct WinnerList {
  const NonZero* entries;  // index: where the window begins
  size_t count;
};

// sums[rows of taps, vectors] += window * gradient for every entry of a list.
struct WinnerSums {
  WinnerList list;
  const float* input;
  size_t row;  // from a row of taps to the next
  float* sums;
  size_t sums_row;
};

template <int kRows, int kVecs>
void add_windows(const WinnerSums& w) {
  Vec acc[kRows][kVecs];
  MNIST_TRAIN_UNROLL
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVecs; v++) acc[r][v] = load(w.sums + r * w.sums_row + v * kLanes);
  }
  for (size_t i = 0; i < w.list.count; i++) {
    const float* const x = w.input + w.list.entries[i].index;
    const Vec gradient = set1(w.list.entries[i].value);
    MNIST_TRAIN_UNROLL
    for (int r = 0; r < kRows; r++) {
      for (int v = 0; v < kVecs; v++) acc[r][v] = fma(load(x + r * w.row + v * kLanes), gradient, acc[r][v]);
    }
  }
  MNIST_TRAIN_UNROLL
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < kVecs; v++) store(w.sums + r * w.sums_row + v * kLanes, acc[r][v]);
  }
}

// Vectors of a row that are taken at once, such that the sums stay in registers.
constexpr int most_window_vecs(int rows) { return kConvAccumulators / rows < 8 ? kConvAccumulators / rows : 8; }

template <int kRows, int kVecs>
void add_windows_of_width(size_t vecs, const WinnerSums& w) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return add_windows_of_width<kRows, kVecs - 1>(vecs, w);
  }
  add_windows<kRows, kVecs>(w);
}

template <int kRows>
void add_window_rows(WinnerSums w, size_t vecs) {
  constexpr size_t kMost = most_window_vecs(kRows);
  const size_t passes = (vecs + kMost - 1) / kMost;
  for (size_t pass = 0; pass < passes; pass++) {
    const size_t begin = vecs * pass / passes, end = vecs * (pass + 1) / passes;
    WinnerSums own = w;
    own.input += begin * kLanes;
    own.sums += begin * kLanes;
    add_windows_of_width<kRows, kMost>(end - begin, own);
  }
}

// One row of taps, for two filters as far as both lists go. Few vectors are as few chains, and each waits for itself:
// two filters take turns.
template <int kVecs>
void add_windows_of_two(WinnerSums a, WinnerSums b) {
  const size_t both = smaller(a.list.count, b.list.count);
  Vec first[kVecs], second[kVecs];
  for (int v = 0; v < kVecs; v++) first[v] = load(a.sums + v * kLanes);
  for (int v = 0; v < kVecs; v++) second[v] = load(b.sums + v * kLanes);
  for (size_t i = 0; i < both; i++) {
    const float* const x = a.input + a.list.entries[i].index;
    const float* const y = b.input + b.list.entries[i].index;
    const Vec gradient = set1(a.list.entries[i].value), other = set1(b.list.entries[i].value);
    for (int v = 0; v < kVecs; v++) first[v] = fma(load(x + v * kLanes), gradient, first[v]);
    for (int v = 0; v < kVecs; v++) second[v] = fma(load(y + v * kLanes), other, second[v]);
  }
  for (int v = 0; v < kVecs; v++) store(a.sums + v * kLanes, first[v]);
  for (int v = 0; v < kVecs; v++) store(b.sums + v * kLanes, second[v]);
  a.list = {a.list.entries + both, a.list.count - both};
  b.list = {b.list.entries + both, b.list.count - both};
  add_windows<1, kVecs>(a.list.count > 0 ? a : b);
}

constexpr size_t kFewVecs = 4;

template <int kVecs>
void add_windows_of_two(size_t vecs, const WinnerSums& a, const WinnerSums& b) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return add_windows_of_two<kVecs - 1>(vecs, a, b);
  }
  add_windows_of_two<kVecs>(a, b);
}

inline void add_winners(WinnerSums w, const TapRows& rows) {
  const size_t vecs = (rows.taps + kLanes - 1) / kLanes;
  if (rows.rows == 3 && kConvAccumulators >= 3 * 3) return add_window_rows<3>(w, vecs);
  if (rows.rows == 5 && kConvAccumulators >= 5 * 2) return add_window_rows<5>(w, vecs);
  for (size_t r = 0; r < rows.rows; r++) {
    add_window_rows<1>(w, vecs);
    w.input += w.row;
    w.sums += w.sums_row;
  }
}

// The winners of an image, by filter: lists of (where the window begins, gradient), pool by pool. What lies in memory
// filter by filter, pool after pool, is turned round first, so that a filter's list is made by vectors of pools.
class WinnerLists {
 public:
  WinnerLists(const Windows& w, size_t filters, Scratch* scratch)
      : columns_(w.output_width / 2),
        pools_(w.output_height / 2 * columns_),
        filters_(filters),
        stride_(padded_lanes(pools_)),
        gradients_(scratch->take(filters * stride_)),
        winners_(scratch->take(filters * stride_)),
        numbers_(reinterpret_cast<uint32_t*>(scratch->take(stride_))) {
    for (NonZero*& list : lists_) list = reinterpret_cast<NonZero*>(scratch->take(2 * (stride_ + kMostLanes)));
    for (uint32_t*& places : places_) places = reinterpret_cast<uint32_t*>(scratch->take(stride_));
  }

  // Of the pools that images shows to have pixels under them; the gradients of the others meet zeros alone.
  void take(const WindowRows& images, const TapSource& source, const float* d_output, const int32_t* winners) {
    count_ = images.list_pools(source, numbers_, places_[0]);
    const size_t steps[4] = {0, source.step_x, source.step_y, source.step_y + source.step_x};
    for (size_t place = 1; place < 4; place++) {
      for (size_t i = 0; i < count_; i++) places_[place][i] = places_[0][i] + static_cast<uint32_t>(steps[place]);
    }
    turn_round(d_output, gradients_);
    turn_round(reinterpret_cast<const float*>(winners), winners_);
  }

  // The list of one filter, which is there until another is made in the same room.
  WinnerList list(size_t filter, size_t room) const {
    const float* const gradients = gradients_ + filter * stride_;
    const float* const winners = winners_ + filter * stride_;
    NonZero* end = lists_[room];
    for (size_t i = 0; i < count_; i += kLanes) {
      const size_t lanes = smaller(kLanes, count_ - i);
      const Vec gradient = load_lanes(gradients + i, lanes), winner = load(winners + i);
      Vec place = load_bits(places_[0] + i);
      for (int32_t number = 0; number < 3; number++) {
        place = select(less(set1_bits(number), winner), load_bits(places_[number + 1] + i), place);
      }
      const Mask won = not_equal(gradient, zero());
      store_pairs(reinterpret_cast<float*>(end), compress(place, won), compress(gradient, won));
      end += count(won);
    }
    return {lists_[room], static_cast<size_t>(end - lists_[room])};
  }

 private:
  static Vec load_bits(const uint32_t* words) { return load(reinterpret_cast<const float*>(words)); }

  // to[filter, i] = from[pool number i, filter]
  void turn_round(const float* from, float* to) const {
    const auto pool = [&](size_t i) { return from + numbers_[i] * filters_; };
    transpose_rows(pool, count_, filters_, to, stride_);
  }

  const size_t columns_, pools_, filters_, stride_;
  float* const gradients_;
  float* const winners_;
  uint32_t* const numbers_;  // of the pools
  uint32_t* places_[4];      // where the windows of each pool begin
  NonZero* lists_[2];
  size_t count_ = 0;
};

// From sums by filter, rows of taps in whole vectors, to [taps, filters].
inline void store_part(const Windows& w, size_t filters, const float* sums, const TapRows& rows, float* part) {
  const size_t stride = rows.rows * rows.padded();
  if (!interleaves(w)) {
    for (size_t row = 0; row < rows.rows; row++) {
      transpose(sums + row * rows.padded(), stride, filters, rows.taps, part + row * rows.taps * filters, filters);
    }
    return;
  }
  for (size_t kx = 0; kx < w.kernel_width; kx++) {
    for (size_t ky = 0; ky < w.kernel_height; ky++) {
      const float* from = sums + (kx * w.kernel_height + ky) * w.channels;
      float* to = part + (ky * w.kernel_width + kx) * w.channels * filters;
      for (size_t c = 0; c < w.channels; c++) {
        for (size_t f = 0; f < filters; f++) to[c * filters + f] = from[f * stride + c];
      }
    }
  }
}

// sums[columns] += the rows of a matrix, in their order
inline void add_rows(const float* rows, size_t count, size_t columns, float* sums) {
  for (size_t j = 0; j < columns; j += kLanes) {
    const size_t lanes = smaller(kLanes, columns - j);
    Vec sum = load_lanes(sums + j, lanes);
    for (size_t i = 0; i < count; i++) sum = add(sum, load_lanes(rows + i * columns + j, lanes));
    store_lanes(sums + j, sum, lanes);
  }
}

inline void pooled_weights_gradient(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  const TapRows rows = tap_rows(w);
  const size_t size = rows.rows * rows.padded(), filters = args.filters;
  const size_t vecs = (rows.taps + kLanes - 1) / kLanes;
  const bool few = rows.rows == 1 && vecs <= kFewVecs;
  float* const sums = scratch.take(filters * size);
  WinnerLists lists(w, filters, &scratch);
  WindowRows images(w, args.input, &scratch);
  const size_t pools = (w.output_height / 2) * (w.output_width / 2);
  for (size_t first = samples.begin; first < samples.end; first += kSamplesPerPart) {
    const size_t part = first / kSamplesPerPart;
    float* const bias = args.d_bias_parts ? args.d_bias_parts + part * filters : nullptr;
    memset(sums, 0, filters * size * sizeof(float));
    if (bias) memset(bias, 0, filters * sizeof(float));
    for (size_t sample = first; sample < smaller(first + kSamplesPerPart, samples.end); sample++) {
      const TapSource source = images.take(sample);
      const float* const d_output = args.d_output + sample * pools * filters;
      if (bias) add_rows(d_output, pools, filters, bias);
      if (!args.d_weight_parts) continue;
      lists.take(images, source, d_output, args.winners + sample * pools * filters);
      const auto winners_of = [&](size_t f, size_t room) {
        return WinnerSums{lists.list(f, room), source.data, source.row, sums + f * size, rows.padded()};
      };
      size_t f = 0;
      for (; few && f + 2 <= filters; f += 2) {
        add_windows_of_two<kFewVecs>(vecs, winners_of(f, 0), winners_of(f + 1, 1));
      }
      for (; f < filters; f++) add_winners(winners_of(f, 0), rows);
    }
    if (args.d_weight_parts) {
      store_part(w, filters, sums, rows, args.d_weight_parts + part * taps_of(w) * filters);
    }
  }
}

// to[f][ky] = the row of taps [kx, c] of weights[ky, kx, c, f], in whole vectors.
inline void weights_by_filter(const float* weights, const Windows& w, size_t filters, float* to) {
  const size_t taps = w.kernel_width * w.channels, padded = padded_lanes(taps);
  memset(to, 0, filters * w.kernel_height * padded * sizeof(float));
  for (size_t ky = 0; ky < w.kernel_height; ky++) {
    transpose(weights + ky * taps * filters, filters, taps, filters, to + ky * padded, w.kernel_height * padded);
  }
}

// The filters that won at one position, with their gradients.
struct PositionList {
  NonZero* entries;  // index: the filter
  size_t count;
};

// The filters of a pool that won at its positions `place` and `place` + 1. Winners are compared as floats: their bits
// are those of tiny numbers, which comparisons do not flush.
inline void list_winners(const float* d_output, const int32_t* winners, size_t filters, int32_t place,
                         PositionList (&lists)[2]) {
  constexpr int32_t kNobody = 4;
  lists[0].count = lists[1].count = 0;
  for (size_t f = 0; f < filters; f += kLanes) {
    const size_t lanes = smaller(kLanes, filters - f);
    const Vec gradient = load_lanes(d_output + f, lanes);
    // No gradient, no winner; lanes behind the last filter are zero too.
    const Vec winner = select(not_equal(gradient, zero()),
                              load_lanes(reinterpret_cast<const float*>(winners + f), lanes), set1_bits(kNobody));
    for (size_t i = 0; i < 2; i++) {
      const Mask won = less_equal(abs(sub(winner, set1_bits(place + static_cast<int32_t>(i)))), zero());
      NonZero* const end = lists[i].entries + lists[i].count;
      store_pairs(reinterpret_cast<float*>(end), compress(index_bits(static_cast<uint32_t>(f)), won),
                  compress(gradient, won));
      lists[i].count += count(won);
    }
  }
}

// window += Σ over the list of weights * gradient, one row of taps.
struct WindowAddition {
  const PositionList& list;
  const float* weights;  // of the first filter's row
  size_t filter_size;
  float* window;
};

template <int kVecs>
void add_filters(const WindowAddition& a) {
  Vec acc[kVecs];
  for (int v = 0; v < kVecs; v++) acc[v] = load(a.window + v * kLanes);
  for (size_t i = 0; i < a.list.count; i++) {
    const float* const w = a.weights + a.list.entries[i].index * a.filter_size;
    const Vec gradient = set1(a.list.entries[i].value);
    for (int v = 0; v < kVecs; v++) acc[v] = fma(gradient, load(w + v * kLanes), acc[v]);
  }
  for (int v = 0; v < kVecs; v++) store(a.window + v * kLanes, acc[v]);
}

template <int kVecs>
void add_filters_of_width(size_t vecs, const WindowAddition& a) {
  if constexpr (kVecs > 1) {
    if (vecs < kVecs) return add_filters_of_width<kVecs - 1>(vecs, a);
  }
  add_filters<kVecs>(a);
}

inline void add_to_window(const PositionList& list, const float* weights, const TapRows& rows, float* window,
                          size_t window_row) {
  constexpr size_t kMost = 8;
  const size_t vecs = (rows.taps + kLanes - 1) / kLanes, filter_size = rows.rows * rows.padded();
  for (size_t row = 0; row < rows.rows; row++) {
    for (size_t v = 0; v < vecs; v += kMost) {
      add_filters_of_width<kMost>(smaller(kMost, vecs - v),
                                  {list, weights + v * kLanes, filter_size, window + v * kLanes});
    }
    weights += rows.padded();
    window += window_row;
  }
}

// Copies the image out of its padded shape.
inline void copy_out(const PaddedShape& s, const float* padded, float* image) {
  const size_t rows = smaller(s.image_height, s.height - s.top);
  const size_t columns = smaller(s.image_width, s.width - s.left) * s.channels;
  const size_t row = s.image_width * s.channels;
  for (size_t y = 0; y < s.image_height; y++) {
    float* const to = image + y * row;
    const size_t copied = y < rows ? columns : 0;
    if (copied > 0) memcpy(to, padded + (s.top + y) * s.row() + s.left * s.channels, copied * sizeof(float));
    memset(to + copied, 0, (row - copied) * sizeof(float));
  }
}

inline void pooled_input_gradient(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  const PaddedShape shape = padded_input(w);
  const size_t filters = args.filters, taps = w.kernel_width * w.channels;
  const TapRows rows = {w.kernel_height, taps};
  float* const weights = scratch.take(filters * rows.rows * rows.padded());
  weights_by_filter(args.weights, w, filters, weights);
  PositionList lists[2];
  for (PositionList& list : lists) list.entries = reinterpret_cast<NonZero*>(scratch.take(2 * (filters + kMostLanes)));
  float* const padded = scratch.take(shape.size() + kMostLanes);
  const size_t pool_rows = w.output_height / 2, pool_columns = w.output_width / 2;
  const size_t pools = pool_rows * pool_columns * filters;
  const size_t step_y = w.stride_y * shape.row(), step_x = w.stride_x * w.channels;
  for (size_t sample = samples.begin; sample < samples.end; sample++) {
    memset(padded, 0, (shape.size() + kMostLanes) * sizeof(float));
    for (size_t y = 0; y < 2 * pool_rows; y++) {
      for (size_t x = 0; x < pool_columns; x++) {
        const size_t at = sample * pools + (y / 2 * pool_columns + x) * filters;
        list_winners(args.d_output + at, args.winners + at, filters, static_cast<int32_t>(y % 2 * 2), lists);
        for (size_t i = 0; i < 2; i++) {
          if (lists[i].count == 0) continue;
          add_to_window(lists[i], weights, rows, padded + y * step_y + (2 * x + i) * step_x, shape.row());
        }
      }
    }
    copy_out(shape, padded, args.d_input + sample * w.input_height * w.input_width * w.channels);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_CONV_POOL_BACKWARD_INL_H_
