// What the processor and the operating system offer. Compiled without ISA flags.
#ifndef MNIST_TRAIN_TARGETS_CPU_FEATURES_H_
#define MNIST_TRAIN_TARGETS_CPU_FEATURES_H_

namespace mnist_train {

bool cpu_has_avx2();    // AVX2 and FMA
bool cpu_has_avx512();  // AVX-512 F, DQ, BW, VL
bool cpu_has_neon();    // always on AArch64

}  // namespace mnist_train

#endif  // MNIST_TRAIN_TARGETS_CPU_FEATURES_H_
