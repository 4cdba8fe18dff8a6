#include "cpu_features.h"

#include <stdint.h>

// CPUID says what the processor can do, XGETBV which registers the operating system saves: both must agree. Compilers'
// own checks differ from each other, so the bits are read here (Intel's Software Developer's Manual, volume 1, 14.3 and
// 15.2).
#if defined(__x86_64__) || defined(_M_X64)

#if defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#else
#include <cpuid.h>
#endif

namespace mnist_train {
namespace {

struct Registers {
  uint32_t eax, ebx, ecx, edx;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r = {0, 0, 0, 0};
#if defined(_MSC_VER)
  int words[4];
  __cpuid(words, 0);
  if (static_cast<uint32_t>(words[0]) < leaf) return r;
  __cpuidex(words, static_cast<int>(leaf), static_cast<int>(subleaf));
  r = {static_cast<uint32_t>(words[0]), static_cast<uint32_t>(words[1]), static_cast<uint32_t>(words[2]),
       static_cast<uint32_t>(words[3])};
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = {0, 0, 0, 0};
#endif
  return r;
}

uint64_t extended_control_register() {
#if defined(_MSC_VER)
  return _xgetbv(0);
#else
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
#endif
}

bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

struct Features {
  bool avx2, avx512;
};

Features detect() {
  constexpr uint32_t kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28;        // leaf 1, ecx
  constexpr uint32_t kAvx2 = 1u << 5;                                              // leaf 7, ebx
  constexpr uint32_t kAvx512 = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);  // F, DQ, BW, VL
  constexpr uint64_t kYmmState = 0x6, kZmmState = 0xe6;
  const Registers basic = cpuid(1, 0);
  if (!has_all(basic.ecx, kFma | kOsxsave | kAvx)) return {false, false};
  const uint64_t state = extended_control_register();
  const uint32_t extended = cpuid(7, 0).ebx;
  const bool avx2 = has_all(extended, kAvx2) && has_all(state, kYmmState);
  return {avx2, avx2 && has_all(extended, kAvx512) && has_all(state, kZmmState)};
}

}  // namespace

bool cpu_has_avx2() { return detect().avx2; }
bool cpu_has_avx512() { return detect().avx512; }
bool cpu_has_neon() { return false; }

}  // namespace mnist_train

#else

namespace mnist_train {

bool cpu_has_avx2() { return false; }
bool cpu_has_avx512() { return false; }
#if defined(__aarch64__) || defined(_M_ARM64)
bool cpu_has_neon() { return true; }
#else
bool cpu_has_neon() { return false; }
#endif

}  // namespace mnist_train

#endif
