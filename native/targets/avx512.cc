// The kernels compiled for avx512; the build gives this file alone the flags of that instruction set.
// clang-format off
#include "../simd/vec_avx512.h"
#include "../kernels/all-inl.h"
