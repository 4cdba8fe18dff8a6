// Batch normalization on every instruction set of this processor: what docs/numerics.md says, for any number of
// channels and of parts, and nothing is written outside the output.
#include "../kernels/partition.h"
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

using Floats = std::vector<float>;

struct Batch {
  size_t rows, positions, channels;
  Floats x, dy, gamma, beta, moving;
  size_t parts() const { return parts_of(rows); }
  size_t elements() const { return rows * positions * channels; }
  size_t at(size_t row, size_t position, size_t c) const { return (row * positions + position) * channels + c; }

  Batch(size_t rows, size_t positions, size_t channels, Numbers* numbers)
      : rows(rows),
        positions(positions),
        channels(channels),
        x(numbers->vector(rows * positions * channels)),
        dy(numbers->vector(rows * positions * channels)),
        gamma(numbers->vector(channels)),
        beta(numbers->vector(channels)),
        moving(numbers->vector(channels)) {
    for (float& value : x) value = value * 3.0f + 0.7f;
  }
};

// All that a step computes. `affine` says whether there are gamma and beta.
struct Results {
  Floats moments, mean, variance, moving_mean, moving_variance, y, d_gamma, d_beta, dx;

  explicit Results(const Batch& b)
      : moments(output_of(b.parts() * 2 * b.channels)),
        mean(output_of(b.channels)),
        variance(mean),
        moving_mean(mean),
        moving_variance(mean),
        y(output_of(b.elements())),
        d_gamma(output_of(b.parts() * b.channels)),
        d_beta(d_gamma),
        dx(y) {
    for (size_t c = 0; c < b.channels; c++) moving_mean[c] = moving_variance[c] = b.moving[c];
  }
};

constexpr float kEpsilon = 1e-3f, kMomentum = 0.9f, kRest = 0.1f;

void reference_channel(const Batch& b, bool affine, size_t c, Results* r) {
  float mean = 0, squares = 0;
  double n = 0;
  for (size_t p = 0; p < b.parts(); p++) {
    const size_t first = p * kSamplesPerPart, last = smaller(first + kSamplesPerPart, b.rows);
    const double own = static_cast<double>((last - first) * b.positions);
    float s = 0, part_squares = 0;
    for (size_t i = first * b.positions; i < last * b.positions; i++) s = s + b.x[i * b.channels + c];
    const float part_mean = s * static_cast<float>(1.0 / own);
    for (size_t i = first * b.positions; i < last * b.positions; i++) {
      const float d = b.x[i * b.channels + c] - part_mean;
      part_squares = part_squares + d * d;
    }
    r->moments[(2 * p) * b.channels + c] = part_mean;
    r->moments[(2 * p + 1) * b.channels + c] = part_squares;
    if (p == 0) {
      mean = part_mean;
      squares = part_squares;
    } else {
      const float d = part_mean - mean;
      mean = mean + d * static_cast<float>(own / (n + own));
      squares = squares + (part_squares + (d * d) * static_cast<float>(n * own / (n + own)));
    }
    n += own;
  }
  const float factor = static_cast<float>(1.0 / n), variance = squares * factor;
  r->mean[c] = mean;
  r->variance[c] = variance;
  r->moving_mean[c] = kMomentum * b.moving[c] + kRest * mean;
  r->moving_variance[c] = kMomentum * b.moving[c] + kRest * variance;

  const float inverse = 1.0f / sqrtf(variance + kEpsilon), scale = affine ? b.gamma[c] * inverse : inverse;
  float d_gamma = 0, d_beta = 0;  // here only of all parts
  for (size_t p = 0; p < b.parts(); p++) {
    const size_t first = p * kSamplesPerPart, last = smaller(first + kSamplesPerPart, b.rows);
    float products = 0, sums = 0;
    for (size_t i = first * b.positions; i < last * b.positions; i++) {
      const float x = b.x[i * b.channels + c], dy = b.dy[i * b.channels + c];
      r->y[i * b.channels + c] = (x - mean) * scale + (affine ? b.beta[c] : 0.0f);
      products = products + dy * ((x - mean) * inverse);
      sums = sums + dy;
    }
    r->d_gamma[p * b.channels + c] = products;
    r->d_beta[p * b.channels + c] = sums;
    d_gamma = d_gamma + products;
    d_beta = d_beta + sums;
  }
  for (size_t i = 0; i < b.rows * b.positions; i++) {
    const float normalized = (b.x[i * b.channels + c] - mean) * inverse, dy = b.dy[i * b.channels + c];
    r->dx[i * b.channels + c] = scale * ((dy - d_beta * factor) - normalized * (d_gamma * factor));
  }
}

Floats sum_of_parts(const Batch& b, const Floats& parts) {
  Floats sums(b.channels, 0.0f);
  for (size_t p = 0; p < b.parts(); p++) {
    for (size_t c = 0; c < b.channels; c++) sums[c] = sums[c] + parts[p * b.channels + c];
  }
  return sums;
}

Results run_batch_norm(const KernelTable& kernels, const Batch& b, bool affine, bool in_place, size_t parts) {
  Results r(b);
  const size_t depth = b.channels + kMostLanes;  // enough scratch memory
  run_parts(kernels.channel_moments, {b.x.data(), r.moments.data(), b.rows, b.positions, b.channels}, parts, depth);
  run_parts(kernels.batch_norm_statistics,
            {r.moments.data(), r.mean.data(), r.variance.data(), r.moving_mean.data(), r.moving_variance.data(), b.rows,
             b.positions, b.channels, kMomentum, kRest},
            parts, depth);
  const Normalization n = {
      r.mean.data(), r.variance.data(), affine ? b.gamma.data() : nullptr, affine ? b.beta.data() : nullptr,
      b.channels,    kEpsilon};
  run_parts(kernels.batch_norm, {b.x.data(), r.y.data(), n, b.rows, b.positions}, parts, depth);
  run_parts(kernels.batch_norm_sums,
            {b.x.data(), b.dy.data(), r.d_gamma.data(), r.d_beta.data(), n, b.rows, b.positions}, parts, depth);
  const Floats d_gamma = sum_of_parts(b, r.d_gamma), d_beta = sum_of_parts(b, r.d_beta);
  if (in_place) {
    for (size_t i = 0; i < b.elements(); i++) r.dx[i] = b.dy[i];
  }
  const float* const dy = in_place ? r.dx.data() : b.dy.data();
  run_parts(kernels.batch_norm_backward,
            {b.x.data(), dy, d_gamma.data(), d_beta.data(), r.dx.data(), n, b.rows, b.positions}, parts, depth);
  return r;
}

void check_batch_norm(const KernelTable& kernels, const Batch& b, bool affine) {
  Results wanted(b);
  for (size_t c = 0; c < b.channels; c++) reference_channel(b, affine, c, &wanted);
  for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
    const Results got = run_batch_norm(kernels, b, affine, parts == 2, parts);
    const auto same = [&](const char* what, const Floats& a, const Floats& c) {
      CHECK_MESSAGE(same_numbers(a, c), name_of(kernels, what, b.rows, b.positions, b.channels, parts));
    };
    same("channelMoments", got.moments, wanted.moments);
    same("mean", got.mean, wanted.mean);
    same("variance", got.variance, wanted.variance);
    same("movingMean", got.moving_mean, wanted.moving_mean);
    same("movingVariance", got.moving_variance, wanted.moving_variance);
    same("batchNorm", got.y, wanted.y);
    same("dGammaParts", got.d_gamma, wanted.d_gamma);
    same("dBetaParts", got.d_beta, wanted.d_beta);
    same("batchNormBackward", got.dx, wanted.dx);
  }
}

void test_batch_norm(const KernelTable& kernels) {
  Numbers numbers(11);
  for (const size_t channels : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100}) {
    for (const size_t rows : {size_t{1}, size_t{16}, size_t{33}, size_t{90}}) {
      for (const size_t positions : {size_t{1}, size_t{9}}) {
        for (const bool affine : {false, true}) {
          check_batch_norm(kernels, Batch(rows, positions, channels, &numbers), affine);
        }
      }
    }
  }
}

void check_fold(const KernelTable& kernels, size_t rows, size_t channels, bool affine, size_t layout_parts,
                size_t parts) {
  Numbers numbers(static_cast<uint32_t>(rows + channels));
  const Floats weights = numbers.vector(rows * channels), bias = numbers.vector(channels);
  const Floats mean = numbers.vector(channels), gamma = numbers.vector(channels), beta = numbers.vector(channels);
  Floats variance = numbers.vector(channels);
  for (float& value : variance) value = value * value;
  const MatrixLayout layout = {rows, channels, layout_parts};
  Floats stored(rows * channels), wanted = output_of(rows * channels), wanted_bias = output_of(channels);
  for (size_t c = 0; c < channels; c++) {
    const Columns place = columns_at(layout, c, 1);
    const float inverse = 1.0f / sqrtf(variance[c] + kEpsilon), scale = affine ? gamma[c] * inverse : inverse;
    for (size_t row = 0; row < rows; row++) {
      stored[place.offset + row * place.stride] = weights[row * channels + c];
      wanted[place.offset + row * place.stride] = weights[row * channels + c] * scale;
    }
    wanted_bias[c] = ((affine ? bias[c] : 0.0f) - mean[c]) * scale + (affine ? beta[c] : 0.0f);
  }
  Floats folded = output_of(rows * channels), folded_bias = output_of(channels);
  const Normalization n = {
      mean.data(), variance.data(), affine ? gamma.data() : nullptr, affine ? beta.data() : nullptr,
      channels,    kEpsilon};
  run_parts(kernels.fold_batch_norm,
            {stored.data(), affine ? bias.data() : nullptr, folded.data(), folded_bias.data(), layout, n}, parts, 1);
  CHECK_MESSAGE(same_numbers(folded, wanted), name_of(kernels, "foldedWeights", rows, channels, layout_parts, parts));
  CHECK_MESSAGE(same_numbers(folded_bias, wanted_bias),
                name_of(kernels, "foldedBias", rows, channels, layout_parts, parts));
}

void test_fold(const KernelTable& kernels) {
  for (const size_t rows : {size_t{1}, size_t{25}, size_t{72}}) {
    for (const size_t channels : {size_t{1}, size_t{6}, size_t{16}, size_t{33}, size_t{200}}) {
      for (const bool affine : {false, true}) {
        for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}}) {
          check_fold(kernels, rows, channels, affine, 0, parts);
          check_fold(kernels, rows, channels, affine, parts, parts);
          check_fold(kernels, rows, channels, affine, parts, 1);
        }
      }
    }
  }
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  return test::on_all_targets("batch_norm_test", [](const KernelTable& kernels) {
    test::test_batch_norm(kernels);
    test::test_fold(kernels);
  });
}
