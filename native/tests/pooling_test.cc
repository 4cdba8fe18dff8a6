// Pooling on every instruction set of this processor: what docs/numerics.md says, in a plain form that asks of every
// element which windows it is in; for any number of parts, and nothing is written outside the output.
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

// clang-format off
const Windows kWindows[] = {
    // input, channels, kernel, stride, pad, output
    {6, 8,   1,  2, 2,  2, 2,  0, 0,  3, 4},
    {5, 5,   3,  3, 3,  3, 3,  1, 1,  2, 2},   // padded, side by side
    {7, 5,   6,  2, 2,  2, 2,  0, 0,  3, 2},   // the last row and column are in no window
    {8, 8,  16,  2, 2,  2, 2,  0, 0,  4, 4},
    {7, 6,  17,  3, 3,  2, 2,  1, 1,  4, 3},   // padded, overlapping
    {5, 6,  33,  3, 2,  1, 1,  1, 0,  5, 5},
    {5, 7,   3,  2, 3,  3, 4,  1, 2,  2, 2},   // gaps between windows
    {5, 5,   2,  2, 2,  3, 3,  0, 0,  2, 2},   // gaps, but none at the edges
    {4, 3,   8,  4, 3,  1, 1,  0, 0,  1, 1},   // the whole image
    {3, 3,   4,  5, 5,  2, 2,  2, 2,  2, 2},   // windows larger than the image
};
// clang-format on

struct Shape {
  Windows w;
  size_t rows;
  size_t input(size_t sample, size_t y, size_t x, size_t c) const {
    return ((sample * w.input_height + y) * w.input_width + x) * w.channels + c;
  }
  size_t output(size_t sample, size_t y, size_t x, size_t c) const {
    return ((sample * w.output_height + y) * w.output_width + x) * w.channels + c;
  }
  size_t inputs() const { return input(rows, 0, 0, 0); }
  size_t outputs() const { return output(rows, 0, 0, 0); }
};

// Calls visit(sample, y, x, c) for every element of the images.
template <class Visit>
void for_images(size_t rows, size_t height, size_t width, size_t channels, const Visit& visit) {
  for (size_t sample = 0; sample < rows; sample++) {
    for (size_t y = 0; y < height; y++) {
      for (size_t x = 0; x < width; x++) {
        for (size_t c = 0; c < channels; c++) visit(sample, y, x, c);
      }
    }
  }
}

// Calls visit(input y, input x, tap) for the taps of window (oy, ox) inside the image.
template <class Visit>
void for_window(const Windows& w, size_t oy, size_t ox, const Visit& visit) {
  for (size_t ky = 0; ky < w.kernel_height; ky++) {
    for (size_t kx = 0; kx < w.kernel_width; kx++) {
      const size_t y = oy * w.stride_y + ky, x = ox * w.stride_x + kx;  // in the padded image
      if (y < w.pad_top || y >= w.input_height + w.pad_top || x < w.pad_left || x >= w.input_width + w.pad_left)
        continue;
      visit(y - w.pad_top, x - w.pad_left, ky * w.kernel_width + kx);
    }
  }
}

struct Pools {
  std::vector<float> largest, means, d_largest, d_means;
  std::vector<int32_t> winners;

  explicit Pools(const Shape& s)
      : largest(output_of(s.outputs())),
        means(largest),
        d_largest(output_of(s.inputs())),
        d_means(d_largest),
        winners(s.outputs() + 16, -7) {}
};

Pools reference(const Shape& s, const std::vector<float>& x, const std::vector<float>& dy) {
  const Windows& w = s.w;
  Pools p(s);
  for (size_t i = 0; i < s.inputs(); i++) p.d_largest[i] = p.d_means[i] = 0.0f;
  for_images(s.rows, w.output_height, w.output_width, w.channels, [&](size_t n, size_t oy, size_t ox, size_t c) {
    const size_t at = s.output(n, oy, ox, c);
    float sum = 0.0f, taps = 0.0f;
    for_window(w, oy, ox, [&](size_t iy, size_t ix, size_t tap) {
      const float value = x[s.input(n, iy, ix, c)];
      if (taps == 0.0f || value > p.largest[at]) {
        p.largest[at] = value;
        p.winners[at] = static_cast<int32_t>(tap);
      }
      sum = sum + value;
      taps += 1.0f;
    });
    p.means[at] = sum * (1.0f / taps);
    for_window(w, oy, ox, [&](size_t iy, size_t ix, size_t tap) {
      const size_t to = s.input(n, iy, ix, c);
      if (p.winners[at] == static_cast<int32_t>(tap)) p.d_largest[to] = p.d_largest[to] + dy[at];
      p.d_means[to] = p.d_means[to] + dy[at] * (1.0f / taps);
    });
  });
  return p;
}

Pools run_pools(const KernelTable& kernels, const Shape& s, const std::vector<float>& x, const std::vector<float>& dy,
                size_t parts) {
  Pools p(s);
  run_parts(kernels.max_pool2d, {x.data(), p.largest.data(), p.winners.data(), s.w, s.rows}, parts, 1);
  run_parts(kernels.average_pool2d, {x.data(), p.means.data(), s.w, s.rows}, parts, 1);
  run_parts(kernels.max_pool2d_backward, {dy.data(), p.winners.data(), p.d_largest.data(), s.w, s.rows}, parts, 1);
  run_parts(kernels.average_pool2d_backward, {dy.data(), p.d_means.data(), s.w, s.rows}, parts, 1);
  std::vector<float> alone = output_of(s.outputs());
  run_parts(kernels.max_pool2d, {x.data(), alone.data(), nullptr, s.w, s.rows}, parts, 1);
  CHECK_MESSAGE(same_numbers(alone, p.largest), "maxPool2d without winners");
  return p;
}

void check_pools(const KernelTable& kernels, const Shape& s, const std::vector<float>& x,
                 const std::vector<float>& dy) {
  const Pools wanted = reference(s, x, dy);
  for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
    const Pools got = run_pools(kernels, s, x, dy, parts);
    const auto name = [&](const char* what) {
      return name_of(kernels, what, s.w.input_height, s.w.input_width, s.w.channels, parts) + " of " +
             std::to_string(s.rows);
    };
    CHECK_MESSAGE(same_numbers(got.largest, wanted.largest), name("maxPool2d"));
    CHECK_MESSAGE(got.winners == wanted.winners, name("winners"));
    CHECK_MESSAGE(same_numbers(got.means, wanted.means), name("averagePool2d"));
    CHECK_MESSAGE(same_numbers(got.d_largest, wanted.d_largest), name("maxPool2dBackward"));
    CHECK_MESSAGE(same_numbers(got.d_means, wanted.d_means), name("averagePool2dBackward"));
  }
}

// Numbers of which many are equal, so that the first of equals must win, and some NaN.
std::vector<float> pixels(size_t size, bool with_nan, Numbers* numbers) {
  std::vector<float> values = numbers->vector(size);
  for (float& value : values) {
    value = floorf(value * 4.0f);
    if (with_nan && value == 3.0f) value = NAN;
  }
  return values;
}

void test_pools(const KernelTable& kernels) {
  Numbers numbers(7);
  for (const Windows& w : kWindows) {
    for (const size_t rows : {size_t{1}, size_t{16}, size_t{37}, size_t{80}}) {
      const Shape s = {w, rows};
      const std::vector<float> dy = numbers.vector(s.outputs());
      check_pools(kernels, s, numbers.vector(s.inputs()), dy);
      check_pools(kernels, s, pixels(s.inputs(), false, &numbers), dy);
      check_pools(kernels, s, pixels(s.inputs(), true, &numbers), dy);
    }
  }
}

// Winners are data like any other: what is no tap of the window takes part in nothing.
void test_foreign_winners(const KernelTable& kernels) {
  const Shape s = {kWindows[4], 2};
  const std::vector<float> dy(s.outputs(), 1.0f);
  for (const int32_t winner : {-1, 9, 1 << 24, INT32_MAX, INT32_MIN}) {
    const std::vector<int32_t> winners(s.outputs(), winner);
    std::vector<float> dx = output_of(s.inputs()), wanted = output_of(s.inputs());
    for (size_t i = 0; i < s.inputs(); i++) wanted[i] = 0.0f;
    run_parts(kernels.max_pool2d_backward, {dy.data(), winners.data(), dx.data(), s.w, s.rows}, 1, 1);
    CHECK_MESSAGE(same_numbers(dx, wanted), std::string(kernels.isa) + " winner " + std::to_string(winner));
  }
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  return test::on_all_targets("pooling_test", [](const KernelTable& kernels) {
    test::test_pools(kernels);
    test::test_foreign_winners(kernels);
  });
}
