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
using Words = __m256i;
constexpr size_t kLanes = 8;
constexpr int kTileVecs = 3;
constexpr int kTileRows[kTileVecs] = {12, 6, 4};
constexpr size_t kPackRows = 64;
constexpr int kSparseRows = 3;
constexpr int kGradientVecs = 8;
constexpr int kConvAccumulators = 12;
constexpr int kConvVecs = 3;

// A window into these words is a lane mask: -1 for the first lanes, 0 for the others.
const int32_t kLaneWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
inline __m256i first_lanes(size_t count) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kLaneWindow + 8 - count));
}

// Starts bringing a cache line in, into all levels or all but the first.
inline void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline void prefetch_second_level(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }

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
inline Vec load_quads(const float* const* rows, size_t offset) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[0] + offset)), _mm_loadu_ps(rows[4] + offset),
                              1);
}
inline void transpose_quads(Vec (&x)[4]) {
  const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(x[0], x[1]));
  const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(x[0], x[1]));
  const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(x[2], x[3]));
  const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(x[2], x[3]));
  x[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
  x[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
  x[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
  x[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
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
inline Mask not_equal(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
inline size_t count(Mask mask) { return static_cast<size_t>(__builtin_popcount(_mm256_movemask_ps(mask))); }
inline uint32_t lane_bits(Mask mask) { return static_cast<uint32_t>(_mm256_movemask_ps(mask)); }

// For each of the 256 masks, which lane moves to each place: eight bytes a word.
struct CompressTable {
  uint64_t lanes[256];
  constexpr CompressTable() : lanes() {
    for (int mask = 0; mask < 256; mask++) {
      int place = 0;
      for (int lane = 0; lane < 8; lane++) {
        if (mask & (1 << lane)) lanes[mask] |= static_cast<uint64_t>(lane) << (8 * place++);
      }
    }
  }
};
constexpr CompressTable kCompressTable;

inline Vec compress(Vec a, Mask mask) {
  const uint64_t lanes = kCompressTable.lanes[lane_bits(mask)];
  const __m256i permutation = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(lanes)));
  return _mm256_permutevar8x32_ps(a, permutation);
}
inline Vec index_bits(uint32_t first) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first)), lanes));
}
inline Vec pixel_bits(Vec a, uint32_t first) {
  const __m256i places = _mm256_slli_epi32(_mm256_castps_si256(index_bits(first)), 8);
  return _mm256_castsi256_ps(_mm256_or_si256(places, _mm256_cvtps_epi32(a)));
}
inline void store_pairs(float* p, Vec a, Vec b) {
  const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(p + kLanes, _mm256_permute2f128_ps(low, high, 0x31));
}
inline Vec select(Mask mask, Vec a, Vec b) { return _mm256_blendv_ps(b, a, mask); }
inline Vec zero_where(Mask mask, Vec a) { return _mm256_andnot_ps(mask, a); }
inline Vec times_power_of_two(Vec a, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}

inline Words words_of(uint32_t x) { return _mm256_set1_epi32(static_cast<int>(x)); }
inline Words words_from(uint32_t first) { return _mm256_castps_si256(index_bits(first)); }
inline Words exclusive_or(Words a, Words b) { return _mm256_xor_si256(a, b); }
inline void multiply_words(Words a, uint32_t b, Words* low, Words* high) {
  const __m256i factor = words_of(b);
  const __m256i even = _mm256_mul_epu32(a, factor), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factor);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  *high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}
inline Words bits_of(Vec a) { return _mm256_castps_si256(a); }
inline Vec numbers_of(Words a) { return _mm256_cvtepi32_ps(a); }
inline Vec upper_24_bits(Words a) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(a, 8)); }

}  // namespace
}  // namespace avx2
}  // namespace mnist_train

#endif  // MNIST_TRAIN_SIMD_VEC_H_
