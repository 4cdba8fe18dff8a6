// Batch normalization. A batch is [rows, positions, channels]; its samples follow each other, so that rows and
// positions are one long column for each channel. Sums go down these columns, a part of samples each; what is done to
// single elements goes along memory, with the channels' numbers repeated in a pattern.
#ifndef MNIST_TRAIN_KERNELS_BATCH_NORM_INL_H_
#define MNIST_TRAIN_KERNELS_BATCH_NORM_INL_H_

#include "kernels.h"
#include "lanes-inl.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

inline float one_over(size_t n) { return static_cast<float>(1.0 / static_cast<double>(n)); }

// Samples of part p of a batch.
inline Range samples_of_part(size_t part, size_t rows) {
  return {part * kSamplesPerPart, smaller((part + 1) * kSamplesPerPart, rows)};
}

// Calls visit(part, first, count) for the parts of a slice's samples: which positions of the batch a part has.
template <class Visit>
inline void for_parts(size_t rows, size_t positions, Slice slice, const Visit& visit) {
  const Range own = share_samples(rows, slice);
  for (size_t part = own.begin / kSamplesPerPart; part < parts_of(own.end); part++) {
    const Range samples = samples_of_part(part, rows);
    visit(part, samples.begin * positions, samples.size() * positions);
  }
}

// Mean and sum of squared deviations of `count` positions: input[count, channels] -> mean[channels], squares[channels].
struct ChannelMoments {
  const float* input;
  size_t count, channels;
  float* mean;
  float* squares;

  template <int kVecs>
  void run(size_t channel, size_t width) const {
    VecRow<kVecs> means, sums;
    for (Vec& sum : means.vecs) sum = zero();
    for (Vec& sum : sums.vecs) sum = zero();
    for (size_t i = 0; i < count; i++) {
      const VecRow<kVecs> x = load_row<kVecs>(input + i * channels + channel, width);
      for (int v = 0; v < kVecs; v++) means.vecs[v] = add(means.vecs[v], x.vecs[v]);
    }
    for (Vec& sum : means.vecs) sum = mul(sum, set1(one_over(count)));
    for (size_t i = 0; i < count; i++) {
      const VecRow<kVecs> x = load_row<kVecs>(input + i * channels + channel, width);
      for (int v = 0; v < kVecs; v++) {
        const Vec d = sub(x.vecs[v], means.vecs[v]);
        sums.vecs[v] = add(sums.vecs[v], mul(d, d));
      }
    }
    store_row<kVecs>(mean + channel, means, width);
    store_row<kVecs>(squares + channel, sums, width);
  }
};

void channel_moments(const ChannelMomentsArgs& args, Slice slice) {
  for_parts(args.rows, args.positions, slice, [&](size_t part, size_t first, size_t count) {
    float* const mean = args.parts + part * 2 * args.channels;
    for_vec_rows(args.channels,
                 ChannelMoments{args.input + first * args.channels, count, args.channels, mean, mean + args.channels});
  });
}

inline void copy_channels(const float* from, float* to, size_t channels) {
  for (size_t c = 0; c < channels; c += kLanes) {
    const size_t lanes = smaller(kLanes, channels - c);
    store_lanes(to + c, load_lanes(from + c, lanes), lanes);
  }
}

// Adds a part to the moments of those before it, which have `before` values of a channel; it has `count`.
inline void merge_moments(const float* part, size_t before, size_t count, size_t channels, float* mean,
                          float* squares) {
  const double all = static_cast<double>(before + count);
  const Vec weight = set1(static_cast<float>(static_cast<double>(count) / all));
  const Vec between = set1(static_cast<float>(static_cast<double>(before) * static_cast<double>(count) / all));
  for (size_t c = 0; c < channels; c += kLanes) {
    const size_t lanes = smaller(kLanes, channels - c);
    const Vec m = load_lanes(mean + c, lanes);
    const Vec d = sub(load_lanes(part + c, lanes), m);
    const Vec added = add(load_lanes(part + channels + c, lanes), mul(mul(d, d), between));
    store_lanes(mean + c, add(m, mul(d, weight)), lanes);
    store_lanes(squares + c, add(load_lanes(squares + c, lanes), added), lanes);
  }
}

// moving = momentum * moving + (1 - momentum) * value
inline void follow(const BatchNormStatisticsArgs& args, const float* values, float* moving) {
  const Vec momentum = set1(args.momentum), rest = set1(args.one_minus_momentum);
  for (size_t c = 0; c < args.channels; c += kLanes) {
    const size_t lanes = smaller(kLanes, args.channels - c);
    const Vec kept = mul(momentum, load_lanes(moving + c, lanes));
    store_lanes(moving + c, add(kept, mul(rest, load_lanes(values + c, lanes))), lanes);
  }
}

// A few additions per channel and part: less than it takes threads to meet.
void batch_norm_statistics(const BatchNormStatisticsArgs& args, Slice slice) {
  if (slice.part != 0) return;
  const size_t channels = args.channels;
  copy_channels(args.parts, args.mean, channels);
  copy_channels(args.parts + channels, args.variance, channels);
  size_t before = samples_of_part(0, args.rows).size() * args.positions;
  for (size_t part = 1; part < parts_of(args.rows); part++) {
    const size_t count = samples_of_part(part, args.rows).size() * args.positions;
    merge_moments(args.parts + part * 2 * channels, before, count, channels, args.mean, args.variance);
    before += count;
  }
  const Vec factor = set1(one_over(before));
  for (size_t c = 0; c < channels; c += kLanes) {
    const size_t lanes = smaller(kLanes, channels - c);
    store_lanes(args.variance + c, mul(load_lanes(args.variance + c, lanes), factor), lanes);
  }
  follow(args, args.mean, args.moving_mean);
  follow(args, args.variance, args.moving_variance);
}

inline Vec inverse_of(const Normalization& n, size_t c, size_t lanes) {
  return div(set1(1.0f), sqrt(add(load_lanes(n.variance + c, lanes), set1(n.epsilon))));
}
inline Vec scale_of(const Normalization& n, size_t c, size_t lanes) {
  const Vec inverse = inverse_of(n, c, lanes);
  return n.gamma ? mul(load_lanes(n.gamma + c, lanes), inverse) : inverse;
}

// Numbers of the channels, repeated until behind the last channel there is a vector more. A vector of a batch that
// begins in any channel finds its numbers side by side.
struct Pattern {
  // In `memory`; value(c, lanes) gives the numbers of the channels from c on.
  template <class Value>
  Pattern(size_t channels, float* memory, const Value& value) : numbers(memory) {
    for (size_t c = 0; c < channels; c += kLanes) {
      const size_t lanes = smaller(kLanes, channels - c);
      store_lanes(memory + c, value(c, lanes), lanes);
    }
    for (size_t i = 0; i < kLanes; i++) memory[channels + i] = memory[i];
  }
  const float* numbers;
};

// Memory of pattern number i.
inline float* pattern_memory(const Normalization& n, Slice slice, size_t i) {
  return slice.scratch + i * (n.channels + kMostLanes);
}

// Calls visit(index, channel, lanes) for the vectors of the slice's samples.
template <class Visit>
inline void for_normalized(const Normalization& n, size_t rows, size_t positions, Slice slice, const Visit& visit) {
  const Range samples = share_samples(rows, slice);
  const size_t row = positions * n.channels, step = kLanes % n.channels;
  size_t channel = 0;
  for (size_t i = samples.begin * row; i < samples.end * row; i += kLanes) {
    visit(i, channel, smaller(kLanes, samples.end * row - i));
    channel += step;
    if (channel >= n.channels) channel -= n.channels;
  }
}

void batch_norm(const BatchNormArgs& args, Slice slice) {
  const Normalization& n = args.normalization;
  const auto memory = [&](size_t i) { return pattern_memory(n, slice, i); };
  const Pattern mean(n.channels, memory(0), [&](size_t c, size_t lanes) { return load_lanes(n.mean + c, lanes); });
  const Pattern scale(n.channels, memory(1), [&](size_t c, size_t lanes) { return scale_of(n, c, lanes); });
  const Pattern beta(n.channels, memory(2),
                     [&](size_t c, size_t lanes) { return n.beta ? load_lanes(n.beta + c, lanes) : zero(); });
  for_normalized(n, args.rows, args.positions, slice, [&](size_t i, size_t channel, size_t lanes) {
    const Vec centred = sub(load_lanes(args.input + i, lanes), load(mean.numbers + channel));
    const Vec scaled = mul(centred, load(scale.numbers + channel));
    store_lanes(args.output + i, add(scaled, load(beta.numbers + channel)), lanes);
  });
}

// Sums over `count` positions: d_gamma[channels] of d_output times the normalized input, d_beta[channels] of d_output.
struct BatchNormSums {
  const float* input;
  const float* d_output;
  size_t count;
  const Normalization& n;
  float* d_gamma;
  float* d_beta;

  template <int kVecs>
  void run(size_t channel, size_t width) const {
    VecRow<kVecs> products, sums, inverse;
    const VecRow<kVecs> mean = load_row<kVecs>(n.mean + channel, width);
    for (size_t v = 0; v < kVecs; v++) {
      const size_t c = channel + v * kLanes;
      inverse.vecs[v] = inverse_of(n, c, smaller(kLanes, channel + width - c));
      products.vecs[v] = sums.vecs[v] = zero();
    }
    for (size_t i = 0; i < count; i++) {
      const VecRow<kVecs> x = load_row<kVecs>(input + i * n.channels + channel, width);
      const VecRow<kVecs> dy = load_row<kVecs>(d_output + i * n.channels + channel, width);
      for (int v = 0; v < kVecs; v++) {
        const Vec normalized = mul(sub(x.vecs[v], mean.vecs[v]), inverse.vecs[v]);
        products.vecs[v] = add(products.vecs[v], mul(dy.vecs[v], normalized));
        sums.vecs[v] = add(sums.vecs[v], dy.vecs[v]);
      }
    }
    store_row<kVecs>(d_gamma + channel, products, width);
    store_row<kVecs>(d_beta + channel, sums, width);
  }
};

void batch_norm_sums(const BatchNormSumsArgs& args, Slice slice) {
  const Normalization& n = args.normalization;
  for_parts(args.rows, args.positions, slice, [&](size_t part, size_t first, size_t count) {
    const size_t at = first * n.channels;
    for_vec_rows(n.channels,
                 BatchNormSums{args.input + at, args.d_output + at, count, n, args.d_gamma_parts + part * n.channels,
                               args.d_beta_parts + part * n.channels});
  });
}

void batch_norm_backward(const BatchNormBackwardArgs& args, Slice slice) {
  const Normalization& n = args.normalization;
  const Vec factor = set1(one_over(args.rows * args.positions));
  const auto memory = [&](size_t i) { return pattern_memory(n, slice, i); };
  const auto mean_of = [&](const float* sums) {
    return [=](size_t c, size_t lanes) { return mul(load_lanes(sums + c, lanes), factor); };
  };
  const Pattern mean(n.channels, memory(0), [&](size_t c, size_t lanes) { return load_lanes(n.mean + c, lanes); });
  const Pattern inverse(n.channels, memory(1), [&](size_t c, size_t lanes) { return inverse_of(n, c, lanes); });
  const Pattern scale(n.channels, memory(2), [&](size_t c, size_t lanes) { return scale_of(n, c, lanes); });
  const Pattern d_gamma(n.channels, memory(3), mean_of(args.d_gamma));
  const Pattern d_beta(n.channels, memory(4), mean_of(args.d_beta));
  for_normalized(n, args.rows, args.positions, slice, [&](size_t i, size_t channel, size_t lanes) {
    const Vec centred = sub(load_lanes(args.input + i, lanes), load(mean.numbers + channel));
    const Vec normalized = mul(centred, load(inverse.numbers + channel));
    const Vec dy = sub(load_lanes(args.d_output + i, lanes), load(d_beta.numbers + channel));
    const Vec dx = sub(dy, mul(normalized, load(d_gamma.numbers + channel)));
    store_lanes(args.d_input + i, mul(load(scale.numbers + channel), dx), lanes);
  });
}

// Weights by columns where every thread gets enough of them, else by rows; the bias by columns.
void fold_batch_norm(const FoldBatchNormArgs& args, Slice slice) {
  const Normalization& n = args.normalization;
  const Block block = share_matrix(args.layout.rows, args.layout.columns, kGrain, slice);
  for_columns(args.layout, block.columns, kLanes, [&](const Columns& columns) {
    const Vec scale = scale_of(n, columns.column, columns.width);
    for (size_t row = block.rows.begin; row < block.rows.end; row++) {
      const size_t at = columns.offset + row * columns.stride;
      store_lanes(args.folded_weights + at, mul(load_lanes(args.weights + at, columns.width), scale), columns.width);
    }
  });
  const Range own = share(args.layout.columns, kGrain, slice);
  for (size_t c = own.begin; c < own.end; c += kLanes) {
    const size_t lanes = smaller(kLanes, own.end - c);
    const Vec bias = args.bias ? load_lanes(args.bias + c, lanes) : zero();
    const Vec folded = mul(sub(bias, load_lanes(n.mean + c, lanes)), scale_of(n, c, lanes));
    store_lanes(args.folded_bias + c, n.beta ? add(folded, load_lanes(n.beta + c, lanes)) : folded, lanes);
  }
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_BATCH_NORM_INL_H_
