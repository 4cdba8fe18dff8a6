// The SIMD vocabulary over AVX2 and FMA: 8 lanes, 16 registers. See vec_avx512.h for what the names mean.
#ifndef MNIST_TRAIN_SIMD_VEC_H_
#define MNIST_TRAIN_SIMD_VEC_H_

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MNIST_TRAIN_ISA avx2

namespace mnist_train {
namespace avx2 {
namespace {

using Vec = __m256;
using Mask = __m256;
constexpr size_t kLanes = 8;
constexpr int kTileVecs = 2;
constexpr int kTileRows[kTileVecs] = {12, 6};

// A window into these words is a lane mask: -1 for the first lanes, 0 for the others.
const int32_t kLaneWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline __m256i first_lanes(size_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneWindow + 8 - count));
}

inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec set1(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline Vec load_partial(const float* p, size_t count) { return _mm256_maskload_ps(p, first_lanes(count)); }
inline void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
inline void store_partial(float* p, Vec x, size_t count) { _mm256_maskstore_ps(p, first_lanes(count), x); }
inline Vec load_bytes(const uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline Vec load_bytes_partial(const uint8_t* p, size_t count) {
  uint8_t bytes[8] = {0};
  memcpy(bytes, p, count);
  return load_bytes(bytes);
}

inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm256_sqrt_ps(a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Mask less(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
inline Mask less_equal(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
inline Vec select(Mask mask, Vec a, Vec b) { return _mm256_blendv_ps(b, a, mask); }
inline Vec times_power_of_two(Vec a, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

}  // namespace
}  // namespace avx2
}  // namespace mnist_train

#endif  // MNIST_TRAIN_SIMD_VEC_H_
