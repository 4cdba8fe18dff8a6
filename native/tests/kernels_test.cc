// Kernels on every instruction set of this processor: the bits equal a plain reference that follows docs/numerics.md,
// for shapes around the tiles' edges, any number of parts, and nothing is written outside the output.
#include "../kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

#include <iterator>

#include "../kernels/partition.h"
#include "../targets/dispatch.h"
#include "kernels_check.h"

namespace mnist_train {
namespace test {
namespace {

std::vector<float> reference_matmul(const std::vector<float>& a, const std::vector<float>& b, size_t m, size_t n,
                                    size_t k) {
  std::vector<float> c = output_of(m * n);
  for (size_t i = 0; i < m; i++) {
    for (size_t j = 0; j < n; j++) {
      float acc = 0.0f;
      for (size_t step = 0; step < k; step++) acc = fmaf(a[i * k + step], b[step * n + j], acc);
      c[i * n + j] = acc;
    }
  }
  return c;
}

// Under sanitizers the plain references take minutes.
const bool quick = getenv("MNIST_TRAIN_QUICK_TESTS") != nullptr;

const size_t kSizes[] = {1, 3, 7, 11, 12, 13, 15, 16, 17, 31, 33, 63, 65, 81};

std::vector<float> transposed(const std::vector<float>& x, size_t rows, size_t columns) {
  std::vector<float> y(x.size());
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j];
  }
  return y;
}

void check_matmul(const KernelTable& kernels, size_t m, size_t n, size_t k) {
  Numbers numbers(static_cast<uint32_t>(m * 31 + n * 7 + k));
  const std::vector<float> a = numbers.vector(m * k), b = numbers.vector(k * n);
  const std::vector<float> at = transposed(a, m, k), bt = transposed(b, k, n);
  const std::vector<float> wanted = reference_matmul(a, b, m, n, k);
  for (int layout = 0; layout < 4; layout++) {
    const bool transpose_a = (layout & 1) != 0, transpose_b = (layout & 2) != 0;
    MatmulArgs args = {
        (transpose_a ? at : a).data(), (transpose_b ? bt : b).data(), nullptr, m, n, k, transpose_a, transpose_b};
    for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}, size_t{5}}) {
      std::vector<float> c = output_of(m * n);
      args.output = c.data();
      run_parts(kernels.matmul, args, parts, k);
      CHECK_MESSAGE(same_bits(c, wanted), name_of(kernels, "matmul", m, n, k, parts));
    }
  }
}

// A quarter of the pairs has every size in both places still.
void test_matmul(const KernelTable& kernels) {
  size_t pair = 0;
  for (const size_t m : kSizes) {
    for (const size_t n : kSizes) {
      const size_t at = pair++;
      if (quick && (at / std::size(kSizes) + at % std::size(kSizes)) % 4 != 0) continue;
      for (const size_t k : {size_t{1}, size_t{3}, size_t{5}, size_t{64}}) check_matmul(kernels, m, n, k);
    }
  }
  // Deeper than a panel, narrow and wide, and with enough rows for b to be packed in every part.
  check_matmul(kernels, 70, 10, kPanelDepth + 6);
  check_matmul(kernels, 13, 70, 2 * kPanelDepth + 1);
  check_matmul(kernels, 2000, 33, 9);
  check_matmul(kernels, 400, quick ? 17 : 75, kPanelDepth + 1);
}

// The lists of a batch, made by the kernels under test, of pixels or of values, and room for those of columns.
struct Lists {
  Lists(const KernelTable& kernels, const uint8_t* bytes, const float* floats, size_t rows, size_t columns)
      : pixels(rows * columns + kRoomBehindLists),
        values(rows * columns + kRoomBehindLists),
        starts(rows + 1),
        by_column(rows * columns),
        ends(columns),
        room_rows(rows * columns + kRoomBehindLists),
        room_starts(rows + 1) {
    Pixel* const p = bytes ? pixels.data() : nullptr;
    NonZero* const v = bytes ? nullptr : values.data();
    kernels.row_lists({bytes, floats, rows, columns, p, v, starts.data()});
    sparse = {p, v, starts.data(), nullptr};
    room = {by_column.data(), rows, ends.data(), room_rows.data(), room_starts.data()};
  }

  std::vector<Pixel> pixels;
  std::vector<NonZero> values;
  std::vector<size_t> starts;
  std::vector<NonZero> by_column;
  std::vector<void*> ends;
  std::vector<NonZero> room_rows;
  std::vector<size_t> room_starts;
  SparseRows sparse;
  ListRoom room;
};

// Row-major values in another layout, and back.
std::vector<float> laid_out(const std::vector<float>& values, const MatrixLayout& layout, bool back = false) {
  std::vector<float> result = output_of(layout.rows * layout.columns);
  for_columns(layout, {0, layout.columns}, layout.columns, [&](const Columns& c) {
    for (size_t row = 0; row < layout.rows; row++) {
      for (size_t j = 0; j < c.width; j++) {
        const size_t stored = c.offset + row * c.stride + j, plain = row * layout.columns + c.column + j;
        result[back ? plain : stored] = values[back ? stored : plain];
      }
    }
  });
  return result;
}

// What a dense layer gives for a batch: with a rectifier forward, and all gradients.
struct DenseCase {
  size_t rows, inputs, units;
  std::vector<uint8_t> bytes;  // the input as pixels, and
  std::vector<float> x;        // as what they stand for
  std::vector<float> w, bias, dy, y, dw, db, dx;

  size_t non_zeros() const {
    size_t found = 0;
    for (const float value : x) found += value != 0.0f;
    return found;
  }

  DenseCase(size_t rows, size_t inputs, size_t units, float zeros, Numbers* numbers)
      : rows(rows), inputs(inputs), units(units), bytes(rows * inputs) {
    x = numbers->vector(rows * inputs, zeros);
    for (size_t i = 0; i < x.size(); i++) {
      bytes[i] = static_cast<uint8_t>(fabsf(x[i]) * 255.0f);
      x[i] = static_cast<float>(bytes[i]) / 255.0f;
    }
    w = numbers->vector(inputs * units);
    bias = numbers->vector(units);
    dy = numbers->vector(rows * units, zeros);
    y = output_of(rows * units);
    dw = output_of(inputs * units);
    db = output_of(units);
    dx = output_of(rows * inputs);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < units; j++) {
        float acc = bias[j] + 0.0f;
        // Zeros are left out: the kernels must give the same bits whether they skip or not.
        for (size_t k = 0; k < inputs; k++) {
          if (x[i * inputs + k] != 0.0f) acc = fmaf(x[i * inputs + k], w[k * units + j], acc);
        }
        y[i * units + j] = acc > 0.0f ? acc : 0.0f;
      }
      for (size_t k = 0; k < inputs; k++) {
        float acc = 0.0f;
        for (size_t j = 0; j < units; j++) acc = fmaf(dy[i * units + j], w[k * units + j], acc);
        dx[i * inputs + k] = acc;
      }
    }
    for (size_t j = 0; j < units; j++) {
      float sum = 0.0f;
      for (size_t i = 0; i < rows; i++) sum = sum + dy[i * units + j];
      db[j] = sum;
      for (size_t k = 0; k < inputs; k++) {
        float acc = 0.0f;
        for (size_t i = 0; i < rows; i++) acc = fmaf(x[i * inputs + k], dy[i * units + j], acc);
        dw[k * units + j] = acc;
      }
    }
  }
};

enum class Input { kDense, kPixels, kValues };

void check_dense(const KernelTable& kernels, const DenseCase& c, Input input, size_t layout_parts, size_t parts) {
  const MatrixLayout layout = {c.inputs, c.units, layout_parts};
  const std::string where =
      " of input kind " + std::to_string(static_cast<int>(input)) + ", laid out for " + std::to_string(layout_parts);
  const auto name = [&](const char* what) { return name_of(kernels, what, c.rows, c.units, c.inputs, parts) + where; };
  const size_t depth = c.rows > c.units ? c.rows : c.units;
  Lists lists(kernels, input == Input::kPixels ? c.bytes.data() : nullptr, c.x.data(), c.rows, c.inputs);
  const SparseRows sparse = input == Input::kDense ? SparseRows() : lists.sparse;
  const std::vector<float> w = laid_out(c.w, layout);

  // Batches come in panels of a greater capacity, where an engine would have it so.
  const size_t capacity = c.rows + 2;
  const auto batch = [&](const std::vector<float>& values, const MatrixLayout& layout) {
    std::vector<float> filled(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(c.rows * layout.columns));
    filled.resize(capacity * layout.columns, NAN);
    return laid_out(filled, layout);
  };
  const MatrixLayout input_layout = {capacity, c.inputs, layout_parts},
                     output_layout = {capacity, c.units, layout_parts};
  const std::vector<float> x = batch(c.x, input_layout);
  const float* dense_input = input == Input::kDense ? x.data() : nullptr;

  std::vector<float> y = output_of(capacity * c.units);
  run_parts(kernels.dense,
            {dense_input, input_layout, sparse, lists.room, w.data(), layout, c.bias.data(), y.data(), output_layout,
             c.rows, Activation::kRelu, 0.0f},
            parts, c.inputs);
  CHECK(sentinels_intact(y));
  // Dense rows that are sparse enough become lists for a wide product, and others do not.
  const bool made = lists.room_starts[c.rows] > 0, wide = c.units >= 128 && parts == 1 && c.rows >= 8;
  const bool few = static_cast<double>(c.non_zeros()) < 0.4 * static_cast<double>(c.x.size());
  const bool telling = c.inputs > 1;  // a few rows of one value say little
  CHECK_MESSAGE(!telling || made == (input == Input::kDense && wide && few), name("lists of dense rows"));
  CHECK_MESSAGE(same_bits(batch(laid_out(y, output_layout, true), output_layout), batch(c.y, output_layout)),
                name("dense"));

  const MatrixLayout d_output_layout = {capacity, c.units, input == Input::kDense ? 0 : layout_parts};
  const std::vector<float> dy = batch(c.dy, d_output_layout);
  const MatrixLayout d_input_layout = {c.rows, c.inputs, layout_parts};
  std::vector<float> dw = output_of(c.w.size()), db = output_of(c.units), dx = output_of(c.x.size());
  DenseBackwardArgs backward = {dense_input,
                                input_layout,
                                sparse,
                                lists.room,
                                w.data(),
                                layout,
                                dy.data(),
                                d_output_layout,
                                dw.data(),
                                db.data(),
                                input == Input::kDense ? dx.data() : nullptr,
                                d_input_layout,
                                c.rows,
                                Update(),
                                Update()};
  run_parts(kernels.dense_backward, backward, parts, depth);
  CHECK(sentinels_intact(dw));
  CHECK_MESSAGE(same_bits(laid_out(dw, layout, true), c.dw), name("dWeights"));
  CHECK_MESSAGE(same_bits(db, c.db), name("dBias"));
  CHECK_MESSAGE(input != Input::kDense || same_bits(laid_out(dx, d_input_layout, true), c.dx), name("dInput"));

  // The update fed with the gradient equals the update after it.
  backward.d_weights = nullptr;
  backward.d_input = nullptr;
  const auto check_update = [&](const char* what, Update::Rule rule, const auto& kernel, const auto& args_of) {
    std::vector<float> w1 = w, slot1(w.size(), 0.5f), w2 = w, slot2 = slot1;
    Update after;
    args_of(w1.data(), dw.data(), slot1.data(), &after);
    kernel(after);
    backward.weights_update = Update();
    backward.weights_update.rule = rule;
    args_of(w2.data(), nullptr, slot2.data(), &backward.weights_update);
    run_parts(kernels.dense_backward, backward, parts, depth);
    CHECK_MESSAGE(same_bits(w1, w2) && same_bits(slot1, slot2), name(what));
  };
  check_update(
      "fused sgd", Update::Rule::kSgd, [&](const Update& u) { run_parts(kernels.sgd, u.sgd, parts, 1); },
      [&](float* p, const float* g, float* slot, Update* u) {
        u->sgd = {p, g, slot, layout, 0.1f, 0.9f, 0.01f, true};
      });
  check_update(
      "fused rmsprop", Update::Rule::kRmsprop,
      [&](const Update& u) { run_parts(kernels.rmsprop, u.rmsprop, parts, 1); },
      [&](float* p, const float* g, float* slot, Update* u) {
        u->rmsprop = {p, g, slot, nullptr, nullptr, layout, 0.9f, 0.1f, 1e-8f, 0.0f, 0.01f, 0.1f};
      });
  check_update(
      "fused adagrad", Update::Rule::kAdagrad,
      [&](const Update& u) { run_parts(kernels.adagrad, u.adagrad, parts, 1); },
      [&](float* p, const float* g, float* slot, Update* u) { u->adagrad = {p, g, slot, layout, 1e-8f, 0.01f, 0.1f}; });
  check_update(
      "fused lion", Update::Rule::kLion, [&](const Update& u) { run_parts(kernels.lion, u.lion, parts, 1); },
      [&](float* p, const float* g, float* slot, Update* u) {
        u->lion = {p, g, slot, layout, 0.9f, 0.1f, 0.99f, 0.01f, 0.1f, 0.999f};
      });
}

void test_dense(const KernelTable& kernels) {
  Numbers numbers(2);
  for (const size_t rows : {size_t{1}, size_t{6}, size_t{13}, size_t{150}}) {
    for (const size_t inputs : {size_t{1}, size_t{19}, size_t{784}}) {
      for (const size_t units : {size_t{1}, size_t{10}, size_t{33}, size_t{128}, size_t{200}}) {
        if (rows * inputs * units > (quick ? 200000 : 5000000)) continue;
        for (const float zeros : {0.2f, 0.8f}) {
          const DenseCase c(rows, inputs, units, zeros, &numbers);
          for (const Input input : {Input::kDense, Input::kPixels, Input::kValues}) {
            for (const size_t parts : {size_t{1}, size_t{2}, size_t{3}}) check_dense(kernels, c, input, parts, parts);
            check_dense(kernels, c, input, 0, 2);
            check_dense(kernels, c, input, 3, 1);
          }
        }
      }
    }
  }
}

void test_gather(const KernelTable& kernels) {
  std::vector<uint8_t> bytes(256);
  for (size_t i = 0; i < 256; i++) bytes[i] = static_cast<uint8_t>(i);
  for (const size_t columns : {size_t{1}, size_t{7}, size_t{16}, size_t{256}}) {
    const size_t rows = 256 / columns;
    std::vector<uint32_t> order(rows);
    for (size_t i = 0; i < rows; i++) order[i] = static_cast<uint32_t>(rows - 1 - i);
    std::vector<float> output = output_of(rows * columns);
    run_parts(kernels.gather, {bytes.data(), nullptr, SparseRows(), order.data(), output.data(), rows, columns, false},
              3, 1);
    for (size_t i = 0; i < rows; i++) {
      for (size_t j = 0; j < columns; j++) {
        const float wanted = static_cast<float>(order[i] * columns + j) / 255.0f;
        CHECK_MESSAGE(output[i * columns + j] == wanted, std::string(kernels.isa) + " pixel / 255");
      }
    }
    CHECK(sentinels_intact(output));
    // The same from lists.
    Lists lists(kernels, bytes.data(), nullptr, rows, columns);
    lists.sparse.order = order.data();
    std::vector<float> from_lists = output_of(rows * columns);
    run_parts(kernels.gather, {nullptr, nullptr, lists.sparse, order.data(), from_lists.data(), rows, columns, false},
              3, 1);
    CHECK_MESSAGE(same_bits(from_lists, output), std::string(kernels.isa) + " gather from lists");
    CHECK(kernels.non_zeros(bytes.data(), nullptr, 256) == 255);
  }
}

// Runs a kernel on this instruction set and on the first of the list, and compares the bits.
struct Elementwise {
  std::vector<float> outputs[3];
};

Elementwise run_elementwise(const KernelTable& kernels, size_t count, size_t parts) {
  Numbers numbers(static_cast<uint32_t>(count));
  Elementwise result;
  std::vector<float> x = numbers.vector(count), dy = numbers.vector(count);
  for (float& value : x) value = value * 12.0f;
  for (int a = 0; a < static_cast<int>(Activation::kCount); a++) {
    std::vector<float> y = output_of(count), dx = output_of(count);
    run_parts(kernels.activation, {x.data(), y.data(), 1, count, static_cast<Activation>(a), 0.1f, false}, parts, 1);
    run_parts(kernels.activation_backward,
              {y.data(),
               {1, count, 0},
               dy.data(),
               dx.data(),
               {1, count, 0},
               1,
               count,
               static_cast<Activation>(a),
               0.1f,
               false},
              parts, 1);
    CHECK(sentinels_intact(y) && sentinels_intact(dx));
    result.outputs[0].insert(result.outputs[0].end(), y.begin(), y.end());
    result.outputs[0].insert(result.outputs[0].end(), dx.begin(), dx.end());
  }
  std::vector<float> w = x, m = numbers.vector(count), v = numbers.vector(count), velocity = numbers.vector(count);
  for (float& value : v) value = value * value;
  m[0] = 1e-38f;  // subnormal after the decay: flushed
  const MatrixLayout row = {1, count, 0};
  run_parts(
      kernels.adam,
      {w.data(), dy.data(), m.data(), v.data(), row, 0.9f, 0.1f, 0.999f, 0.001f, 1e-8f, 0.02f, 0.01f, 3.0f, 0.99f},
      parts, 1);
  run_parts(kernels.sgd, {w.data(), dy.data(), velocity.data(), row, 0.1f, 0.9f, 0.01f, true}, parts, 1);
  std::vector<float> square = v, average = m, momentum = velocity, sum = v, lion = velocity;
  run_parts(
      kernels.rmsprop,
      {w.data(), dy.data(), square.data(), average.data(), momentum.data(), row, 0.9f, 0.1f, 1e-8f, 0.5f, 0.02f, 0.01f},
      parts, 1);
  run_parts(kernels.adagrad, {w.data(), dy.data(), sum.data(), row, 1e-10f, 0.02f, 0.01f}, parts, 1);
  run_parts(kernels.lion, {w.data(), dy.data(), lion.data(), row, 0.9f, 0.1f, 0.99f, 0.01f, 0.01f, 0.99f}, parts, 1);
  result.outputs[1] = w;
  for (const std::vector<float>& slot : {m, v, velocity, square, average, momentum, sum, lion}) {
    result.outputs[1].insert(result.outputs[1].end(), slot.begin(), slot.end());
  }
  std::vector<float> p = output_of(count), d = output_of(count);
  run_parts(kernels.softmax, {x.data(), p.data(), 1, count}, parts, 1);
  std::vector<RowMetrics> metrics(1);
  const int32_t target = static_cast<int32_t>(count / 2);
  run_parts(kernels.softmax_cross_entropy, {x.data(), &target, d.data(), metrics.data(), 1, count, 0.1}, parts, 1);
  RowMetrics evaluated = {0, 0};
  run_parts(kernels.softmax_cross_entropy, {x.data(), &target, nullptr, &evaluated, 1, count, 0.1}, parts, 1);
  CHECK(evaluated.loss == metrics[0].loss && evaluated.correct == metrics[0].correct);
  CHECK(sentinels_intact(p) && sentinels_intact(d));
  result.outputs[2] = p;
  result.outputs[2].insert(result.outputs[2].end(), d.begin(), d.end());
  result.outputs[2].push_back(static_cast<float>(metrics[0].loss));
  return result;
}

void test_elementwise(const KernelTable& kernels, const KernelTable& other) {
  for (const size_t count : {size_t{1}, size_t{7}, size_t{16}, size_t{33}, size_t{200}, size_t{1000}}) {
    const Elementwise wanted = run_elementwise(other, count, 1);
    for (const size_t parts : {size_t{1}, size_t{2}, size_t{7}}) {
      const Elementwise got = run_elementwise(kernels, count, parts);
      for (int i = 0; i < 3; i++) {
        CHECK_MESSAGE(same_bits(got.outputs[i], wanted.outputs[i]),
                      name_of(kernels, "elementwise", 1, count, static_cast<size_t>(i), parts));
      }
    }
  }
}

// Against the C library in double precision: the bounds are a few units in the last place of float32.
void test_accuracy(const KernelTable& kernels) {
  for (float x = -20.0f; x <= 20.0f; x += 0.0371f) {
    float y = 0;
    kernels.activation({&x, &y, 1, 1, Activation::kSigmoid, 0, false}, {0, 1, nullptr});
    CHECK(fabs(y - 1.0 / (1.0 + exp(-static_cast<double>(x)))) <= 2e-7);
    kernels.activation({&x, &y, 1, 1, Activation::kTanh, 0, false}, {0, 1, nullptr});
    CHECK(fabs(y - tanh(static_cast<double>(x))) <= 2e-7);
    kernels.activation({&x, &y, 1, 1, Activation::kGelu, 0, false}, {0, 1, nullptr});
    const double gelu = x * 0.5 * (1.0 + erf(x / sqrt(2.0)));
    CHECK(fabs(y - gelu) <= 3e-7 * (1.0 + fabs(x)));
  }
  const float nan = NAN;
  float y = 0;
  kernels.activation({&nan, &y, 1, 1, Activation::kRelu, 0, false}, {0, 1, nullptr});
  CHECK(isnan(y));
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train;
  const Target* targets;
  const size_t count = all_targets(&targets);
  const KernelTable* first = nullptr;
  for (size_t i = 0; i < count; i++) {
    if (!targets[i].supported) continue;
    const KernelTable& kernels = *targets[i].table;
    printf("%s\n", kernels.isa);
    if (!first) first = &kernels;
    test::test_matmul(kernels);
    test::test_dense(kernels);
    test::test_gather(kernels);
    test::test_elementwise(kernels, *first);
    test::test_accuracy(kernels);
  }
  CHECK_MESSAGE(first != nullptr, "this processor has none of the instruction sets");
  return test::report("kernels_test");
}
