// parse_program(): a sound program is understood, barriers stand where they must, and every kind of damage is refused.
#include "../engine/program.h"

#include <limits>

#include "../engine/ops.h"
#include "check.h"

namespace mnist_train {
namespace test {
namespace {

size_t code_of(const char* name) {
  for (size_t i = 0; i < kOpKindCount; i++) {
    if (strcmp(kOpKinds[i].name, name) == 0) return i;
  }
  return kOpKindCount;
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
  refused(35, 1, "cannot take a sparse buffer here");
}

// An op that writes a parameter may only stand in training.
void test_parameters_are_read_only_outside_training() {
  std::vector<double> words = sound_program();
  words[words.size() - 3] = 1;  // the output becomes the bias
  std::string error;
  CHECK(!parses(words, &error));
  CHECK_MESSAGE(error.find("only training") != std::string::npos, error);
}

void test_barriers() {
  const double activation = static_cast<double>(code_of("activation"));
  // a -> b, a -> c, b -> d: the third op reads what the first wrote; the second is independent.
  // clang-format off
  const std::vector<double> words = {
      2, 0, 0, 256, 0, 0, 0, 4,
      2, 0, 0,   1, 4, 0, 0,
      2, 0, 64,  1, 4, 0, 0,
      2, 0, 128, 1, 4, 0, 0,
      2, 0, 192, 1, 4, 0, 0,
      1, 0, 1, -1, -1, 3,
      activation, 0, 1, 1, 0,
      activation, 0, 2, 1, 0,
      activation, 1, 3, 1, 0,
  };
  // clang-format on
  Program program;
  std::string error;
  CHECK_MESSAGE(parse_program(words.data(), words.size(), &program, &error), error);
  const std::vector<Op>& ops = program.sections[kTrainSection].ops;
  CHECK(ops.size() == 3 && !ops[0].barrier_before && !ops[1].barrier_before && ops[2].barrier_before);
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
  return report("program_test");
}
