// Dropout, penalties on weights, limits of their norms, clipping of gradients and averages on every instruction set of
// this processor: what docs/numerics.md says, for any number of parts and layout, and nothing is written outside the
// output.
#include <algorithm>
#include <utility>

#include "../kernels/partition.h"
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

void check_dropout(const KernelTable& kernels, size_t rows, size_t columns, double rate, bool by_parts, bool in_place) {
  Numbers numbers(static_cast<uint32_t>(rows * 31 + columns));
  const std::vector<float> x = numbers.vector(rows * columns);
  std::vector<uint32_t> order(rows);
  for (size_t i = 0; i < rows; i++) order[i] = static_cast<uint32_t>(i * 2654435761u);
  const uint32_t low = 0xfedcba98u, high = 0x1fffff, purpose = 4 + 256 * 3, epoch = 17;
  const uint32_t first_index = 0xf0000001u;  // added modulo 2^32
  const uint32_t threshold = static_cast<uint32_t>(rate * 16777216.0);
  const float scale = static_cast<float>(1.0 / (1.0 - rate));
  std::vector<float> wanted = output_of(rows * columns);
  for (size_t i = 0; i < rows; i++) {
    for (size_t e = 0; e < columns; e++) {
      const Words block = philox({{static_cast<uint32_t>(e >> 2), order[i] + first_index, purpose, epoch}}, low, high);
      const bool kept = (block.x[e & 3] >> 8) >= threshold;
      wanted[i * columns + e] = kept ? x[i * columns + e] * scale : 0.0f;
    }
  }
  for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
    std::vector<float> y = output_of(rows * columns);
    if (in_place) std::copy(x.begin(), x.end(), y.begin());
    const float* const input = in_place ? y.data() : x.data();
    run_parts(kernels.dropout,
              {input, y.data(), order.data(), rows, columns, threshold, scale, low, high, purpose, epoch, by_parts,
               first_index},
              parts, 1);
    CHECK_MESSAGE(same_numbers(y, wanted), name_of(kernels, "dropout", rows, columns, by_parts, parts));
  }
}

// The first known answer of the generator's authors: counter and key of zeros give 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
// A threshold shows a word: what is at the threshold stays, what is below goes.
void test_random_words(const KernelTable& kernels) {
  const uint32_t words[4] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u};
  const std::vector<float> x(4, 1.0f);
  const uint32_t order = 0;
  for (size_t j = 0; j < 4; j++) {
    for (const uint32_t above : {0u, 1u}) {
      std::vector<float> y = output_of(4);
      run_parts(kernels.dropout,
                {x.data(), y.data(), &order, 1, 4, (words[j] >> 8) + above, 1.0f, 0, 0, 0, 0, false, 0}, 1, 1);
      CHECK_MESSAGE(y[j] == (above ? 0.0f : 1.0f), name_of(kernels, "word", j, above, 0, 1));
    }
  }
}

void test_dropout(const KernelTable& kernels) {
  test_random_words(kernels);
  for (const size_t rows : {size_t{1}, size_t{17}, size_t{40}}) {
    for (const size_t columns : {size_t{1}, size_t{7}, size_t{16}, size_t{64}, size_t{65}, size_t{200}}) {
      for (const bool by_parts : {false, true}) {
        check_dropout(kernels, rows, columns, 0.3, by_parts, false);
        check_dropout(kernels, rows, columns, 0.5, by_parts, true);
      }
    }
  }
  check_dropout(kernels, 3, 20, 0.0, false, false);
}

void test_add(const KernelTable& kernels) {
  Numbers numbers(5);
  for (const std::pair<size_t, size_t>& shape : {std::pair<size_t, size_t>{1, 5}, {40, 33}, {19, 200}}) {
    const size_t count = shape.first * shape.second;
    const std::vector<float> a = numbers.vector(count), b = numbers.vector(count);
    std::vector<float> wanted = output_of(count);
    for (size_t i = 0; i < count; i++) wanted[i] = a[i] + b[i];
    for (const size_t parts : {size_t{1}, size_t{3}}) {
      for (const bool by_parts : {false, true}) {
        std::vector<float> c = output_of(count);
        run_parts(kernels.add, {a.data(), b.data(), c.data(), shape.first, shape.second, by_parts}, parts, 1);
        CHECK_MESSAGE(same_numbers(c, wanted), name_of(kernels, "add", shape.first, shape.second, by_parts, parts));
      }
    }
  }
}

void check_regularize(const KernelTable& kernels, const MatrixLayout& layout, float l1, float l2, size_t parts) {
  Numbers numbers(3);
  const size_t count = layout.rows * layout.columns;
  const std::vector<float> w = numbers.vector(count), gradient = numbers.vector(count);
  std::vector<float> g = output_of(count), wanted = output_of(count);
  for (size_t i = 0; i < count; i++) {
    g[i] = gradient[i];
    float sum = gradient[i];
    if (l2 != 0.0f) sum = sum + 2.0f * l2 * w[i];
    if (l1 != 0.0f) sum = sum + (w[i] > 0.0f ? l1 : w[i] < 0.0f ? -l1 : 0.0f);
    wanted[i] = sum;
  }
  run_parts(kernels.regularize, {w.data(), g.data(), layout, l1, 2.0f * l2}, parts, 1);
  CHECK_MESSAGE(same_numbers(g, wanted), name_of(kernels, "regularize", layout.rows, layout.columns, 0, parts));
}

void check_max_norm(const KernelTable& kernels, const MatrixLayout& layout, size_t parts) {
  constexpr float kMost = 1.5f;
  Numbers numbers(4);
  std::vector<float> w = output_of(layout.rows * layout.columns), wanted = w;
  size_t scaled = 0;
  for (size_t c = 0; c < layout.columns; c++) {
    const Columns place = columns_at(layout, c, 1);
    const float size = c % 3 == 0 ? 0.01f : 1.0f;
    float sum = 0.0f;
    for (size_t row = 0; row < layout.rows; row++) {
      const float value = numbers.next() * size;
      w[place.offset + row * place.stride] = value;
      sum = sum + value * value;
    }
    const float norm = sqrtf(sum);
    scaled += norm > kMost;
    for (size_t row = 0; row < layout.rows; row++) {
      const size_t at = place.offset + row * place.stride;
      wanted[at] = norm > kMost ? w[at] * (kMost / (norm + 1e-7f)) : w[at];
    }
  }
  CHECK(layout.rows < 20 || layout.columns < 2 || (scaled > 0 && scaled < layout.columns));
  run_parts(kernels.max_norm, {w.data(), layout, kMost}, parts, 1);
  CHECK_MESSAGE(same_numbers(w, wanted), name_of(kernels, "maxNorm", layout.rows, layout.columns, layout.parts, parts));
}

void check_clipping(const KernelTable& kernels, const MatrixLayout& layout, size_t parts) {
  const auto name = [&](const char* what) {
    return name_of(kernels, what, layout.rows, layout.columns, layout.parts, parts);
  };
  Numbers numbers(6);
  const size_t count = layout.rows * layout.columns;
  std::vector<float> gradient = numbers.vector(count);
  gradient[count / 2] = NAN;
  std::vector<float> g = output_of(count), wanted = output_of(count);
  std::copy(gradient.begin(), gradient.end(), g.begin());
  for (size_t i = 0; i < count; i++) {
    wanted[i] = gradient[i] > 0.3f ? 0.3f : gradient[i] < -0.3f ? -0.3f : gradient[i];
  }
  run_parts(kernels.clip_by_value, {g.data(), layout, 0.3f}, parts, 1);
  CHECK_MESSAGE(same_numbers(g, wanted), name("clipByValue"));

  std::vector<float> squares = output_of(layout.columns), sums = squares;
  for (size_t c = 0; c < layout.columns; c++) {
    const Columns place = columns_at(layout, c, 1);
    float sum = 0.0f;
    for (size_t row = 0; row < layout.rows; row++) {
      const float value = wanted[place.offset + row * place.stride];
      sum = sum + value * value;
    }
    sums[c] = sum;
  }
  run_parts(kernels.column_squares, {g.data(), squares.data(), layout}, parts, 1);
  CHECK_MESSAGE(same_numbers(squares, sums), name("columnSquares"));
  for (const bool first : {false, true}) {
    std::vector<float> found(1, first ? NAN : 2.0f), expected(1, first ? 0.0f : 2.0f);
    for (size_t c = 0; c < layout.columns; c++) expected[0] = expected[0] + sums[c];
    run_parts(kernels.add_squares, {squares.data(), found.data(), layout.columns, first}, parts, 1);
    CHECK_MESSAGE(same_numbers(found, expected), name("addSquares"));
  }

  for (const float square : {0.0f, 0.04f, 9.0f, INFINITY, NAN}) {
    std::vector<float> scaled = output_of(count), product = output_of(count);
    const float factor = 0.3f / (sqrtf(square) + 1e-6f);
    for (size_t i = 0; i < count; i++) {
      scaled[i] = gradient[i];
      product[i] = factor >= 1.0f ? gradient[i] : gradient[i] * factor;
    }
    run_parts(kernels.clip_by_global_norm, {scaled.data(), &square, layout, 0.3f}, parts, 1);
    CHECK_MESSAGE(same_numbers(scaled, product), name("clipByGlobalNorm"));
  }
}

void check_average(const KernelTable& kernels, const MatrixLayout& layout, float rate, size_t parts) {
  Numbers numbers(7);
  const size_t count = layout.rows * layout.columns;
  const std::vector<float> w = numbers.vector(count), before = numbers.vector(count);
  std::vector<float> a = output_of(count), wanted = output_of(count);
  for (size_t i = 0; i < count; i++) {
    a[i] = before[i];
    const float way = w[i] - before[i];
    wanted[i] = rate < 0.5f ? before[i] + rate * way : w[i] - (1.0f - rate) * way;
    CHECK(rate != 1.0f || wanted[i] == w[i]);
  }
  run_parts(kernels.average, {w.data(), a.data(), layout, rate}, parts, 1);
  CHECK_MESSAGE(same_numbers(a, wanted), name_of(kernels, "average", layout.rows, layout.columns, layout.parts, parts));
}

void test_weights(const KernelTable& kernels) {
  for (const size_t rows : {size_t{1}, size_t{25}, size_t{100}}) {
    for (const size_t columns : {size_t{1}, size_t{6}, size_t{16}, size_t{33}, size_t{128}, size_t{200}}) {
      for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
        check_regularize(kernels, {rows, columns, 0}, 0.01f, 0.02f, parts);
        check_regularize(kernels, {rows, columns, parts}, 0.01f, 0.0f, parts);
        check_regularize(kernels, {rows, columns, parts}, 0.0f, 0.02f, 1);
        check_max_norm(kernels, {rows, columns, 0}, parts);
        check_max_norm(kernels, {rows, columns, parts}, parts);
        check_max_norm(kernels, {rows, columns, parts}, 1);
        check_clipping(kernels, {rows, columns, 0}, parts);
        check_clipping(kernels, {rows, columns, parts}, parts);
        check_clipping(kernels, {rows, columns, parts}, 1);
        check_average(kernels, {rows, columns, 0}, 0.25f, parts);
        check_average(kernels, {rows, columns, parts}, 0.75f, parts);
        check_average(kernels, {rows, columns, parts}, 1.0f, 1);
      }
    }
  }
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  return test::on_all_targets("regularization_test", [](const KernelTable& kernels) {
    test::test_dropout(kernels);
    test::test_add(kernels);
    test::test_weights(kernels);
  });
}
