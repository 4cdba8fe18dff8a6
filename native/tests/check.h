// The few lines that the native tests need of a test framework. A failed check prints where and what, and the program's
// exit status says so to ctest.
#ifndef MNIST_TRAIN_TESTS_CHECK_H_
#define MNIST_TRAIN_TESTS_CHECK_H_

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <vector>

namespace mnist_train {
namespace test {

inline int& failures() {
  static int count = 0;
  return count;
}

inline bool check(bool ok, const char* file, int line, const std::string& what) {
  if (!ok) {
    failures()++;
    if (failures() <= 20) fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  }
  return ok;
}

inline int report(const char* name) {
  printf("%s: %s\n", name, failures() == 0 ? "ok" : (std::to_string(failures()) + " checks failed").c_str());
  return failures() == 0 ? 0 : 1;
}

// Reproducible numbers in [-1, 1), with some exact zeros.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  float next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(static_cast<int32_t>(state_) >> 8) / 8388608.0f;
  }
  std::vector<float> vector(size_t size, float zeros = 0.25f) {
    std::vector<float> values(size);
    for (float& value : values) {
      value = next();
      if (fabsf(next()) < zeros) value = 0.0f;
    }
    return values;
  }

 private:
  uint32_t state_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace test
}  // namespace mnist_train

#define CHECK(condition) ::mnist_train::test::check((condition), __FILE__, __LINE__, #condition)
#define CHECK_MESSAGE(condition, message) ::mnist_train::test::check((condition), __FILE__, __LINE__, (message))

#endif  // MNIST_TRAIN_TESTS_CHECK_H_
