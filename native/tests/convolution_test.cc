// Convolutions on every instruction set of this processor: what docs/numerics.md says, in plain loops; for any number
// of parts, with scratch memory of the size that the engine gives and not a float more.
#include <random>

#include "../kernels/conv_sizes.h"
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

struct Case {
  Windows w;
  size_t filters, rows;
  bool pool;
  double zeros;  // of the input
};

// clang-format off
const Case kCases[] = {
    // input, channels, kernel, stride, pad, output; filters, rows, pool, zeros
    {{1, 1,    1,  1, 1,  1, 1,  0, 0,   1, 1},   1,  1, false, 0},
    {{9, 11,   3,  2, 3,  1, 2,  0, 0,   8, 5},  17, 18, false, 0.3},
    {{7, 7,    5,  3, 3,  1, 1,  1, 1,   7, 7},  17, 33, true,  0.3},   // the last row and column are in no pool
    {{8, 9,    6,  5, 5,  1, 1,  2, 2,   8, 9},  16, 17, true,  0.5},
    {{9, 9,   16,  3, 3,  2, 2,  1, 1,   5, 5},  24, 17, false, 0.5},
    {{12, 12, 24,  3, 3,  1, 1,  0, 0,  10, 10}, 32,  3, true,  0.5},
    {{8, 6,   33,  3, 1,  1, 1,  0, 0,   6, 6},  70,  2, false, 0.2},
    {{6, 6,    2,  2, 2,  1, 1,  0, 0,   4, 4},  64,  2, true,  0.2},   // not all of the image is used
    {{5, 5,    3,  1, 1,  1, 1,  0, 0,   5, 5},   8, 16, false, 0},
    {{28, 28,  1,  5, 5,  1, 1,  0, 0,  24, 24},  8,  3, true,  0.8},   // pixel by pixel, four columns at once
    {{28, 28,  1,  5, 5,  1, 1,  2, 2,  28, 28},  6, 17, true,  0.8},
    {{28, 28,  1,  5, 5,  1, 1,  0, 0,  24, 24}, 24,  2, true,  0.8},   // pixel by pixel, two columns
    {{28, 28,  1,  5, 5,  1, 1,  0, 0,  24, 24}, 24,  2, true,  0},     // the same in full
    {{13, 15,  1,  5, 5,  1, 1,  2, 2,  13, 15}, 40,  2, false, 0.9},   // odd, and more vectors than one pass takes
    {{16, 16,  1,  7, 7,  1, 1,  3, 3,  16, 16},  9,  2, true,  0.9},
    {{14, 70,  1,  3, 3,  1, 1,  0, 0,  12, 68},  4,  2, true,  0.9},   // rows of more pixels than a word has bits
    {{12, 13,  1,  5, 5,  2, 2,  2, 2,   6, 7},  10,  3, true,  0.7},
};
// clang-format on

std::string name_of(const KernelTable& k, const char* what, const Case& c, size_t parts) {
  const Windows& w = c.w;
  const auto text = [](size_t a, size_t b) { return std::to_string(a) + "x" + std::to_string(b) + " "; };
  return std::string(k.isa) + " " + what + " image " + text(w.input_height, w.input_width) + "kernel " +
         text(w.kernel_height, w.kernel_width) + std::to_string(w.channels) + " to " + std::to_string(c.filters) +
         (c.pool ? " pooled" : "") + " in " + std::to_string(parts);
}

// Everything that goes in, and what must come out.
struct Convolution {
  explicit Convolution(const Case& made) : c(made) {
    fill();
    convolve();
    spread();
    find_gradients();
  }

  size_t scale() const { return c.pool ? 2 : 1; }
  size_t output_height() const { return c.w.output_height / scale(); }
  size_t output_width() const { return c.w.output_width / scale(); }
  size_t positions() const { return c.w.output_height * c.w.output_width; }
  size_t outputs() const { return output_height() * output_width() * c.filters; }
  size_t inputs() const { return c.w.input_height * c.w.input_width * c.w.channels; }
  size_t taps() const { return c.w.kernel_height * c.w.kernel_width * c.w.channels; }

  void fill() {
    std::mt19937 random(static_cast<uint32_t>(taps() * 1000 + c.filters));
    const auto number = [&] { return static_cast<float>(static_cast<double>(random()) / 2147483648.0 - 1.0); };
    const auto chance = [&] { return static_cast<double>(random()) / 4294967296.0; };
    for (size_t i = 0; i < c.rows * inputs(); i++) input.push_back(chance() < c.zeros ? 0.0f : number());
    for (size_t i = 0; i < taps() * c.filters; i++) weights.push_back(number());
    for (size_t i = 0; i < c.filters; i++) bias.push_back(number());
    for (size_t i = 0; i < c.rows * outputs(); i++) d_output.push_back(chance() < 0.4 ? 0.0f : number());
  }

  // Calls visit(index of an input's first channel in its image, tap) for the taps of a position inside the image.
  template <class Visit>
  void for_taps(size_t y, size_t x, const Visit& visit) const {
    const Windows& w = c.w;
    for (size_t ky = 0; ky < w.kernel_height; ky++) {
      for (size_t kx = 0; kx < w.kernel_width; kx++) {
        const size_t row = y * w.stride_y + ky, column = x * w.stride_x + kx;  // in the padded image
        if (row < w.pad_top || row >= w.input_height + w.pad_top) continue;
        if (column < w.pad_left || column >= w.input_width + w.pad_left) continue;
        visit(((row - w.pad_top) * w.input_width + column - w.pad_left) * w.channels, ky * w.kernel_width + kx);
      }
    }
  }

  void convolve() {
    for (size_t sample = 0; sample < c.rows; sample++) {
      std::vector<float> sums;
      for (size_t p = 0; p < positions(); p++) {
        for (size_t f = 0; f < c.filters; f++) {
          float sum = bias[f];
          for_taps(p / c.w.output_width, p % c.w.output_width, [&](size_t at, size_t tap) {
            for (size_t ch = 0; ch < c.w.channels; ch++) {
              sum = fmaf(input[sample * inputs() + at + ch], weights[(tap * c.w.channels + ch) * c.filters + f], sum);
            }
          });
          sums.push_back(sum);
        }
      }
      for (size_t i = 0; i < outputs(); i++) {
        const size_t f = i % c.filters, x = i / c.filters % output_width(), y = i / c.filters / output_width();
        float best = 0;
        int32_t winner = 0;
        for (int32_t place = 0; place < (c.pool ? 4 : 1); place++) {
          const size_t row = y * scale() + static_cast<size_t>(place) / 2;
          const size_t column = x * scale() + static_cast<size_t>(place) % 2;
          const float sum = sums[(row * c.w.output_width + column) * c.filters + f];
          if (place == 0 || sum > best) {
            best = sum;
            winner = place;
          }
        }
        output.push_back(best <= 0 ? 0 : best);
        winners.push_back(winner);
      }
    }
  }

  // The gradient of every position.
  void spread() {
    gradient.assign(c.rows * positions() * c.filters, 0.0f);
    for (size_t i = 0; i < d_output.size(); i++) {
      const size_t f = i % c.filters, x = i / c.filters % output_width();
      const size_t y = i / c.filters / output_width() % output_height(), sample = i / outputs();
      const size_t place = c.pool ? static_cast<size_t>(winners[i]) : 0;
      const size_t row = y * scale() + place / 2, column = x * scale() + place % 2;
      gradient[((sample * c.w.output_height + row) * c.w.output_width + column) * c.filters + f] = d_output[i];
    }
  }

  void find_gradients() {
    const size_t parts = parts_of(c.rows);
    d_weights.assign(parts * taps() * c.filters, 0.0f);
    d_bias.assign(parts * c.filters, 0.0f);
    d_input.assign(c.rows * inputs(), 0.0f);
    for (size_t sample = 0; sample < c.rows; sample++) {
      for (size_t y = 0; y < c.w.output_height; y += 2) {
        for (size_t x = 0; x < c.w.output_width; x += 2) {
          for (size_t place = 0; place < 4; place++) {
            add_to_bias(sample, y + place / 2, x + place % 2);
            if (c.w.channels > 1) add_to_weights(sample, y + place / 2, x + place % 2);
          }
        }
      }
      for (size_t p = 0; p < positions(); p++) {
        if (c.w.channels == 1) add_to_weights(sample, p / c.w.output_width, p % c.w.output_width);
        for (size_t f = 0; f < c.filters; f++) {
          const float g = gradient[(sample * positions() + p) * c.filters + f];
          for_taps(p / c.w.output_width, p % c.w.output_width, [&](size_t at, size_t tap) {
            for (size_t ch = 0; ch < c.w.channels; ch++) {
              float& sum = d_input[sample * inputs() + at + ch];
              sum = fmaf(g, weights[(tap * c.w.channels + ch) * c.filters + f], sum);
            }
          });
        }
      }
    }
  }

  float gradient_at(size_t sample, size_t y, size_t x, size_t f) const {
    if (y >= c.w.output_height || x >= c.w.output_width) return 0.0f;
    return gradient[((sample * c.w.output_height + y) * c.w.output_width + x) * c.filters + f];
  }

  void add_to_bias(size_t sample, size_t y, size_t x) {
    for (size_t f = 0; f < c.filters; f++) {
      d_bias[sample / kSamplesPerPart * c.filters + f] += gradient_at(sample, y, x, f);
    }
  }

  void add_to_weights(size_t sample, size_t y, size_t x) {
    if (y >= c.w.output_height || x >= c.w.output_width) return;
    const size_t part = sample / kSamplesPerPart;
    for (size_t f = 0; f < c.filters; f++) {
      const float g = gradient_at(sample, y, x, f);
      for_taps(y, x, [&](size_t at, size_t tap) {
        for (size_t ch = 0; ch < c.w.channels; ch++) {
          float& sum = d_weights[(part * taps() + tap * c.w.channels + ch) * c.filters + f];
          sum = fmaf(input[sample * inputs() + at + ch], g, sum);
        }
      });
    }
  }

  const Case c;
  std::vector<float> input, weights, bias, d_output, output, gradient, d_weights, d_bias, d_input;
  std::vector<int32_t> winners;
};

// Runs a kernel in parts, with scratch memory of exactly this size.
template <class Args>
bool run_in_scratch(void (*kernel)(const Args&, Slice), const Args& args, size_t parts, size_t floats) {
  std::vector<float> scratch(floats + 16, NAN);
  for (size_t i = 0; i < 16; i++) scratch[floats + i] = kSentinel;
  for (size_t part = 0; part < parts; part++) kernel(args, {part, parts, scratch.data()});
  return sentinels_intact(scratch);
}

bool same_output(const std::vector<float>& actual, std::vector<float> wanted) {
  const std::vector<float> behind(16, kSentinel);
  wanted.insert(wanted.end(), behind.begin(), behind.end());
  return same_numbers(actual, wanted);
}

void test_case(const KernelTable& kernels, const Convolution& made, size_t parts) {
  const Case& c = made.c;
  std::vector<float> output = output_of(made.output.size());
  std::vector<int32_t> winners(made.winners.size());
  const Conv2dArgs forward = {made.input.data(),
                              made.weights.data(),
                              made.bias.data(),
                              output.data(),
                              c.pool ? winners.data() : nullptr,
                              c.rows,
                              c.w,
                              c.filters,
                              Activation::kRelu,
                              0.0f,
                              c.pool};
  CHECK_MESSAGE(run_in_scratch(kernels.conv2d, forward, parts, conv2d_scratch(c.w, c.filters)),
                name_of(kernels, "conv2d behind its scratch", c, parts));
  CHECK_MESSAGE(same_output(output, made.output), name_of(kernels, "conv2d", c, parts));
  CHECK_MESSAGE(!c.pool || winners == made.winners, name_of(kernels, "winners", c, parts));

  std::vector<float> d_weights = output_of(made.d_weights.size()), d_bias = output_of(made.d_bias.size());
  std::vector<float> d_input = output_of(made.d_input.size());
  const Conv2dBackwardArgs backward = {made.input.data(),
                                       made.weights.data(),
                                       made.d_output.data(),
                                       c.pool ? made.winners.data() : nullptr,
                                       d_weights.data(),
                                       d_bias.data(),
                                       d_input.data(),
                                       c.rows,
                                       c.w,
                                       c.filters};
  CHECK_MESSAGE(
      run_in_scratch(kernels.conv2d_backward, backward, parts, conv2d_backward_scratch(c.w, c.filters, c.pool)),
      name_of(kernels, "conv2d_backward behind its scratch", c, parts));
  CHECK_MESSAGE(same_output(d_weights, made.d_weights), name_of(kernels, "d_weights", c, parts));
  CHECK_MESSAGE(same_output(d_bias, made.d_bias), name_of(kernels, "d_bias", c, parts));
  CHECK_MESSAGE(same_output(d_input, made.d_input), name_of(kernels, "d_input", c, parts));
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  std::vector<test::Convolution> made;
  for (const test::Case& c : test::kCases) made.emplace_back(c);
  return test::on_all_targets("convolution_test", [&](const KernelTable& kernels) {
    for (const test::Convolution& convolution : made) {
      for (const size_t parts : {1, 2, 3, 5}) test::test_case(kernels, convolution, parts);
    }
  });
}
