// The kernels compiled for neon; the build gives this file alone the flags of that instruction set.
// clang-format off
#include "../simd/vec_neon.h"
#include "../kernels/all-inl.h"
