// The SIMD vocabulary over AVX-512 (F, DQ, BW, VL): 16 lanes, 32 registers.
//
// vec_avx2.h, vec_avx512.h and vec_neon.h define the same names with the same meaning; kernels use nothing else. Loads
// and stores need no alignment. The *_partial forms touch only the first `count` lanes (1 <= count <= kLanes) of
// memory; the other lanes of a loaded vector are zero. Comparisons with NaN are false.
#ifndef MNIST_TRAIN_SIMD_VEC_H_
#define MNIST_TRAIN_SIMD_VEC_H_

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define MNIST_TRAIN_ISA avx512

namespace mnist_train {
namespace avx512 {
namespace {

using Vec = __m512;
using Mask = __mmask16;
using Words = __m512i;  // a uint32_t per lane
constexpr size_t kLanes = 16;
// Rows of a matrix tile by the number of its column vectors: kTileVecs * rows accumulators, plus the vectors of b and
// one broadcast, stay within the registers.
constexpr int kTileVecs = 4;
constexpr int kTileRows[kTileVecs] = {8, 12, 8, 6};
// A product of so many rows or more copies its b into panels. Wide tiles read b less often, so they gain less.
constexpr size_t kPackRows = 384;
// Rows of non-zeros that the sparse forward kernel takes in lockstep, four vectors wide, and the vectors of a row that
// the gradient takes at once.
constexpr int kSparseRows = 6;
constexpr int kGradientVecs = 4;
// Accumulators of a tile of a convolution, and the most vectors of filters in it.
constexpr int kConvAccumulators = 24;
constexpr int kConvVecs = 4;

inline Mask first_lanes(size_t count) { return static_cast<Mask>((1u << count) - 1u); }

// Starts bringing a cache line in, into all levels or all but the first.
inline void prefetch(const char* p) { _mm_prefetch(p, _MM_HINT_T0); }
inline void prefetch_second_level(const char* p) { _mm_prefetch(p, _MM_HINT_T1); }

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec set1(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline Vec load_partial(const float* p, size_t count) { return _mm512_maskz_loadu_ps(first_lanes(count), p); }
inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
inline void store_partial(float* p, Vec x, size_t count) { _mm512_mask_storeu_ps(p, first_lanes(count), x); }
// Unsigned bytes as floats.
inline Vec load_bytes(const uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
inline Vec load_bytes_partial(const uint8_t* p, size_t count) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(count), p)));
}
// The lanes of quad q are rows[4 * q][offset] to rows[4 * q][offset + 3].
inline Vec load_quads(const float* const* rows, size_t offset) {
  Vec x = _mm512_castps128_ps512(_mm_loadu_ps(rows[0] + offset));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[4] + offset), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[8] + offset), 2);
  return _mm512_insertf32x4(x, _mm_loadu_ps(rows[12] + offset), 3);
}
// Transposes the 4 x 4 matrices that the quads of four vectors make.
inline void transpose_quads(Vec (&x)[4]) {
  const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(x[0], x[1]));
  const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(x[0], x[1]));
  const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(x[2], x[3]));
  const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(x[2], x[3]));
  x[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
  x[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
  x[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
  x[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
}

inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm512_sqrt_ps(a); }
// a * b + c with one rounding.
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec abs(Vec a) { return _mm512_abs_ps(a); }
// a where a > b, else b.
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Mask less(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
inline Mask less_equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
// True where they differ or one is NaN.
inline Mask not_equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
inline size_t count(Mask mask) { return static_cast<size_t>(__builtin_popcount(mask)); }
// A bit per lane.
inline uint32_t lane_bits(Mask mask) { return static_cast<uint32_t>(mask); }
// The lanes where the mask is set, moved to the front; the other lanes are unspecified.
inline Vec compress(Vec a, Mask mask) { return _mm512_maskz_compress_ps(mask, a); }
// The integers first, first + 1, ... as the bits of the lanes.
inline Vec index_bits(uint32_t first) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)), lanes));
}
// Lanes of whole numbers from 0 to 255 with their places: (first + lane) << 8 | a, as bits.
inline Vec pixel_bits(Vec a, uint32_t first) {
  const __m512i places = _mm512_slli_epi32(_mm512_castps_si512(index_bits(first)), 8);
  return _mm512_castsi512_ps(_mm512_or_si512(places, _mm512_cvtps_epi32(a)));
}
// a0, b0, a1, b1, ...: 2 * kLanes floats.
inline void store_pairs(float* p, Vec a, Vec b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  _mm512_storeu_ps(p, _mm512_permutex2var_ps(a, low, b));
  _mm512_storeu_ps(p + kLanes, _mm512_permutex2var_ps(a, high, b));
}
// a where the mask is set, else b.
inline Vec select(Mask mask, Vec a, Vec b) { return _mm512_mask_blend_ps(mask, b, a); }
// 0 where the mask is set, else a.
inline Vec zero_where(Mask mask, Vec a) { return _mm512_maskz_mov_ps(_knot_mask16(mask), a); }
// a * 2^n for whole n in [-126, 127].
inline Vec times_power_of_two(Vec a, Vec n) {
  const __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_mul_ps(a, _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23)));
}

inline Words words_of(uint32_t x) { return _mm512_set1_epi32(static_cast<int>(x)); }
// first, first + 1, ...
inline Words words_from(uint32_t first) { return _mm512_castps_si512(index_bits(first)); }
inline Words exclusive_or(Words a, Words b) { return _mm512_xor_si512(a, b); }
// The lower and the upper half of each 64-bit product.
inline void multiply_words(Words a, uint32_t b, Words* low, Words* high) {
  const __m512i factor = words_of(b);
  const __m512i even = _mm512_mul_epu32(a, factor), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factor);
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  *high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}
// The bits of a vector as words, and words as signed whole numbers.
inline Words bits_of(Vec a) { return _mm512_castps_si512(a); }
inline Vec numbers_of(Words a) { return _mm512_cvtepi32_ps(a); }
// The upper 24 bits of each word, as a whole number.
inline Vec upper_24_bits(Words a) { return _mm512_cvtepi32_ps(_mm512_srli_epi32(a, 8)); }

}  // namespace
}  // namespace avx512
}  // namespace mnist_train

#endif  // MNIST_TRAIN_SIMD_VEC_H_
