// The kernels compiled for avx2; the build gives this file alone the flags of that instruction set.
// clang-format off
#include "../simd/vec_avx2.h"
#include "../kernels/all-inl.h"
