// The SIMD vocabulary over AArch64 NEON: 4 lanes, 32 registers. See vec_avx512.h for what the names mean.
#ifndef MNIST_TRAIN_SIMD_VEC_H_
#define MNIST_TRAIN_SIMD_VEC_H_

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MNIST_TRAIN_ISA neon

namespace mnist_train {
namespace neon {
namespace {

using Vec = float32x4_t;
using Mask = uint32x4_t;
using Words = uint32x4_t;
constexpr size_t kLanes = 4;
constexpr int kTileVecs = 4;
constexpr int kTileRows[kTileVecs] = {14, 12, 8, 6};
constexpr size_t kPackRows = 64;
constexpr int kSparseRows = 4;
constexpr int kGradientVecs = 8;
constexpr int kConvAccumulators = 24;
constexpr int kConvVecs = 4;

inline void prefetch(const char* p) { __builtin_prefetch(p); }
inline void prefetch_second_level(const char* p) { __builtin_prefetch(p, 0, 2); }

inline Vec zero() { return vdupq_n_f32(0.0f); }
inline Vec set1(float x) { return vdupq_n_f32(x); }
inline Vec load(const float* p) { return vld1q_f32(p); }
inline Vec load_partial(const float* p, size_t count) {
  float lanes[4] = {0, 0, 0, 0};
  memcpy(lanes, p, count * sizeof(float));
  return vld1q_f32(lanes);
}
inline void store(float* p, Vec x) { vst1q_f32(p, x); }
inline void store_partial(float* p, Vec x, size_t count) {
  float lanes[4];
  vst1q_f32(lanes, x);
  memcpy(p, lanes, count * sizeof(float));
}
inline Vec load_bytes_partial(const uint8_t* p, size_t count) {
  uint8_t bytes[8] = {0};
  memcpy(bytes, p, count);
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(bytes)))));
}
inline Vec load_bytes(const uint8_t* p) { return load_bytes_partial(p, 4); }
inline Vec load_quads(const float* const* rows, size_t offset) { return vld1q_f32(rows[0] + offset); }
inline void transpose_quads(Vec (&x)[4]) {
  const float32x4x2_t a = vtrnq_f32(x[0], x[1]), b = vtrnq_f32(x[2], x[3]);
  x[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  x[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  x[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  x[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

inline Vec add(Vec a, Vec b) { return vaddq_f32(a, b); }
inline Vec sub(Vec a, Vec b) { return vsubq_f32(a, b); }
inline Vec mul(Vec a, Vec b) { return vmulq_f32(a, b); }
inline Vec div(Vec a, Vec b) { return vdivq_f32(a, b); }
inline Vec sqrt(Vec a) { return vsqrtq_f32(a); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline Vec abs(Vec a) { return vabsq_f32(a); }
// Not vmaxq: it returns NaN where the x86 instruction returns b.
inline Vec max(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline Mask less(Vec a, Vec b) { return vcltq_f32(a, b); }
inline Mask less_equal(Vec a, Vec b) { return vcleq_f32(a, b); }
inline Mask not_equal(Vec a, Vec b) { return vmvnq_u32(vceqq_f32(a, b)); }
inline size_t count(Mask mask) { return vaddvq_u32(vshrq_n_u32(mask, 31)); }
inline uint32_t lane_bits(Mask mask) {
  const uint32_t weights[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(mask, vld1q_u32(weights)));
}

// For each of the 16 masks, which lane moves to each place: four bytes a word.
struct CompressTable {
  uint32_t lanes[16];
  constexpr CompressTable() : lanes() {
    for (int mask = 0; mask < 16; mask++) {
      int place = 0;
      for (int lane = 0; lane < 4; lane++) {
        if (mask & (1 << lane)) lanes[mask] |= static_cast<uint32_t>(lane) << (8 * place++);
      }
    }
  }
};
constexpr CompressTable kCompressTable;

inline Vec compress(Vec a, Mask mask) {
  const uint32_t lanes = kCompressTable.lanes[lane_bits(mask)];
  float source[4], moved[4];
  vst1q_f32(source, a);
  for (int place = 0; place < 4; place++) moved[place] = source[(lanes >> (8 * place)) & 3];
  return vld1q_f32(moved);
}
inline Vec index_bits(uint32_t first) {
  const uint32_t lanes[4] = {0, 1, 2, 3};
  return vreinterpretq_f32_u32(vaddq_u32(vdupq_n_u32(first), vld1q_u32(lanes)));
}
inline Vec pixel_bits(Vec a, uint32_t first) {
  const uint32x4_t places = vshlq_n_u32(vreinterpretq_u32_f32(index_bits(first)), 8);
  return vreinterpretq_f32_u32(vorrq_u32(places, vcvtq_u32_f32(a)));
}
inline void store_pairs(float* p, Vec a, Vec b) {
  const float32x4x2_t pairs = {{a, b}};
  vst2q_f32(p, pairs);
}
inline Vec select(Mask mask, Vec a, Vec b) { return vbslq_f32(mask, a, b); }
inline Vec zero_where(Mask mask, Vec a) { return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a), mask)); }
inline Vec times_power_of_two(Vec a, Vec n) {
  const int32x4_t exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
  return vmulq_f32(a, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

inline Words words_of(uint32_t x) { return vdupq_n_u32(x); }
inline Words words_from(uint32_t first) { return vreinterpretq_u32_f32(index_bits(first)); }
inline Words exclusive_or(Words a, Words b) { return veorq_u32(a, b); }
inline void multiply_words(Words a, uint32_t b, Words* low, Words* high) {
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_n_u32(vget_low_u32(a), b));
  const uint32x4_t second = vreinterpretq_u32_u64(vmull_n_u32(vget_high_u32(a), b));
  *low = vuzp1q_u32(first, second);
  *high = vuzp2q_u32(first, second);
}
inline Words bits_of(Vec a) { return vreinterpretq_u32_f32(a); }
inline Vec numbers_of(Words a) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a)); }
inline Vec upper_24_bits(Words a) { return vcvtq_f32_u32(vshrq_n_u32(a, 8)); }

}  // namespace
}  // namespace neon
}  // namespace mnist_train

#endif  // MNIST_TRAIN_SIMD_VEC_H_
