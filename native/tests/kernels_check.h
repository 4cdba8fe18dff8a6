// What the tests of kernels share: outputs that show stray writes, and runs in parts.
#ifndef MNIST_TRAIN_TESTS_KERNELS_CHECK_H_
#define MNIST_TRAIN_TESTS_KERNELS_CHECK_H_

#include <math.h>

#include "../kernels/kernels.h"
#include "../targets/dispatch.h"
#include "check.h"

namespace mnist_train {
namespace test {

constexpr float kSentinel = 12345.0f;

inline std::string name_of(const KernelTable& k, const char* what, size_t m, size_t n, size_t depth, size_t parts) {
  return std::string(k.isa) + " " + what + " " + std::to_string(m) + "x" + std::to_string(n) + "x" +
         std::to_string(depth) + " in " + std::to_string(parts);
}

// An output with sentinels behind it.
inline std::vector<float> output_of(size_t size) { return std::vector<float>(size + 16, kSentinel); }

inline bool sentinels_intact(const std::vector<float>& output) {
  for (size_t i = output.size() - 16; i < output.size(); i++) {
    if (output[i] != kSentinel) return false;
  }
  return true;
}

template <class Args>
void run_parts(void (*kernel)(const Args&, Slice), const Args& args, size_t parts, size_t depth) {
  // NaN shows the use of scratch memory that nobody wrote.
  std::vector<float> scratch(scratch_floats(depth), NAN);
  for (size_t part = 0; part < parts; part++) kernel(args, {part, parts, scratch.data()});
}

// Runs a test on every instruction set of this processor.
template <class Test>
int on_all_targets(const char* name, const Test& test) {
  const Target* targets;
  const size_t count = all_targets(&targets);
  size_t tested = 0;
  for (size_t i = 0; i < count; i++) {
    if (!targets[i].supported) continue;
    printf("%s\n", targets[i].table->isa);
    test(*targets[i].table);
    tested++;
  }
  CHECK_MESSAGE(tested > 0, "this processor has none of the instruction sets");
  return report(name);
}

// Equal up to the sign of zero and the kind of NaN: docs/numerics.md, rule 4.
inline bool same_numbers(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); i++) {
    if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i]))) return false;
  }
  return true;
}

}  // namespace test
}  // namespace mnist_train

#endif  // MNIST_TRAIN_TESTS_KERNELS_CHECK_H_
