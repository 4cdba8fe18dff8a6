// Ops of images and of training beyond dense layers, as words: which programs are refused, and where barriers stand.
// What is not refused runs in memory of the regions' exact sizes, which the address sanitizer watches.
#include <random>

#include "../engine/windows.h"
#include "../targets/dispatch.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

double code(const char* name) {
  size_t i = 0;
  while (i < op_kind_count() && strcmp(op_kind(i).name, name) != 0) i++;
  return static_cast<double>(i);
}

constexpr double kCapacity = 20;  // two parts

struct Spec {
  double type, rows, columns, batched;
  double region = 2;
};
Spec images(double columns) { return {0, kCapacity, columns, 1}; }
Spec winners(double columns) { return {1, kCapacity, columns, 1}; }
Spec fixed(double rows, double columns) { return {0, rows, columns, 0}; }

// Ops of one kind: the first takes buffers 0, 1, 2, ...
struct Case {
  const char* op;
  std::vector<Spec> buffers;
  std::vector<double> values;
  size_t checked;  // so many of the values have a range
};

// 4 x 6 images of 3 channels in windows of 2 x 3, every second one, one column of padding.
const std::vector<double> kSome = {4, 6, 3, 2, 3, 2, 2, 0, 1, 2, 3};
// The same with more values behind it.
std::vector<double> some_and(std::initializer_list<double> values) {
  std::vector<double> all = kSome;
  all.insert(all.end(), values);
  return all;
}

const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {"maxPool2d", {images(72), images(18), winners(18)}, kSome, 11},
      {"maxPool2dBackward", {images(18), winners(18), images(72)}, kSome, 11},
      {"averagePool2d", {images(72), images(18)}, kSome, 11},
      {"averagePool2dBackward", {images(18), images(72)}, kSome, 11},
      {"dropout", {images(72), images(72)}, {0.3, 5, 6, 1, 0}, 5},
      {"add", {images(72), images(72), images(72)}, {}, 0},
      {"channelMoments", {images(72), fixed(4, 3)}, {3}, 1},
      {"batchNormStatistics", {fixed(4, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3)}, {24, 0.9}, 1},
      {"batchNorm", {images(72), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), images(72)}, {1e-3}, 0},
      {"batchNormSums", {images(72), fixed(1, 3), fixed(1, 3), images(72), fixed(2, 3), fixed(2, 3)}, {1e-3}, 0},
      {"batchNormBackward",
       {images(72), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), images(72), images(72)},
       {1e-3},
       0},
      {"foldBatchNorm",
       {fixed(5, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3), fixed(5, 3), fixed(1, 3)},
       {1e-3},
       0},
      {"regularize", {fixed(5, 40), fixed(5, 40)}, {0.01, 0.02}, 0},
      {"maxNorm", {fixed(5, 40)}, {1.5}, 0},
      {"sgd", {fixed(5, 40), fixed(5, 40), fixed(5, 40)}, {0, 0.9, 1, 0.1}, 1},
      {"rmsprop", {fixed(5, 40), fixed(5, 40), fixed(5, 40), fixed(5, 40), fixed(5, 40)}, {0, 0.9, 1e-8, 0.5, 0.1}, 1},
      {"adagrad", {fixed(5, 40), fixed(5, 40), fixed(5, 40)}, {0, 1e-10, 0.1}, 1},
      {"lion", {fixed(5, 40), fixed(5, 40), fixed(5, 40)}, {0, 0, 0.9, 0.99}, 2},
      {"clipByValue", {fixed(5, 40)}, {1.5}, 0},
      {"columnSquares", {fixed(5, 40), fixed(1, 40)}, {}, 0},
      {"addSquares", {fixed(1, 40), fixed(1, 1)}, {1}, 0},
      {"clipByGlobalNorm", {fixed(5, 40), fixed(1, 1)}, {1.5}, 0},
      {"average", {fixed(5, 40), fixed(5, 40)}, {0}, 1},
      {"conv2d", {images(72), fixed(18, 5), fixed(1, 5), images(5), winners(5)}, some_and({1, 0, 1}), 11},
      {"conv2dBackward",
       {images(72), fixed(18, 5), images(5), winners(5), fixed(36, 5), fixed(2, 5), images(72)},
       some_and({1}),
       11},
      {"softmaxCrossEntropy", {images(72), winners(1), images(72)}, {0.1}, 0},
      {"crossEntropy", {images(72), winners(1), fixed(1, 72), images(72)}, {0.1}, 1},
      {"crossEntropy", {images(72), images(72), fixed(1, 72), images(72)}, {0.1}, 1},
      {"binaryCrossEntropy", {images(72), images(72), images(72)}, {0.1}, 1},
      {"meanSquaredError", {images(72), images(72), images(72)}, {}, 0},
      {"meanAbsoluteError", {images(72), images(72), images(72)}, {}, 0},
      {"huber", {images(72), images(72), images(72)}, {0.5}, 0},
      {"augment", {images(72), images(72)}, {4, 6, 3, 2, 30, 0.2, 0.3, 0.1, 2.5, 3, 0.5, 2, 5, 6, 0}, 4},
  };
  return list;
}

// A section of these ops, whose words are given, with its id, input and output; one scalar.
std::vector<double> section_program(const std::vector<double>& section, const std::vector<Spec>& buffers,
                                    const std::vector<std::vector<double>>& ops) {
  std::vector<double> offsets, sizes(5, 0);
  for (const Spec& b : buffers) {
    double& size = sizes[static_cast<size_t>(b.region)];
    offsets.push_back(size);
    size += ceil(b.rows * b.columns * 4 / 64) * 64;
  }
  std::vector<double> words = {2};
  words.insert(words.end(), sizes.begin(), sizes.end());
  words.insert(words.end(), {1, static_cast<double>(buffers.size())});
  for (size_t i = 0; i < buffers.size(); i++) {
    const Spec& b = buffers[i];
    words.insert(words.end(), {b.region, b.type, offsets[i], b.rows, b.columns, b.batched, 0});
  }
  words.insert(words.end(), {1, section[0], kCapacity, section[1], section[2], static_cast<double>(ops.size())});
  for (const auto& op : ops) words.insert(words.end(), op.begin(), op.end());
  return words;
}

std::vector<double> train_program(const std::vector<Spec>& buffers, const std::vector<std::vector<double>>& ops) {
  return section_program({0, -1, -1}, buffers, ops);
}

// Buffers and values in the order of the op's fields: buffers first, as these ops all have them.
std::vector<double> words_of(const Case& c) {
  std::vector<double> op = {code(c.op)};
  for (size_t i = 0; i < c.buffers.size(); i++) op.push_back(static_cast<double>(i));
  op.insert(op.end(), c.values.begin(), c.values.end());
  return train_program(c.buffers, {op});
}

bool parses(const std::vector<double>& words, std::string* error = nullptr) {
  Program program;
  std::string message;
  const bool ok = parse_program(words.data(), words.size(), &program, &message);
  if (error) *error = message;
  return ok;
}

void test_sound() {
  for (const Case& c : cases()) {
    std::string error;
    CHECK_MESSAGE(parses(words_of(c), &error), std::string(c.op) + ": " + error);
  }
}

// Every buffer of another size, type or kind than the others ask for.
void test_wrong_buffers() {
  for (const Case& c : cases()) {
    for (size_t i = 0; i < c.buffers.size(); i++) {
      const auto refused = [&](const char* what, auto change) {
        Case wrong = c;
        change(&wrong.buffers[i]);
        CHECK_MESSAGE(!parses(words_of(wrong)), std::string(c.op) + " buffer " + std::to_string(i) + " " + what);
      };
      // A gradient that is clipped may have any shape, and so may squares.
      const bool any_shape = strcmp(c.op, "maxNorm") == 0 || strcmp(c.op, "clipByValue") == 0 ||
                             (i == 0 && (strcmp(c.op, "clipByGlobalNorm") == 0 || strcmp(c.op, "addSquares") == 0));
      if (!any_shape) refused("wider", [](Spec* b) { b->columns++; });
      refused("of the other type", [](Spec* b) { b->type = 1 - b->type; });
      refused("batched or not", [](Spec* b) { b->batched = 1 - b->batched; });
    }
  }
}

void test_wrong_values() {
  for (const Case& c : cases()) {
    for (size_t i = 0; i < c.checked; i++) {
      for (const double value : {static_cast<double>(NAN), -1.0, -0.5, 1.5, 1e18}) {
        Case wrong = c;
        wrong.values[i] = value;
        CHECK_MESSAGE(!parses(words_of(wrong)),
                      std::string(c.op) + " value " + std::to_string(i) + " = " + std::to_string(value));
      }
    }
  }
}

// What bounds the places that an augmentation looks at.
void test_augment_ranges() {
  const Case& sound = cases().back();
  CHECK(strcmp(sound.op, "augment") == 0);
  const auto taken = [&](size_t value, double number) {
    Case c = sound;
    c.values[value] = number;
    return parses(words_of(c));
  };
  const struct {
    size_t value;
    double least, most, below, above;
  } ranges[] = {{3, 0, 8, -1, 9},
                {4, 0, 45, -1, 46},
                {5, 0, 0.5, -0.1, 0.6},
                {6, 0, 0.5, -0.1, 0.6},
                {7, 0, 0.5, -1, 1},
                {8, 0, 16, -1, 16.5},
                {9, 2, 64, 1, 65},
                {10, 0, 1, -0.1, 1.1},
                {11, 1, 4, 0, 5},
                {12, 0, 4294967295.0, -1, 4294967296.0},
                {13, 0, 4294967295.0, -1, 4294967296.0},
                {14, 0, 0, -1, 1}};
  for (const auto& r : ranges) {
    const std::string name = "augment value " + std::to_string(r.value);
    CHECK_MESSAGE(taken(r.value, r.least) && taken(r.value, r.most), name);
    CHECK_MESSAGE(!taken(r.value, r.below) && !taken(r.value, r.above) && !taken(r.value, NAN), name);
  }
  Case in_place = sound;
  in_place.buffers.pop_back();
  std::vector<double> op = {code("augment"), 0, 0};
  op.insert(op.end(), sound.values.begin(), sound.values.end());
  CHECK(!parses(train_program(in_place.buffers, {op})));
}

void test_huber_delta() {
  const auto taken = [](double delta) {
    Case c = {"huber", {images(72), images(72), images(72)}, {delta}, 0};
    return parses(words_of(c));
  };
  CHECK(taken(1e-30) && taken(1) && taken(1e30));
  for (const double delta : {0.0, -1.0, 1e-50, 1e50, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    CHECK_MESSAGE(!taken(delta), std::to_string(delta));
  }
}

// Evaluation may read slots, which hold a loss's weights of classes; it changes none, and inference sees none.
void test_slots_outside_training() {
  const auto in = [](Spec b, double region) {
    b.region = region;
    return b;
  };
  const std::vector<double> loss = {code("crossEntropy"), 0, 1, 2, -1, 0};
  const std::vector<Spec> evaluated = {in(images(5), 3), in(winners(1), 3), in(fixed(1, 5), 1)};
  std::string error;
  CHECK_MESSAGE(
      parses(section_program({1, -1, -1}, evaluated, {{code("gather"), 0, 0}, {code("gather"), 1, 1}, loss}), &error),
      error);
  CHECK(!parses(section_program({1, -1, -1}, {in(fixed(5, 40), 1)}, {{code("maxNorm"), 0, 1.5}}), &error));
  CHECK_MESSAGE(error.find("only training may change") != std::string::npos, error);
  const std::vector<double> dense = {code("dense"), 0, 1, -1, 2, 0, 0};
  const std::vector<Spec> inferred = {in(images(4), 4), in(fixed(4, 5), 0), in(images(5), 4)};
  CHECK_MESSAGE(parses(section_program({2, 0, 2}, inferred, {dense}), &error), error);
  std::vector<Spec> slots = inferred;
  slots[1].region = 1;
  CHECK(!parses(section_program({2, 0, 2}, slots, {dense}), &error));
  CHECK_MESSAGE(error.find("must not see slots") != std::string::npos, error);
}

// Parts in memory that belongs to no section have no known number.
void test_parts_outside_a_section() {
  Case c = cases()[6];
  CHECK(strcmp(c.op, "channelMoments") == 0);
  c.buffers[1].region = 1;
  std::string error;
  CHECK(!parses(words_of(c), &error));
  CHECK_MESSAGE(error.find("shape of the parts") != std::string::npos, error);
}

// Dropout makes no sense in an infer section.
void test_inference() {
  Case c = cases()[4];
  CHECK(strcmp(c.op, "dropout") == 0);
  for (Spec& b : c.buffers) b.region = 4;
  std::vector<double> words = words_of(c);
  const size_t section = words.size() - 8 - 6 + 1;
  words[section] = 2;
  words[section + 2] = 0;
  words[section + 3] = 1;
  std::string error;
  CHECK(!parses(words, &error));
  CHECK_MESSAGE(error.find("dropout cannot infer") != std::string::npos, error);
}

const char* check(std::vector<double> values) {
  Op op = {};
  for (size_t i = 0; i < values.size(); i++) op.values[i] = values[i];
  Windows windows;
  return check_windows(op, 0, &windows);
}

void test_windows() {
  CHECK(check(kSome) == nullptr);
  CHECK(check({4, 6, 3, 2, 3, 2, 2, 1, 2, 3, 4}) == nullptr);  // the last window begins in the last row and column
  CHECK(check({4, 6, 3, 2, 3, 2, 2, 2, 1, 2, 3}) != nullptr);  // the first window ends above the image
  CHECK(check({4, 6, 3, 2, 3, 2, 2, 0, 3, 2, 3}) != nullptr);
  CHECK(check({4, 6, 3, 2, 3, 2, 2, 0, 1, 3, 3}) != nullptr);  // the last window begins below the image
  CHECK(check({4, 6, 3, 2, 3, 2, 2, 0, 1, 2, 5}) != nullptr);
  CHECK(check({4, 6, 3, 1 << 13, 1 << 12, 2, 2, 0, 0, 1, 1}) != nullptr);  // more taps than float32 can number
  CHECK(check({1 << 20, 1 << 20, 1 << 20, 1, 1, 1, 1, 0, 0, 1 << 20, 1 << 20}) == nullptr);
}

// Runs a program's ops once, as two members one after the other, with numbers of every kind in its memory.
void run_once(Program* program) {
  const Target* targets;
  const size_t count = all_targets(&targets);
  const Section& section = program->sections[kTrainSection];
  std::vector<std::vector<char>> regions;
  std::mt19937 random(1);
  for (const size_t size : program->region_sizes) {
    regions.emplace_back(size);
    for (char& byte : regions.back()) byte = static_cast<char>(random());
  }
  std::vector<uint32_t> order(section.capacity, 7);
  const std::vector<float> scalars(program->scalars, NAN);
  std::vector<float> scratch(program->scratch_floats);
  std::vector<RowMetrics> metrics(section.capacity);
  StepContext context = {};
  context.metrics = metrics.data();
  context.program = program;
  context.section = &section;
  context.order = order.data();
  context.scalars = scalars.data();
  for (size_t region = 0; region < kRegionCount; region++) context.regions[region] = regions[region].data();
  for (size_t i = 0; i < count; i++) {
    if (!targets[i].supported) continue;
    context.kernels = targets[i].table;
    for (const size_t rows : {section.capacity, size_t{1}}) {
      context.rows = rows;
      for (const Op& op : section.ops) {
        for (size_t part = 0; part < 2; part++) op.kind->run(context, op, {part, 2, scratch.data()});
      }
    }
  }
}

// Every word of every program replaced: what is still taken runs without leaving its memory.
void test_damaged_words() {
  constexpr size_t kMostBytes = 1 << 20, kMostRows = 1 << 12;
  const double values[] = {-1, 0, 0.5, 1, 2, 3, 4, 5, 7, 16, 40, 1000, 65536, 1e9, NAN, INFINITY};
  size_t taken = 0;
  for (const Case& c : cases()) {
    const std::vector<double> words = words_of(c);
    for (size_t i = 0; i < words.size(); i++) {
      for (const double value : values) {
        std::vector<double> damaged = words;
        damaged[i] = value;
        Program program;
        std::string error;
        if (!parse_program(damaged.data(), damaged.size(), &program, &error)) continue;
        size_t bytes = program.scratch_floats;
        for (const size_t size : program.region_sizes) bytes = bytes > size ? bytes : size;
        const Section& section = program.sections[kTrainSection];
        if (bytes > kMostBytes || !section.present || section.capacity > kMostRows) continue;
        schedule(&program, 2);
        run_once(&program);
        taken++;
      }
    }
  }
  CHECK_MESSAGE(taken > 100, std::to_string(taken) + " taken");
}

// Before which ops a team of two meets, as digits.
std::string barriers_of(const std::vector<Spec>& buffers, const std::vector<std::vector<double>>& ops) {
  const std::vector<double> words = train_program(buffers, ops);
  Program program;
  std::string error;
  CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
  schedule(&program, 2);
  std::string barriers;
  for (const Op& op : program.sections[kTrainSection].ops) barriers += op.barrier_before[0] ? '1' : '0';
  return barriers;
}

void test_barriers() {
  // A normalization: all parts are there before they are joined, and the whole before it is used. Then every member
  // goes on with images of its own.
  const std::vector<Spec> buffers = {images(72),  fixed(4, 3), fixed(1, 3), fixed(1, 3), fixed(1, 3),
                                     fixed(1, 3), images(72),  images(72),  images(18),  fixed(4, 3)};
  std::vector<double> pool = {code("averagePool2d"), 7, 8};
  pool.insert(pool.end(), kSome.begin(), kSome.end());
  CHECK(barriers_of(buffers, {{code("channelMoments"), 0, 1, 3},
                              {code("batchNormStatistics"), 1, 2, 3, 4, 5, 24, 0.9},
                              {code("batchNorm"), 0, 2, 3, -1, -1, 6, 1e-3},
                              {code("dropout"), 6, 6, 0.3, 5, 6, 1, 0},
                              {code("add"), 6, 0, 7},
                              pool,
                              {code("channelMoments"), 8, 9, 3}}) == "0110000");
  // The next step may have other parts: nobody writes the pools while another one still reads them.
  std::vector<double> first = {code("averagePool2d"), 0, 1}, second = {code("averagePool2dBackward"), 1, 2};
  for (std::vector<double>* op : {&first, &second}) op->insert(op->end(), kSome.begin(), kSome.end());
  CHECK(barriers_of({images(72), images(18), images(72)}, {first, second}) == "10");
  // Members write parts of their own samples only.
  const std::vector<double> moments = {code("channelMoments"), 0, 1, 3};
  CHECK(barriers_of({images(72), fixed(4, 3)}, {moments, moments}) == "10");
  // Penalty, update and norm of weights that are laid out for the team: each member has its columns.
  const std::vector<std::vector<double>> ops = {
      {code("regularize"), 0, 1, 0, 0.1}, {code("sgd"), 0, 1, -1, 0, 0, 0, 0}, {code("maxNorm"), 0, 1.5}};
  CHECK(barriers_of({fixed(5, 40), fixed(5, 40)}, ops) == "000");
  // The norm of two gradients: squares by columns, their sum by one member, and all of them look at it.
  const std::vector<Spec> clipped = {fixed(5, 40), fixed(1, 40), fixed(1, 40), fixed(1, 40),
                                     fixed(1, 1),  fixed(5, 40), fixed(1, 40), fixed(5, 40)};
  CHECK(barriers_of(clipped, {{code("columnSquares"), 0, 2},
                              {code("columnSquares"), 1, 3},
                              {code("addSquares"), 2, 4, 1},
                              {code("addSquares"), 3, 4, 0},
                              {code("clipByGlobalNorm"), 0, 4, 0.5},
                              {code("clipByGlobalNorm"), 1, 4, 0.5},
                              {code("sgd"), 5, 0, -1, 0, 0, 0, 0},
                              {code("sgd"), 6, 1, -1, 0, 0, 0, 0},
                              {code("average"), 5, 7, 0}}) == "001010000");
  // With too few columns they are divided by rows, and a norm takes whole columns.
  CHECK(barriers_of({fixed(50, 10), fixed(50, 10)}, ops) == "101");
}

// Many ops between two barriers: what was touched is kept by buffer, or this would take minutes. No more than may be.
void test_many_ops() {
  constexpr size_t kMostOps = 1 << 15;
  const std::vector<Spec> buffers = {images(72), images(72), images(72)};
  std::vector<std::vector<double>> ops(kMostOps, {code("add"), 0, 1, 2});
  const std::string barriers = barriers_of(buffers, ops);
  CHECK(barriers.size() == kMostOps && barriers.find('1') == std::string::npos);
  ops.push_back(ops.back());
  std::string error;
  CHECK(!parses(train_program(buffers, ops), &error));
  CHECK_MESSAGE(error.find("bad number of ops") != std::string::npos, error);
}

// Folded weights lie as the weights do, whoever else reads one of them.
void test_layout_of_folded_weights() {
  const std::vector<Spec> buffers = {fixed(5, 40), fixed(1, 40), fixed(1, 40), fixed(5, 40),
                                     fixed(1, 40), images(5),    images(40)};
  const std::vector<double> fold = {code("foldBatchNorm"), 0, -1, 1, 2, -1, -1, 3, 4, 1e-3};
  const std::vector<double> dense = {code("dense"), 5, 3, 4, 6, 0, 0};
  const std::vector<double> product = {code("matmul"), 5, 0, 6, 0, 0};
  const auto layout_parts = [&](const std::vector<std::vector<double>>& ops) {
    const std::vector<double> words = train_program(buffers, ops);
    Program program;
    std::string error;
    CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
    schedule(&program, 2);
    CHECK(program.buffers[0].layout_parts == program.buffers[3].layout_parts);
    return program.buffers[0].layout_parts;
  };
  CHECK(layout_parts({fold, dense}) == 2);
  CHECK(layout_parts({fold, dense, product}) == 0);
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train::test;
  test_sound();
  test_wrong_buffers();
  test_wrong_values();
  test_augment_ranges();
  test_huber_delta();
  test_slots_outside_training();
  test_parts_outside_a_section();
  test_inference();
  test_windows();
  test_damaged_words();
  test_barriers();
  test_many_ops();
  test_layout_of_folded_weights();
  return report("op_checks_test");
}
