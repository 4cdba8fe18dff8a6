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

// A block of random numbers.
struct Words {
  uint32_t x[4];
};

// Philox 4x32-10, block by block, as src/random.ts writes it.
inline Words philox(Words counter, uint32_t key0, uint32_t key1) {
  uint32_t* const x = counter.x;
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xd2511f53u} * x[0], b = uint64_t{0xcd9e8d57u} * x[2];
    const Words next = {{static_cast<uint32_t>(b >> 32) ^ x[1] ^ key0, static_cast<uint32_t>(b),
                         static_cast<uint32_t>(a >> 32) ^ x[3] ^ key1, static_cast<uint32_t>(a)}};
    counter = next;
    key0 += 0x9e3779b9u;
    key1 += 0xbb67ae85u;
  }
  return counter;
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
