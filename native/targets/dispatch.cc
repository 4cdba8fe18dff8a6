#include "dispatch.h"

#include <string.h>

#include "cpu_features.h"

namespace mnist_train {

#if defined(__aarch64__) || defined(_M_ARM64)
namespace neon {
extern const KernelTable kTable;
}
#else
namespace avx2 {
extern const KernelTable kTable;
}
// A developers' build may leave it out: see INSTRUCTION_SET in CMakeLists.txt.
#ifndef MNIST_TRAIN_WITHOUT_AVX512
namespace avx512 {
extern const KernelTable kTable;
}
#endif
#endif

size_t all_targets(const Target** targets) {
#if defined(__aarch64__) || defined(_M_ARM64)
  static const Target list[] = {{"neon", cpu_has_neon(), &neon::kTable}};
#else
  static const Target list[] = {
#ifndef MNIST_TRAIN_WITHOUT_AVX512
      {"avx512", cpu_has_avx512(), &avx512::kTable},
#endif
      {"avx2", cpu_has_avx2(), &avx2::kTable},
  };
#endif
  *targets = list;
  return sizeof(list) / sizeof(list[0]);
}

const KernelTable* choose_target(const char* name) {
  const Target* targets;
  const size_t count = all_targets(&targets);
  for (size_t i = 0; i < count; i++) {
    const bool wanted = name == nullptr || *name == '\0' || strcmp(name, targets[i].name) == 0;
    if (wanted && targets[i].supported) return targets[i].table;
  }
  return nullptr;
}

}  // namespace mnist_train
