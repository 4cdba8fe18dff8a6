// parse_program(): a sound program is understood, barriers stand where they must, and every kind of damage is refused.
#include "../engine/program.h"

#include <limits>

#include "../engine/ops.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

size_t code_of(const char* name) {
  for (size_t i = 0; i < op_kind_count(); i++) {
    if (strcmp(op_kind(i).name, name) == 0) return i;
  }
  return op_kind_count();
}

// y = relu(x * w + b) over four samples of three values, two units, in an infer section.
std::vector<double> sound_program() {
  // clang-format off
  return {
      2,                           // version
      128, 0, 0, 0, 128,           // region sizes: parameters, slots, train, evaluate, infer
      0,                           // scalars
      4,                           // buffers: region, type, offset, rows, columns, batched, sparse
      0, 0, 0, 3, 2, 0, 0,            // 0 weights
      0, 0, 64, 1, 2, 0, 0,           // 1 bias
      4, 0, 0, 4, 3, 1, 0,            // 2 x
      4, 0, 64, 4, 2, 1, 0,           // 3 y
      1,                           // sections
      2, 4, 2, 3, 1,               // infer: capacity, input, output, ops
      static_cast<double>(code_of("dense")), 2, 0, 1, 3, 1, 0,
  };
  // clang-format on
}

bool parses(const std::vector<double>& words, std::string* error = nullptr) {
  Program program;
  std::string message;
  const bool ok = parse_program(words.data(), words.size(), &program, &message);
  if (!ok) CHECK_MESSAGE(!message.empty(), "a refusal says why");
  if (error) *error = message;
  return ok;
}

void test_sound() {
  Program program;
  std::string error;
  const std::vector<double> words = sound_program();
  CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
  CHECK(program.sections[kInferSection].present && !program.sections[kTrainSection].present);
  CHECK(program.sections[kInferSection].ops.size() == 1);
  CHECK(program.buffers.size() == 4 && program.buffers[3].columns == 2);
}

void test_truncated() {
  const std::vector<double> words = sound_program();
  for (size_t length = 0; length < words.size(); length++) {
    CHECK_MESSAGE(!parses(std::vector<double>(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(length))),
                  "truncated to " + std::to_string(length));
  }
  std::vector<double> longer = words;
  longer.push_back(0);
  CHECK(!parses(longer));
}

// Every word replaced by values that make no sense in most places: no crash, and what still parses is in bounds, which
// the address sanitizer watches when the engine test runs programs.
void test_damaged_words() {
  const std::vector<double> words = sound_program();
  const double values[] = {-1, 0.5, 1e18, -1e300, NAN, INFINITY, 4294967296.0, 7, 1000};
  size_t refused = 0;
  for (size_t i = 0; i < words.size(); i++) {
    for (const double value : values) {
      std::vector<double> damaged = words;
      damaged[i] = value;
      if (!parses(damaged)) refused++;
    }
  }
  CHECK_MESSAGE(refused > words.size() * 6, std::to_string(refused) + " refused");
}

void test_refusals() {
  const auto refused = [](size_t word, double value, const char* reason) {
    std::vector<double> words = sound_program();
    words[word] = value;
    std::string error;
    const bool ok = parses(words, &error);
    CHECK_MESSAGE(!ok && error.find(reason) != std::string::npos, std::string(reason) + " / " + error);
  };
  refused(0, 1, "version");
  refused(10, 8, "not aligned");
  refused(10, 128, "outside its region");
  refused(11, 1e12, "outside its region");
  refused(11, 4, "shape of the input");
  refused(33, 5, "outside its region");
  refused(37, 7, "bad section");
  refused(38, 5, "capacity");
  refused(42, 99, "bad op");
  refused(43, -1, "bad buffer");
  refused(47, 17, "unknown activation");
  refused(14, 1, "only float32 batches can be sparse");
  refused(35, 1, "only the input of an infer section can be sparse");
}

// An op that writes a parameter may only stand in training.
void test_parameters_are_read_only_outside_training() {
  std::vector<double> words = sound_program();
  words[words.size() - 3] = 1;  // the output becomes the bias
  std::string error;
  CHECK(!parses(words, &error));
  CHECK_MESSAGE(error.find("only training") != std::string::npos, error);
}

// Before which ops of a train section a team of two meets, as digits.
std::string barriers_of(const std::vector<double>& words, bool lists) {
  Program program;
  std::string error;
  CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
  schedule(&program, 2);
  std::string barriers;
  for (const Op& op : program.sections[kTrainSection].ops) {
    if (!op.absorbed) barriers += op.barrier_before[lists] ? '1' : '0';
  }
  return barriers;
}

void test_barriers() {
  const double activation = static_cast<double>(code_of("activation"));
  const double softmax = static_cast<double>(code_of("softmax"));
  const auto three_ops = [](double columns, std::vector<double> ops) {
    const double size = columns * 16;
    std::vector<double> words = {2, 0, 0, 4 * size, 0, 0, 0, 4};
    for (double i = 0; i < 4; i++) words.insert(words.end(), {2, 0, i * size, 4, columns, 1, 0});
    words.insert(words.end(), {1, 0, 4, -1, -1, 3});
    words.insert(words.end(), ops.begin(), ops.end());
    return words;
  };
  // a -> b, a -> c, b -> d, element by element: everybody reads what they wrote themselves.
  const std::vector<double> elementwise = {activation, 0, 1, 1, 0, activation, 0, 2, 1, 0, activation, 1, 3, 1, 0};
  CHECK(barriers_of(three_ops(64, elementwise), false) == "000");
  // The same with a softmax, which takes whole rows, of what had been divided by columns: a barrier before it, and one
  // before b is written again in the next step.
  const std::vector<double> mixed = {activation, 0, 1, 1, 0, activation, 0, 2, 1, 0, softmax, 1, 3};
  CHECK(barriers_of(three_ops(64, mixed), false) == "101");
  // With too few columns for two, activations go by rows as well. The next step may have fewer rows, and then others
  // write what the softmax of this one reads: a barrier before that.
  CHECK(barriers_of(three_ops(16, mixed), false) == "100");
}

// A network of two layers with 32 and 10 units and fused updates.
void test_barriers_of_training() {
  const auto code = [](const char* name) { return static_cast<double>(code_of(name)); };
  // clang-format off
  const std::vector<double> words = {
      2, 4032, 0, 6016, 0, 0, 1, 15,
      0, 0, 0,    20, 32, 0, 0,    // 0 weights
      0, 0, 2560, 1, 32, 0, 0,     // 1 bias
      0, 0, 2688, 32, 10, 0, 0,    // 2 weights of the second layer
      0, 0, 3968, 1, 10, 0, 0,     // 3 its bias
      2, 0, 0,    4, 20, 1, 1,     // 4 input, sparse
      2, 1, 320,  4, 1, 1, 0,      // 5 targets
      2, 0, 384,  4, 32, 1, 0,     // 6 hidden
      2, 0, 896,  4, 10, 1, 0,     // 7 logits
      2, 0, 1088, 4, 10, 1, 0,     // 8 dLogits
      2, 0, 1280, 4, 32, 1, 0,     // 9 dHidden
      2, 0, 1792, 32, 10, 0, 0,    // 10 gradients
      2, 0, 3072, 1, 10, 0, 0,     // 11
      2, 0, 3136, 20, 32, 0, 0,    // 12
      2, 0, 5696, 1, 32, 0, 0,     // 13
      2, 0, 5824, 4, 10, 1, 0,     // 14 not used
      1, 0, 4, -1, -1, 12,
      code("gather"), 0, 4,
      code("gather"), 1, 5,
      code("dense"), 4, 0, 1, 6, 1, 0,
      code("dense"), 6, 2, 3, 7, 0, 0,
      code("softmaxCrossEntropy"), 7, 5, 8, 0,
      code("denseBackward"), 6, 2, 8, -1, -1, 9, 0,
      code("denseBackward"), 6, 2, 8, 10, 11, -1, 1,
      code("sgd"), 2, 10, -1, 0, 0, 0, 0,
      code("sgd"), 3, 11, -1, 0, 0, 0, 0,
      code("activationBackward"), 6, 9, 9, 1, 0,
      code("denseBackward"), 4, 0, 9, 12, -1, -1, 1,
      code("sgd"), 0, 12, -1, 0, 0, 0, 0,
  };
  // clang-format on
  // Lists: units of the first layer and all that follows from them stay with one member from the loss to the second
  // layer of the next step. Only hidden activations and the gradient of the logits change hands.
  CHECK(barriers_of(words, true) == "000101000");
  // Dense samples are gathered by rows and read by all: a barrier before and behind them more.
  CHECK(barriers_of(words, false)[0] == '1' && barriers_of(words, false)[2] == '1');
}

}  // namespace
}  // namespace test
}  // namespace mnist_train

int main() {
  using namespace mnist_train::test;
  test_sound();
  test_truncated();
  test_damaged_words();
  test_refusals();
  test_parameters_are_read_only_outside_training();
  test_barriers();
  test_barriers_of_training();
  return report("program_test");
}
