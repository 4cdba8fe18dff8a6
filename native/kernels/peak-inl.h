// What the processor can do at most: chains of fused multiply-adds that stay in registers and wait for nothing but
// themselves. No dense kernel passes it; kernels that skip zeros may seem to.
#ifndef MNIST_TRAIN_KERNELS_PEAK_INL_H_
#define MNIST_TRAIN_KERNELS_PEAK_INL_H_

#include "kernels.h"

namespace mnist_train {
namespace MNIST_TRAIN_ISA {
namespace {

// 8 chains hide a latency of 4 cycles at two multiply-adds a cycle (x86), 16 at four (large Arm cores). AVX2 has 16
// registers, the others 32; compilers unroll a loop of at most 16 whole, and only then are chains registers.
constexpr int kChains = kLanes == 8 ? 12 : 16;

// `rounds` multiply-adds in every chain. What comes out goes to sums[kLanes], so that the work is not optimized away.
// Returns the number of floating-point operations, two per multiply-add and lane.
double multiply_adds(size_t rounds, float* sums) {
  // x = 0.999 x + 0.001 approaches 1: no subnormal, no infinity.
  const Vec factor = set1(0.999f);
  const Vec addend = set1(0.001f);
  Vec chains[kChains];
  for (int i = 0; i < kChains; i++) chains[i] = set1(static_cast<float>(i));
  for (size_t round = 0; round < rounds; round++) {
    for (int i = 0; i < kChains; i++) chains[i] = fma(chains[i], factor, addend);
  }
  Vec sum = zero();
  for (int i = 0; i < kChains; i++) sum = add(sum, chains[i]);
  store(sums, sum);
  return 2.0 * static_cast<double>(rounds) * kChains * kLanes;
}

}  // namespace
}  // namespace MNIST_TRAIN_ISA
}  // namespace mnist_train

#endif  // MNIST_TRAIN_KERNELS_PEAK_INL_H_
