// Convolution of images, backward, with a 2 x 2 max-pool behind it: only the winner of a pool has a gradient, and none
// where a rectifier let nothing through. These kernels go from winner to winner, an eighth of the positions or so.
//
// Weights: by filter, lists of (where the winner's window begins, gradient); the window, some stretches of memory,
// times the gradient is added to the filter's sums, which stay in registers. Input: by position, a list of (filter,
// gradient); the filters' weights times the gradients are added to the window.
#ifndef MNIST_TRAIN_KERNELS_CONV_POOL_BACKWARD_INL_H_
#define MNIST_TRAIN_KERNELS_CONV_POOL_BACKWARD_INL_H_

#include <string.h>

#include "conv-bias-inl.h"
#include "conv-inl.h"
#include "conv-lists-inl.h"
#include "kernels.h"
#include "sparse-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// The winners of an image, by filter: lists of (where the window begins, gradient), pool by pool. What lies in memory
// filter by filter, pool after pool, is turned round first, so that a filter's list is made by vectors of pools.
class WinnerLists {
 public:
  WinnerLists(const Windows& w, const TapSource& source, size_t filters, Scratch* scratch)
      : pools_((w.output_height / 2) * (w.output_width / 2)),
        filters_(filters),
        stride_(padded_lanes(pools_)),
        gradients_(scratch->take(filters * stride_)),
        winners_(scratch->take(filters * stride_)),
        list_(reinterpret_cast<NonZero*>(scratch->take(2 * (stride_ + kMostLanes)))) {
    const size_t steps[4] = {0, source.step_x, source.step_y, source.step_y + source.step_x};
    for (size_t place = 0; place < 4; place++) {
      begins_[place] = reinterpret_cast<uint32_t*>(scratch->take(stride_));
      uint32_t* begin = begins_[place];
      for (size_t y = 0; y < w.output_height / 2; y++) {
        for (size_t x = 0; x < w.output_width / 2; x++) {
          *begin++ = static_cast<uint32_t>(2 * (y * source.step_y + x * source.step_x) + steps[place]);
        }
      }
    }
  }

  void take(const float* d_output, const int32_t* winners) {
    transpose(d_output, filters_, pools_, filters_, gradients_, stride_);
    transpose(reinterpret_cast<const float*>(winners), filters_, pools_, filters_, winners_, stride_);
  }

  // The list of one filter, which is there until another one is made.
  WindowList list(size_t filter) const {
    const float* const gradients = gradients_ + filter * stride_;
    const float* const winners = winners_ + filter * stride_;
    NonZero* end = list_;
    for (size_t i = 0; i < pools_; i += kLanes) {
      const size_t lanes = smaller(kLanes, pools_ - i);
      const Vec gradient = load_lanes(gradients + i, lanes), winner = load(winners + i);
      // Winners are compared as floats: their bits are those of tiny numbers, which comparisons do not flush.
      Vec begin = load_bits(begins_[0] + i);
      for (int32_t place = 0; place < 3; place++) {
        begin = select(less(set1_bits(place), winner), load_bits(begins_[place + 1] + i), begin);
      }
      const Mask won = not_equal(gradient, zero());
      store_pairs(reinterpret_cast<float*>(end), compress(begin, won), compress(gradient, won));
      end += count(won);
    }
    return {list_, static_cast<size_t>(end - list_)};
  }

 private:
  static Vec load_bits(const uint32_t* words) { return load(reinterpret_cast<const float*>(words)); }

  const size_t pools_, filters_, stride_;
  float* const gradients_;
  float* const winners_;
  NonZero* const list_;
  uint32_t* begins_[4];  // of the windows of each pool, by place
};

inline void pooled_weights_gradient(const Conv2dBackwardArgs& args, Range samples, Scratch scratch) {
  const Windows& w = args.windows;
  const TapRows rows = {w.kernel_height, w.kernel_width * w.channels};
  const size_t stride = rows.rows * rows.padded(), filters = args.filters, weights = taps_of(w) * filters;
  const size_t pools = (w.output_height / 2) * (w.output_width / 2) * filters;
  float* const sums = scratch.take(filters * stride);
  const ImageSource images(w, args.input, scratch.take(padded_input(w).size() + kMostLanes), kMostLanes);
  WinnerLists lists(w, images.shape(), filters, &scratch);
  const WindowAdder adder(rows);
  for_samples_in_parts(
      args, samples, [&](size_t) { memset(sums, 0, filters * stride * sizeof(float)); },
      [&](size_t sample) {
        const TapSource source = images.of(sample);
        lists.take(args.d_output + sample * pools, args.winners + sample * pools);
        for (size_t f = 0; f < filters; f++) {
          adder.add({lists.list(f), source.data, source.row, sums + f * stride, rows.padded()});
        }
      },
      [&](size_t part) {
        for (size_t row = 0; row < rows.rows; row++) {
          transpose(sums + row * rows.padded(), stride, filters, rows.taps,
                    args.d_weight_parts + part * weights + row * rows.taps * filters, filters);
        }
      });
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
